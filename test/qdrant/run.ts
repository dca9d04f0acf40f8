/** `npm run test:qdrant`: everything that is held against the double, held against the server that QDRANT_URL names. */

import { spawnSync } from 'node:child_process'
import { openQdrant } from '../../src/drivers/qdrant/open-qdrant.ts'
import { FreshetError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { namedServer, settingsFor } from './named-server.ts'

/** The driver's promises on the server, then each fact that the double was built on, on both. */
const FILES = ['test/qdrant/*.real.ts', 'test/drivers/qdrant/double/*.test.ts']

const server = namedServer()
if (server === null)
  end(
    2,
    'expected QDRANT_URL, got none: set it to a server of Qdrant 1.18 or later, e.g. http://127.0.0.1:6333',
  )

try {
  // Says in one line what an older server lacks, what a key may not do, or that nobody is there.
  const store = await openQdrant(settingsFor(server, ''), systemClock)
  await store.close()
} catch (error) {
  if (!(error instanceof FreshetError)) throw error
  end(1, `${error.code}: ${error.message}`)
}

const reporter = '--test-reporter=./test/tools/summary-reporter.ts'
const run = spawnSync(process.execPath, ['--test', '--test-isolation=none', reporter, ...FILES], {
  stdio: 'inherit',
})
process.exitCode = run.status ?? 1

function end(code: number, line: string): never {
  process.stderr.write(`${line}\n`)
  process.exit(code)
}
