/** Under load, with members that come and go, slow models and little memory: it goes on, and every vector ends right. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EmbeddingModel } from '../../src/model/embedding-model.ts'
import { consumed, owner, refreshed } from '../../src/pipeline/channels.ts'
import { textModel } from '../pipeline/text-model.ts'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { withAdmin } from './kafkajs-records.ts'
import { newWorld, say, search, searches, settles, stored } from './world.ts'
import { committedAll, Gate, openOwner, openWorker, ownAll, SESSION_MS, type Worker } from './world-worker.ts'

const STORM_MS = 12_000
/** On a machine that is so slow that a storm of 12 s has too few joins in it. */
const STORM_MS_MAX = 120_000
const TAKINGS_MIN = 10

/** What the channels say while a test runs. */
function listen(t: TestContext) {
  const heard = { records: 0, refreshes: 0, takings: 0 }
  const stops = [
    consumed.subscribe(({ outcomes }) => {
      for (const count of outcomes.values()) heard.records += count
    }),
    refreshed.subscribe(() => heard.refreshes++),
    owner.subscribe(({ takeOverMs }) => {
      if (takeOverMs !== undefined) heard.takings++
    }),
  ]
  t.after(() => {
    for (const stop of stops) stop()
  })
  return heard
}

const members = (bootstrap: string, group: string) =>
  withAdmin(bootstrap, async (admin) => (await admin.describeGroups([group])).groups[0]!.members.length)

/** Takes its time, as a model in worker threads does: the event loop goes on. */
function slowModel(ms: () => number | Promise<number>): EmbeddingModel {
  const embedUsers: EmbeddingModel['embedUsers'] = async (users, instructions) => {
    await sleep(await ms())
    return textModel.embedUsers(users, instructions)
  }
  return { ...textModel, embedUsers }
}

kafkaSuite('load on Kafka', () => {
  test('R9: members that join and leave all the time, in restores, too: it makes progress, and ends with no gap and nothing stale', async (t) => {
    const world = await newWorld(t)
    const heard = listen(t)
    const steady = await openOwner(t, world)
    await say(world, searches(400))
    let isOver = false
    const talking = (async () => {
      while (!isOver) {
        await say(world, searches(20))
        await sleep(100)
      }
    })()
    const startMs = performance.now()
    const tookMs = () => performance.now() - startMs
    const progress = { start: heard.refreshes, half: 0 }
    const isLongEnough = () => {
      if (progress.half === 0 && tookMs() > STORM_MS / 2 && heard.takings > TAKINGS_MIN / 2)
        progress.half = heard.refreshes
      return tookMs() > STORM_MS && progress.half > 0 && heard.takings > TAKINGS_MIN
    }
    const guests: Worker[] = []
    for (let round = 0; !isLongEnough() && tookMs() < STORM_MS_MAX; round++) {
      guests.push(await openWorker(t, world))
      // Some leave before they have restored anything.
      await sleep(round % 3 === 0 ? 20 : 500)
      if (guests.length >= 2 || round % 3 === 0) await guests.shift()!.stop()
    }
    const inStorm = heard.refreshes
    await Promise.all(guests.map((guest) => guest.stop()))
    isOver = true
    await talking
    assert.ok(heard.takings > TAKINGS_MIN, `${heard.takings} take-overs in ${tookMs()} ms`)
    assert.ok(
      progress.half > progress.start && inStorm > progress.half,
      'it went on embedding in both halves of the storm',
    )
    await ownAll(world, steady)
    await committedAll(world, steady)
    await settles(world)
    assert.deepEqual(steady.failures, [])
  })

  test('R10: an embedding three times as long as the session costs no membership and re-delivers nothing', async (t) => {
    const world = await newWorld(t)
    const heard = listen(t)
    let longMs = 0
    const worker = await openOwner(t, world, {
      model: slowModel(() => longMs),
      settings: { batchUsersMax: 64 },
    })
    await say(world, searches(40))
    await committedAll(world, worker)
    const { generation } = worker.updater.ownership
    const before = heard.records
    longMs = 3 * SESSION_MS
    const startMs = performance.now()
    await say(world, [search('u1'), search('u1'), search('u1')])
    await until('it is embedded', () => heard.records > before)
    await committedAll(world, worker)
    assert.ok(performance.now() - startMs >= longMs, 'it took as long as it takes')
    longMs = 0
    await settles(world)
    assert.equal(worker.updater.ownership.generation, generation, 'no rebalance')
    assert.equal(heard.takings, 1)
    assert.equal(heard.records, 43, 'nothing came twice')
  })

  test('R11: a flood of one user and many others fills neither memory nor time: reading pauses, and the cold are embedded', async (t) => {
    const world = await newWorld(t)
    const [embedding, memoryBytesMax, dirtyUsersMax] = [new Gate(t), 500_000, 300]
    const worker = await openWorker(t, world, {
      // A batch in 20 ms: between two looks at the bounds, 50 ms apart, only so many states come into memory.
      model: slowModel(async () => {
        await embedding.pass()
        return 20
      }),
      settings: { memoryBytesMax, dirtyUsersMax },
      kafka: { fetchPartitionBytesMax: 4_096 },
    })
    await ownAll(world, worker)
    const partitions = () => [...worker.updater.ownership.partitions.values()]
    const sum = (of: (partition: ReturnType<typeof partitions>[number]) => number) =>
      partitions().reduce((total, partition) => total + of(partition), 0)
    const peak = { bytes: 0, held: 0, one: 0 }
    let isOver = false
    const watching = (async () => {
      for (; !isOver; await sleep(5)) {
        peak.bytes = Math.max(
          peak.bytes,
          sum(({ sizeBytes }) => sizeBytes),
        )
        for (const { entries } of partitions())
          for (const { sizeBytes } of entries.values()) peak.one = Math.max(peak.one, sizeBytes)
        peak.held = Math.max(
          peak.held,
          sum(({ held }) => held.size),
        )
      }
    })()
    embedding.hold()
    const flood = searches(3_000, 3_000).flatMap((cold) => [search('hot'), cold])
    await say(world, flood)
    await until('it is full', () => sum(({ held }) => held.size) >= dirtyUsersMax)
    const paused = sum(({ read }) => read[0]!)
    assert.ok(paused < flood.length, 'it reads no further while too many wait')
    embedding.release()
    await until(
      'the first cold ones are embedded',
      async () => (await stored(world, ['u1', 'u2', 'u3'])).size > 0,
    )
    await committedAll(world, worker)
    await settles(world)
    isOver = true
    await watching
    // A fetched batch of each partition and what is in flight may come on top.
    // All 3,001 users would take 4 MB.
    assert.ok(peak.bytes < 3 * memoryBytesMax, `${peak.bytes} bytes of states`)
    assert.ok(peak.one < 10_000, `a window has a size, whatever comes: ${peak.one} bytes of one user`)
    assert.ok(peak.held < 3 * dirtyUsersMax, `${peak.held} users waited`)
    assert.deepEqual(worker.failures, [])
  })

  test('R16: a stop under load flushes, commits and leaves the group at once; who comes next reads nothing twice that was acknowledged', async (t) => {
    const world = await newWorld(t)
    const a = await openOwner(t, world, {
      kafka: { sessionTimeoutMs: 30_000 },
      settings: { sessionTimeoutMs: 30_000 },
    })
    await say(world, searches(200))
    await settles(world)
    const talking = say(world, searches(400))
    await until('it is busy', () => !a.updater.idle)
    const startMs = performance.now()
    await a.stop()
    const stopMs = performance.now() - startMs
    assert.ok(stopMs < 15_000, `${stopMs} ms, and a session is 30 s`)
    assert.equal(
      await members(world.bootstrap, world.prefix),
      0,
      'the group is empty, long before the session ends',
    )
    await talking
    const b = await openOwner(t, world)
    const positions = [...b.updater.ownership.partitions.values()].map(({ readPositions }) => readPositions)
    const read = positions.reduce((total, position) => total + position.get(world.topics[0].topic)!, 0)
    assert.ok(read >= 200, `${read} records of the first 200 are behind it`)
    await committedAll(world, b)
    await settles(world)
    assert.deepEqual([...a.failures, ...b.failures], [])
  })
})
