/** A worker is told to stop while its brokers are away: it ends in time, and what it had read comes again. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Broker, startBroker } from '../kafka/broker.ts'
import { until } from '../kafka/driver-fixture.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { ref } from './standalone-fixture.ts'
import { type Group, openGroup, type Worker } from './worker-fixture.ts'

const STOP_MS = 1_000
const USERS = Array.from({ length: 8 }, (_, n) => ref(`user-${n}`))

kafkaSuite('a worker whose brokers are away', () => {
  let broker: Broker
  let group: Group

  before(async () => {
    broker = await startBroker()
    group = await openGroup(broker.bootstrap)
  })

  after(async () => {
    await group?.close()
    await broker?.close()
  })

  test('a stop ends when its time is over, gives the directory free, and loses nothing', async () => {
    const { topic } = group.settings(0).events.topics[0]!
    // Nobody is embedded before the stop: all that was read is in memory only.
    const flags = {
      'refresh.quietMs': 60_000,
      'refresh.maxDelayMs': 60_000,
      'events.kafka.stopTimeoutMs': STOP_MS,
    }
    const worker = await group.start(1, flags)
    await until('it owns everything', () => worker.freshet.parts.updater.ownership.ownsAll)
    await worker.service.ingest(
      USERS.map(({ user }, n) => ({
        topic,
        header: { event_id: `e${n}`, event_time: Date.now() - 1_000, source: 'test', user_id: user },
        query: `shoes of ${user}`,
      })),
    )
    await until('all was read', () => worker.freshet.waiting === USERS.length)

    await broker.kill()
    const startMs = performance.now()
    await worker.close(STOP_MS)
    const tookMs = performance.now() - startMs
    // 1 s each for users, the last commit and leaving, and a busy machine; one request alone may take 30 s.
    assert.ok(tookMs < 20_000, `took ${tookMs} ms`)

    await broker.start()
    const next: Worker = await group.start(1)
    await until('everybody is embedded', async () => {
      if (!next.freshet.parts.updater.idle) return false
      const found = await Promise.all(
        USERS.map((user) => next.service.user(user, { vectors: true }).catch(() => null)),
      )
      return found.every((user) => user?.instructions[0]?.vector != null)
    })
    assert.deepEqual((await next.service.verify({ sample: 100 })).wrong, [])
  })
})
