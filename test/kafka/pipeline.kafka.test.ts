/** The whole pipeline over the Kafka driver, in one process: workers come, go and die, and the vectors don't know. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { features, forget, newWorld, say, searches, settles } from './world.ts'
import { committedAll, openOwner, openWorker, ownAll } from './world-worker.ts'

kafkaSuite('the pipeline over Kafka', () => {
  test('workers join, stall and leave under way: every vector ends as the events say', async (t) => {
    const world = await newWorld(t)
    const a = await openWorker(t, world)
    await say(world, searches(200))
    const b = await openWorker(t, world)
    await say(world, searches(200))
    await until(
      'both own',
      () => a.updater.ownership.partitions.size === 3 && b.updater.ownership.partitions.size === 3,
    )
    // It goes on embedding and writing what it has, and can't know that the group moves on without it.
    a.partFromGroup()
    await say(world, searches(200))
    await say(world, [forget('u3'), features('u4', 0.5), features('u5', 1)])
    const c = await openWorker(t, world)
    await say(world, searches(100))
    await ownAll(world, b, c)
    await b.stop()
    await say(world, [...searches(100), features('u4', 0.75)])
    await ownAll(world, c)
    await settles(world)
    // At rest, too: nothing comes late and undoes it.
    await until('it comes to rest', () => c.updater.idle)
    await sleep(300)
    await settles(world)
    assert.deepEqual([...b.failures, ...c.failures], [])
  })

  test('who starts again reads nothing twice that was acknowledged', async (t) => {
    const world = await newWorld(t)
    const a = await openOwner(t, world)
    await say(world, searches(120))
    await settles(world)
    await committedAll(world, a)
    const numbers = Array.from({ length: world.partitionCount }, (_, partition) => partition)
    const ends = await Promise.all(numbers.map((partition) => a.source.endOffsets(partition)))
    await a.stop()
    const b = await openOwner(t, world)
    for (const [number, { readPositions }] of b.updater.ownership.partitions)
      assert.deepEqual(new Map(readPositions), new Map(ends[number]!), `partition ${number}`)
    await say(world, searches(80))
    await settles(world)
  })
})
