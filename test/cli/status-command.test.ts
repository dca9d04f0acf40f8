import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusLines } from '../../src/cli/status-command.ts'
import { statusAnswer } from '../../src/server/answers.ts'
import type { StatusAnswer } from '../../src/server/service.ts'

const [documented] = statusAnswer.meta()!.examples as [StatusAnswer]

function linesOf(over: Partial<StatusAnswer>): string {
  return statusLines({ ...documented, ...over })
    .map((line) => line.join(': '))
    .join('\n')
}

test('the status says in words what is held, what is being restored, and what is down', () => {
  const restoring = [
    { partition: 3, records: 500, left: 1_200 },
    { partition: 7, records: 0, left: null },
  ]
  const said = linesOf({ partitions: [0, 5], restoring, degraded: ['vectors: qdrant-unavailable'] })
  assert.match(said, /^partitions: 0 5$/m)
  assert.match(said, /^restoring: partition 3: 500 records read, at most 1200 left$/m)
  assert.match(said, /^restoring: partition 7 waits for its turn$/m)
  assert.match(said, /^degraded: vectors: qdrant-unavailable$/m)
})

test('what nobody knows yet is not made up', () => {
  const said = linesOf({
    partitions: [],
    restoring: [],
    model: null,
    asOf: '',
    freshnessMs: { p50: null, p95: null, p99: null },
    events: { ...documented.events, deadLetters: null },
  })
  assert.match(said, /^partitions: none$/m)
  assert.match(said, /^freshness: nobody was embedded in the last minute$/m)
  assert.doesNotMatch(said, /restoring|null|NaN|dead letters|as of/)
})
