/** The log read again, shuffled, doubled, forgotten in between, and with time gone by: the vectors are those of the log. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '../../src/errors.ts'
import { userKey } from '../../src/events/ids.ts'
import { restoring } from '../../src/pipeline/channels.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName } from '../../src/vectors/vector-store.ts'
import { until } from './driver-fixture.ts'
import { compact, EAGER, heldModel, heldVectors } from './hazards.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { withAdmin } from './kafkajs-records.ts'
import {
  createTopics,
  features,
  forget,
  newWorld,
  reckoned,
  say,
  search,
  searches,
  settles,
  stored,
  TENANT,
  type World,
} from './world.ts'
import { committedAll, Gate, openOwner, openWorker, type Worker } from './world-worker.ts'

/**
 * All that freshet knows of the events is gone: its changelog, and where its group was. Only the clock tells the next
 * epoch from the last one then, in seconds: whoever comes after it comes in a second that no epoch bears.
 *
 * @param former who has stopped
 */
async function forgetState({ bootstrap, prefix, partitionCount }: World, former: Worker): Promise<void> {
  const topic = `${prefix}.state`
  await withAdmin(bootstrap, async (admin) => {
    await until('the group is empty', async () => {
      const { groups } = await admin.describeGroups([`${prefix}`])
      return groups[0]!.members.length === 0
    })
    await admin.deleteGroups([prefix])
    await admin.deleteTopics({ topics: [topic] })
    await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
  })
  await createTopics(bootstrap, [
    { topic, partitionCount, config: { 'cleanup.policy': 'compact', ...EAGER } },
  ])
  const { epoch } = former.updater.ownership
  await until('a second has begun that no epoch bears', () => Math.floor(Date.now() / 1_000) > epoch)
}

async function versions(world: World): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const { users } = await reckoned(world)
  const ids = [...users].map((user) => pointId(userKey(TENANT, user as never)))
  for (const [id, { version }] of await world.vectors.get('freshet_main_text' as CollectionName, ids, []))
    found.set(id, version.epoch)
  return found
}

const isAbsent = async (world: World, user: string) => (await stored(world, [user])).size === 0

kafkaSuite('the log of Kafka read again', () => {
  test('R2: a replay from the beginning, with neither state nor offsets, leaves the same vectors under higher epochs', async (t) => {
    const world = await newWorld(t)
    const a = await openOwner(t, world)
    await say(world, [...searches(160), features('u1', 0.1), features('u2', 0.2), forget('u3')])
    const before = await settles(world)
    await committedAll(world, a)
    await a.stop()
    const epochs = await versions(world)
    await forgetState(world, a)
    const b = await openOwner(t, world)
    await committedAll(world, b)
    await until('it comes to rest', () => b.updater.idle)
    assert.deepEqual(await settles(world), before)
    const after = await versions(world)
    for (const [id, epoch] of epochs) assert.ok(after.get(id)! > epoch, 'written anew, under a higher epoch')
    assert.deepEqual(b.failures, [])
  })

  test('a worker that comes back to its disk reads nothing of its changelog again; elsewhere it reads all', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'freshet-worker-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const world = await newWorld(t)
    const read = new Map<number, number>()
    const end = restoring.subscribe(({ partition, records }) => read.set(partition, records))
    t.after(end)
    const restoredRecords = () => [...read.values()].reduce((sum, records) => sum + records, 0)
    for (const [at, options] of [{ folder }, { folder }, { folder }, {}].entries()) {
      read.clear()
      const worker = await openOwner(t, world, options)
      if (at < 3) assert.equal(restoredRecords(), 0, `start ${at}`)
      else assert.ok(restoredRecords() > 40, `${restoredRecords()} records`)
      await say(world, searches(60))
      await settles(world)
      await committedAll(world, worker)
      await worker.stop()
    }
  })

  test('R3: events out of order and doubled leave the vectors of the sorted and distinct ones', async (t) => {
    const told = searches(120)
    const shuffled = [...told, ...told.filter((_, i) => i % 2 === 0)]
    for (let i = shuffled.length - 1, seed = 42; i > 0; i--) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      const j = seed % (i + 1)
      ;[shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!]
    }
    const timeOf = (record: (typeof told)[number]) => (record.kind === 'event' ? record.event.eventTimeMs : 0)
    const vectors = []
    for (const records of [told.toSorted((a, b) => timeOf(a) - timeOf(b)), shuffled]) {
      const world = await newWorld(t)
      const worker = await openOwner(t, world)
      for (let at = 0; at < records.length; at += 30) await say(world, records.slice(at, at + 30))
      vectors.push(await settles(world))
      await worker.stop()
    }
    assert.deepEqual(vectors[1], vectors[0])
  })

  test('R5: who was forgotten with a write on its way stays away after a replay, a restart and compaction', async (t) => {
    const world = await newWorld(t)
    const write = new Gate(t)
    const isHeld = (name: string) => name === 'freshet_main_text'
    const a = await openOwner(t, world, { vectors: heldVectors(write, isHeld) })
    await say(world, [...searches(80), features('u7', 0.3)])
    await settles(world)
    const old = search('u7')
    write.hold()
    await say(world, [old])
    await until('a write is on its way', () => write.waiting > 0)
    await say(world, [forget('u7')])
    write.release()
    await committedAll(world, a)
    await until('the user is absent', () => isAbsent(world, 'u7'))
    // What happened before comes again.
    await say(world, [old, features('u7', 0.4, 3_600_000)])
    await committedAll(world, a)
    await a.stop()
    await forgetState(world, a)
    const b = await openOwner(t, world)
    await committedAll(world, b)
    await until('it comes to rest', () => b.updater.idle)
    await compact(world, b)
    await b.stop()
    const c = await openOwner(t, world)
    await until('it comes to rest', () => c.updater.idle)
    assert.ok(await isAbsent(world, 'u7'))
    for (const { held, entries } of c.updater.ownership.partitions.values()) {
      assert.equal(held.size, 0)
      const state = entries.get(userKey(TENANT, 'u7' as never))?.state
      if (state !== undefined)
        assert.deepEqual([state.windows.search, state.tabular?.snapshot ?? null], [[], null])
    }
    await settles(world)
    // And who comes back after it is somebody new.
    await say(world, [search('u7', -1)])
    await settles(world)
    assert.ok(!(await isAbsent(world, 'u7')))
  })

  test('R12: what was due when an owner died falls due at the next one, without any new event', async (t) => {
    const world = await newWorld(t, { slowMs: 3_000 })
    const embedding = new Gate(t)
    const a = await openOwner(t, world, { model: heldModel(embedding) })
    await say(world, searches(80))
    await until('main is written', async () => (await stored(world, ['u1'])).size > 0)
    await committedAll(world, a)
    // The times of the slow group stand in the changelog alone now; and for the quiet ones no event comes any more.
    embedding.hold()
    await say(world, [search('u5')])
    await until('it is being embedded', () => embedding.waiting > 0)
    a.kill()
    await openOwner(t, world)
    await settles(world)
  })
})

kafkaSuite('a world that was changed', () => {
  test('R13: a changelog that was created anew is no match for a former disk: the state is built from the events', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'freshet-worker-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const world = await newWorld(t)
    const a = await openOwner(t, world, { folder })
    await say(world, searches(80))
    const before = await settles(world)
    await committedAll(world, a)
    await a.stop()
    await forgetState(world, a)
    const b = await openOwner(t, world, { folder })
    await committedAll(world, b)
    assert.deepEqual(await settles(world), before)
    await say(world, searches(40))
    await settles(world)
  })

  test('R13: partitions that were added stop the workers, and those that start, with the remedy', async (t) => {
    const world = await newWorld(t)
    const a = await openOwner(t, world, { kafka: { metadataAgeMs: 200 } })
    await say(world, searches(40))
    await settles(world)
    const topicPartitions = world.topics.map(({ topic }) => ({ topic, count: world.partitionCount + 2 }))
    await withAdmin(world.bootstrap, (admin) => admin.createPartitions({ topicPartitions }))
    await until('it has stopped', () => a.failures.length > 0)
    assert.ok(isConfigError(a.failures[0], 'topic-partitions-changed'), String(a.failures[0]))
    await assert.rejects(openWorker(t, world), (error) => isConfigError(error, 'changelog-partitions'))
  })
})

function isConfigError(error: unknown, code: string): boolean {
  return error instanceof ConfigError && error.code === code
}
