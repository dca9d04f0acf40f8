/** Finds the cases of the golden set, ours or any other in the same format that GOLDEN_DIR names. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const OWN_DIR = import.meta.dirname

/** Absolute. npm runs scripts in the project's root, and says in INIT_CWD where the user stood who named a relative one. */
export const GOLDEN_DIR =
  process.env.GOLDEN_DIR === undefined
    ? OWN_DIR
    : resolve(process.env.INIT_CWD ?? process.cwd(), process.env.GOLDEN_DIR)

/** Our set holds every kind of case; another may hold some only. */
export const isOwnSet = GOLDEN_DIR === OWN_DIR

/** The kinds of cases, by the names of their files. */
export const KINDS = {
  embed: /^embed-.*\.json$/,
  answers: /^answers-.*\.json$/,
  backbones: /^qwen2-hf.*\.json$/,
  tokenizers: /^tokenizer-.*\.json$/,
  metrics: /^metrics.*\.json$/,
} as const

export interface GoldenFile<T> {
  name: string
  content: T
}

/** The files of a kind, parsed, in order of their names. */
export function goldenFiles<T>(kind: keyof typeof KINDS): GoldenFile<T>[] {
  return goldenNames(kind).map((name) => ({
    name,
    content: JSON.parse(readFileSync(join(GOLDEN_DIR, name), 'utf8')) as T,
  }))
}

/** The names of a kind's files, in order. */
export function goldenNames(kind: keyof typeof KINDS): string[] {
  return readdirSync(GOLDEN_DIR)
    .filter((name) => KINDS[kind].test(name))
    .sort()
}

/** Where a file or bundle lies that a golden file names: beside it, unless its path is absolute. */
export function goldenPath(...segments: string[]): string {
  return resolve(GOLDEN_DIR, ...segments)
}
