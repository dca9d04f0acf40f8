/** Finds the cases of the golden set, ours or any other in the same format that GOLDEN_DIR names. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const GOLDEN_DIR = process.env.GOLDEN_DIR ?? import.meta.dirname

export interface GoldenFile<T> {
  name: string
  content: T
}

/** The files whose name matches, parsed, in order of their names. */
export function goldenFiles<T>(pattern: RegExp): GoldenFile<T>[] {
  const names = readdirSync(GOLDEN_DIR).filter((name) => pattern.test(name))
  return names
    .sort()
    .map((name) => ({ name, content: JSON.parse(readFileSync(join(GOLDEN_DIR, name), 'utf8')) as T }))
}

/** Where a file or bundle lies that a golden file names. */
export function goldenPath(...segments: string[]): string {
  return join(GOLDEN_DIR, ...segments)
}
