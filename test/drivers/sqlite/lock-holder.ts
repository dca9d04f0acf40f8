/** A child process that takes a data directory, says so, and holds it until it is killed. */

import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { FreshetError } from '../../../src/errors.ts'

try {
  openDataDirectory({ path: process.argv[2]!, access: 'write', nowMs: Date.now() })
  // Nothing refers to the directory any more, and collected garbage must not take the lock along.
  globalThis.gc?.()
  process.stdout.write('held\n')
  setInterval(() => {}, 60_000)
} catch (error) {
  process.stdout.write(`${error instanceof FreshetError ? error.code : String(error)}\n`)
}
