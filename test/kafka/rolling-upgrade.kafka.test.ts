import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRecord } from '../../src/drivers/kafka/changelog-codec.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { userKey } from '../../src/events/ids.ts'
import { emptyState } from '../../src/window/apply.ts'
import { encodeState } from '../../src/window/state-codec.ts'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { endOffsets } from './kafkajs-records.ts'
import { newWorld, say, searches, settles, stored, TENANT } from './world.ts'
import { committedAll, openOwner, openWorker } from './world-worker.ts'

const USER = 'u1'

kafkaSuite('a rolling upgrade', () => {
  test('a worker that meets a state of a newer version stops with the remedy, and writes nothing', async (t) => {
    const world = await newWorld(t)
    const first = await openOwner(t, world)
    await say(world, searches(80))
    await settles(world)
    await committedAll(world, first)
    await first.stop()

    // What a worker of the next version would have left behind.
    const state = emptyState(TENANT, USER as never)
    state.epoch = Math.floor(Date.now() / 1_000) + 10
    const user = userKey(TENANT, USER as never)
    const { key, value } = encodeRecord({
      kind: 'state',
      user,
      epoch: state.epoch,
      state: encodeState(state),
    })
    value![0]! += 1
    const partition = partitionOf(Buffer.from(USER), world.partitionCount)
    await world.producer.send(`${world.prefix}.state`, partition, [{ key, value }])
    await say(world, searches(40))

    const changelog = () => endOffsets(world.bootstrap, `${world.prefix}.state`)
    const users = Array.from({ length: 40 }, (_, n) => `u${n}`)
    const before = { changelog: await changelog(), vectors: await stored(world, users) }
    const old = await openWorker(t, world)
    await until('it stops', () => old.failures.length > 0)
    const [failure] = old.failures as [{ name: string; code: string; message: string }]
    assert.deepEqual([failure.name, failure.code], ['ConfigError', 'state-newer'])
    assert.match(failure.message, /upgrade this freshet/)
    await old.stop()
    assert.deepEqual(await changelog(), before.changelog)
    assert.deepEqual(await stored(world, users), before.vectors)
    assert.equal(old.failures.length, 1)
  })
})
