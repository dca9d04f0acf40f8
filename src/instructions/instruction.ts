/** What we may ask about a user: instructions, their groups, and the names of their vectors. */

import { createHash } from 'node:crypto'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** `[a-z0-9-]{1,40}`. */
export type InstructionId = Branded<'InstructionId'>
/** `[a-z0-9-]{1,40}`. */
export type GroupName = Branded<'GroupName'>
/** `<instructionId>@<hash8>`: names a text, so that a changed text is another vector. */
export type VectorName = Branded<'VectorName'>

export const MAIN_GROUP = 'main' as GroupName
/** Shadow instructions live here; the group has no alias, so readers don't see it. */
export const SHADOW_GROUP = 'shadow' as GroupName
/** The instruction without a text: `u = f(X)`. On by default. */
export const GENERAL = 'general' as InstructionId

export const NAME_PATTERN = /^[a-z0-9-]{1,40}$/
/** Characters (UTF-16 units) of one instruction text. A longer one costs more positions than a whole window. */
export const INSTRUCTION_LENGTH_MAX = 2_000

type InstructionStatus = 'shadow' | 'active' | 'retired'

export interface Instruction {
  id: InstructionId
  /** null: `general`, no instruction segment at all. */
  text: string | null
  lang: string
  group: GroupName
  status: InstructionStatus
  maxStalenessMs: number
  owner: string | null
  /** The text before the last change, kept in the group until `retireAtMs` so that readers can be switched; null otherwise. */
  previous: { text: string | null; retireAtMs: number } | null
}

/** The end of a text that no reader follows any more: of that text alone, whatever became of the instruction meanwhile. */
export interface RetiredText {
  id: InstructionId
  text: string | null
  /** As the instruction's `previous` has it: the same text may be kept anew, until another time. */
  retireAtMs: number
}

export interface Group {
  name: GroupName
  /** A group other than `main` is refreshed at most this often. */
  minRefreshMs: number
  /** Nothing of a paused group is written but stubs; `main` can't be paused. */
  paused: boolean
}

/** sha256 of the text, lower-case hex; `general` hashes the empty marker `\0`, which no text can be. */
export function textHash(text: string | null): string {
  return createHash('sha256')
    .update(text ?? '\0')
    .digest('hex')
}

export function vectorName(id: InstructionId, text: string | null): VectorName {
  return `${id}@${textHash(text).slice(0, 8)}` as VectorName
}
