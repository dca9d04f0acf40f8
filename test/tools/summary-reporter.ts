/** A reporter for node:test: the usual lines, then what was skipped and why, and last `N passed, N failed`. */

import { Readable } from 'node:stream'
import { spec } from 'node:test/reporters'

interface Counts {
  passed: number
  failed: number
  /** Name and reason of each. */
  skipped: string[]
}

interface TestEvent {
  type: string
  data?: { name?: string; skip?: string | boolean; details?: { type?: string } }
}

/** Counts tests, not the suites that hold them. */
function count(counts: Counts, { type, data }: TestEvent): void {
  if ((type !== 'test:pass' && type !== 'test:fail') || data?.details?.type === 'suite') return
  if (data?.skip !== undefined && data.skip !== false) {
    counts.skipped.push(`${data.name}${typeof data.skip === 'string' ? `: ${data.skip}` : ''}`)
  } else if (type === 'test:pass') counts.passed++
  else counts.failed++
}

/** How long a run may take to end once its last test has. */
const LINGER_MS = 10_000

/** What a test left open must not keep a run from ending: it is named, and the run ends with the code that it has. */
function endSoon(): void {
  const timer = setTimeout(() => {
    process.stderr.write(`still open after the last test: ${process.getActiveResourcesInfo().join(', ')}\n`)
    process.exit()
  }, LINGER_MS)
  timer.unref()
}

/**
 * Where CI is set, a skipped test and a run without tests fail, too: what was not seen is not known to work.
 *
 * @param source events of node:test
 */
export default async function* summaryReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts: Counts = { passed: 0, failed: 0, skipped: [] }
  const counted = async function* () {
    for await (const event of source) {
      count(counts, event)
      yield event
    }
  }
  for await (const text of Readable.from(counted()).compose(new spec())) yield String(text)
  const strict = process.env.CI === 'true'
  const none = counts.passed + counts.failed === 0
  if (none || (strict && counts.skipped.length > 0)) process.exitCode = 1
  yield '\n'
  for (const one of counts.skipped) yield `skipped: ${one}\n`
  if (strict && counts.skipped.length > 0)
    yield 'CI is set: whatever a skipped test needs must be installed\n'
  if (none) yield 'no test ran\n'
  endSoon()
  yield `${counts.passed} passed, ${counts.failed} failed\n`
}
