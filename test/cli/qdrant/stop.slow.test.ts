/** A stop while the server is silent: it ends when it should, and nobody is lost by it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { answer } from '../../drivers/qdrant/double/faults.ts'
import {
  assertRight,
  event,
  type QdrantStandalone,
  until,
  users,
  WRITE,
  withQdrant,
} from '../qdrant-standalone.ts'

const DRAIN_MS = 300
/** Far beyond the drain, and far below one time-out or one back-off of what hangs. */
const STOP_MS_MAX = 15_000
const COUNT = 6

const SILENCES: [what: string, begin: (qdrant: QdrantStandalone) => unknown][] = [
  ['is silent', ({ proxy }) => proxy.stall('replies')],
  [
    'asks for a minute',
    ({ double }) =>
      double.faults.add(WRITE, answer(429, { headers: { 'retry-after': '60' } }), Number.POSITIVE_INFINITY),
  ],
]

for (const [what, begin] of SILENCES)
  test(`a stop while the server ${what} ends when the drain does, and the next start embeds who was left`, () =>
    withQdrant(async (qdrant) => {
      // A batch each, so that the drain itself has somebody to bring.
      const flags = { 'refresh.batchUsersMax': 1, 'vectors.qdrant.timeoutMs': 30_000 }
      const standalone = await qdrant.open(flags, { clock: systemClock })
      await standalone.start()
      begin(qdrant)
      const { encoder, log } = standalone.parts
      const records = users(COUNT).map((user, i) => encoder.object(event(user, i)))
      await log.append(records.map(({ topic, key, value, headers }) => ({ topic, key, value, headers })))
      await until('they are read', () => standalone.waiting === COUNT)
      const startMs = Date.now()
      await standalone.close(DRAIN_MS)
      assert.ok(Date.now() - startMs < STOP_MS_MAX, `${Date.now() - startMs} ms`)
      qdrant.proxy.pass()
      qdrant.double.faults.clear()
      await qdrant.running((running) => assertRight(running, COUNT))
    }))
