/** Lays out a user's row: which position of the backbone's input holds what, pure and before any number is computed. */

import type { Modality, TextModality } from '../events/behavior-event.ts'
import type { UserInput } from './embedding-model.ts'
import { type Manifest, specialRow, USER_TOKEN } from './manifest.ts'

/** A run of positions whose inputs come from one place, in order. */
export type Segment = { start: number; length: number } & (
  | { kind: 'tokens'; ids: readonly number[] }
  /** A row of `special_tokens.weight`; one position. */
  | { kind: 'special'; row: number }
  /** One position per text, oldest first. */
  | { kind: 'events'; modality: TextModality; texts: readonly string[] }
  /** `length` positions of one vector; position j is row block j of the tabular adapter. */
  | { kind: 'tabular' }
)

/** What every instruction of one user shares: it stands first, and attention is causal. */
export interface PrefixLayout {
  segments: readonly Segment[]
  /** Positions before any instruction, P. */
  length: number
  /** Positions per listed modality, after the caps. */
  slots: Readonly<Partial<Record<Modality, number>>>
}

/** A packed row: the prefix, then one block per instruction. */
export interface RowLayout {
  segments: readonly Segment[]
  /** All positions, N. */
  length: number
  /** int32 [N]: positions for RoPE; each block goes on from P, as if it were alone. */
  positions: Int32Array
  /** int32 [N]: 0 in the prefix, i in the block of instruction i - 1. A block sees the prefix and itself. */
  segmentIds: Int32Array
  /** Of each instruction, the index in the row of its `<USER>`. */
  userIndices: readonly number[]
}

/** A segment before its place is known. */
type Content = { length: number } & (
  | { kind: 'tokens'; ids: readonly number[] }
  | { kind: 'special'; row: number }
  | { kind: 'events'; modality: TextModality; texts: readonly string[] }
  | { kind: 'tabular' }
)

/**
 * Lays out the prefix: the intro, then per modality in template order start, slots, end.
 * Modalities that the manifest doesn't list don't exist, and what the input says of them is left out.
 *
 * @param introIds tokens of `introText`
 */
export function layoutPrefix(
  manifest: Manifest,
  introIds: readonly number[],
  input: UserInput,
): PrefixLayout {
  const contents: Content[] = []
  const slots: Partial<Record<Modality, number>> = {}
  if (introIds.length > 0) contents.push({ kind: 'tokens', ids: introIds, length: introIds.length })
  for (const modality of manifest.modalities) {
    const content = slotsOf(manifest, modality.name, modality.slots, input)
    slots[modality.name] = content.length
    contents.push({ kind: 'special', row: specialRow(manifest, `<start_${modality.name}>`), length: 1 })
    // An absent modality keeps its two markers, next to each other.
    if (content.length > 0) contents.push(content)
    contents.push({ kind: 'special', row: specialRow(manifest, `<end_${modality.name}>`), length: 1 })
  }
  const { segments, length } = placed(contents, 0)
  return { segments, length, slots }
}

/**
 * Lays out a packed row over a prefix.
 *
 * @param instructionIds one list of tokens per instruction; empty for `general`, whose segment is left out
 */
export function layoutRow(
  manifest: Manifest,
  prefix: PrefixLayout,
  instructionIds: readonly (readonly number[])[],
): RowLayout {
  const userRow = specialRow(manifest, USER_TOKEN)
  const segments = [...prefix.segments]
  const userIndices: number[] = []
  let length = prefix.length
  for (const ids of instructionIds) {
    const block = placed(blockContents(ids, userRow), length)
    segments.push(...block.segments)
    length += block.length
    userIndices.push(length - 1)
  }
  const positions = new Int32Array(length)
  const segmentIds = new Int32Array(length)
  for (let i = 0; i < prefix.length; i++) positions[i] = i
  let start = prefix.length
  for (const [index, end] of userIndices.entries()) {
    for (let i = start; i <= end; i++) {
      positions[i] = prefix.length + i - start
      segmentIds[i] = index + 1
    }
    start = end + 1
  }
  return { segments, length, positions, segmentIds, userIndices }
}

/** Positions of the packed row that `layoutRow` would give. */
export function packedLength(prefixLength: number, instructionIds: readonly (readonly number[])[]): number {
  return instructionIds.reduce((length, ids) => length + ids.length + 1, prefixLength)
}

function blockContents(ids: readonly number[], userRow: number): Content[] {
  const user: Content = { kind: 'special', row: userRow, length: 1 }
  return ids.length === 0 ? [user] : [{ kind: 'tokens', ids, length: ids.length }, user]
}

function slotsOf(manifest: Manifest, modality: Modality, cap: number, input: UserInput): Content {
  if (modality === 'tabular') {
    return { kind: 'tabular', length: input.tabular === null ? 0 : manifest.tabular!.tokens }
  }
  const texts = (input.events[modality] ?? []).slice(-cap)
  return { kind: 'events', modality, texts, length: texts.length }
}

function placed(contents: readonly Content[], start: number): { segments: Segment[]; length: number } {
  let at = start
  const segments = contents.map((content): Segment => {
    const segment = { ...content, start: at }
    at += content.length
    return segment
  })
  return { segments, length: at - start }
}
