/** Directories of a test, gone when it ends. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

/** @returns a new empty directory, removed after all tests of the file that asks */
export function tempDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'freshet-sqlite-'))
  after(() => rmSync(path, { recursive: true, force: true }))
  return path
}
