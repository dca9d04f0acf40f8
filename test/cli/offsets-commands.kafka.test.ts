/** `freshet offsets` against a real broker and real workers: where they stand, and what they read after a reset. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { commitForEmptyGroup, committedOffsets } from '../../src/drivers/kafka/group-offsets.ts'
import type { Moved, Position } from '../../src/drivers/kafka/group-positions.ts'
import { KafkaChangelog } from '../../src/drivers/kafka/kafka-changelog.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { ConfigError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { EventSource, Positions } from '../../src/pipeline/event-source.ts'
import { kafkaSettings, until } from '../kafka/driver-fixture.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { endOffsets } from '../kafka/kafkajs-records.ts'
import {
  features,
  newWorld,
  PARTITIONS,
  say,
  search,
  searches,
  settles,
  stored,
  type World,
} from '../kafka/world.ts'
import { committedAll, openWorker, ownAll, replacing } from '../kafka/world-worker.ts'
import { runToEnd } from '../kill/program.ts'

/** Settings of the world's workers, as flags. */
function flagsOf({ bootstrap, prefix, topics }: World): string[] {
  const flags = {
    'events.driver': 'kafka',
    'events.kafka.brokers': [bootstrap],
    'events.kafka.groupId': prefix,
    'events.kafka.topicPrefix': prefix.replace(/freshet$/, ''),
    'events.topics': topics,
    'vectors.sqliteFile': 'not-opened.db',
  }
  return Object.entries(flags).flatMap(([path, value]) => ['--set', `${path}=${JSON.stringify(value)}`])
}

async function positions(world: World): Promise<Position[]> {
  const { stdout } = await runToEnd([...flagsOf(world), 'offsets', 'show', '--json'])
  return JSON.parse(stdout).positions
}

async function reset(world: World, ...args: string[]): Promise<Moved[]> {
  const { stdout } = await runToEnd([
    ...flagsOf(world),
    'offsets',
    'reset',
    '--yes',
    '--json',
    '--to',
    ...args,
  ])
  return JSON.parse(stdout).moved
}

/** A worker, and what it reads: where it began in each partition, and how many records came. */
async function watched(t: TestContext, world: World) {
  const began = new Map<number, Positions>()
  const seen = { records: 0 }
  const source = (real: EventSource): EventSource =>
    replacing(real, {
      seek: (partition, at) => {
        began.set(partition, at)
        real.seek(partition, at)
      },
      start: (listener) =>
        real.start(
          replacing(listener, {
            records: (batch) => {
              seen.records += batch.length
              listener.records(batch)
            },
          }),
        ),
    })
  const worker = await openWorker(t, world, { source })
  return { worker, began, seen }
}

async function recordCount({ bootstrap, topics }: World): Promise<number> {
  const ends = await Promise.all(topics.map(({ topic }) => endOffsets(bootstrap, topic)))
  return ends.flat().reduce((sum, end) => sum + end, 0)
}

/** A world in which a worker acknowledged everything, and stopped. */
async function readWorld(t: TestContext): Promise<World> {
  const world = await newWorld(t)
  const { worker } = await watched(t, world)
  await say(world, [...searches(80, 20), features('u1', 1)])
  await ownAll(world, worker)
  await settles(world)
  await committedAll(world, worker)
  await worker.stop()
  return world
}

async function clusterOf(t: TestContext, { bootstrap, prefix }: World): Promise<KafkaCluster> {
  const cluster = await KafkaCluster.create(kafkaSettings(bootstrap, prefix), systemClock)
  t.after(() => cluster.close())
  return cluster
}

kafkaSuite('freshet offsets', () => {
  test('show says where the group stands, and a reset waits until its workers are gone', async (t) => {
    const world = await newWorld(t)
    const { worker } = await watched(t, world)
    await say(world, searches(80, 20))
    await ownAll(world, worker)
    await settles(world)
    await committedAll(world, worker)
    const shown = JSON.parse((await runToEnd([...flagsOf(world), 'offsets', 'show', '--json'])).stdout)
    assert.equal(shown.members.length, 1)
    assert.equal(shown.state, 'Stable')
    assert.equal(shown.positions.length, 3 * PARTITIONS)
    for (const { groupOffset, checkpoint, end, lag, epoch } of shown.positions) {
      assert.deepEqual([groupOffset, checkpoint, lag], [end, end, 0])
      assert.equal(epoch, worker.updater.ownership.epoch)
    }
    const refused = await runToEnd([...flagsOf(world), 'offsets', 'reset', '--to', 'earliest', '--yes'], 2)
    assert.match(refused.stderr, /^error: group-has-members: .*freshet-tests at 127\.0\.0\.1/m)
    // Whoever joins after the question was asked is found by the coordinator.
    const cluster = await clusterOf(t, world)
    const at = { topic: world.topics[0].topic, partition: 0 }
    const before = await committedOffsets(cluster, [at])
    await assert.rejects(
      commitForEmptyGroup(cluster, [{ ...at, offset: 0 }]),
      (error) => error instanceof ConfigError && error.code === 'group-has-members',
    )
    assert.deepEqual(await committedOffsets(cluster, [at]), before)
  })

  test('after a reset to the beginning everything is read again, and no vector differs', async (t) => {
    const world = await readWorld(t)
    const before = await settles(world)
    const dry = await runToEnd([...flagsOf(world), 'offsets', 'reset', '--to', 'earliest', '--dry-run'])
    assert.match(dry.stdout, /nothing was changed/)
    const asked = await runToEnd([...flagsOf(world), 'offsets', 'reset', '--to', 'earliest'], 2)
    assert.match(asked.stderr, /^error: not-confirmed: .*--yes/m)
    assert.ok((await positions(world)).every(({ lag }) => lag === 0))
    const moved = await reset(world, 'earliest')
    const all = await recordCount(world)
    assert.equal(
      moved.reduce((sum, { from, to }) => sum + from - to, 0),
      all,
    )
    assert.ok(
      (await positions(world)).every(({ checkpoint, groupOffset }) => checkpoint === 0 && groupOffset === 0),
    )
    const { worker, began, seen } = await watched(t, world)
    await ownAll(world, worker)
    for (const at of began.values()) assert.deepEqual([...at.values()], [0, 0, 0])
    await until('all is read again', () => seen.records === all)
    await committedAll(world, worker)
    assert.deepEqual(await settles(world), before)
    assert.deepEqual(worker.failures, [])
  })

  test('after a reset to the end only what is new is read, and a later reset brings back the rest', async (t) => {
    const world = await readWorld(t)
    const skipped = ['s1', 's2', 's3']
    await say(
      world,
      skipped.map((user) => search(user)),
    )
    await reset(world, 'latest')
    const { worker, seen } = await watched(t, world)
    await ownAll(world, worker)
    await say(world, [search('new')])
    await until('the new user is there', async () => (await stored(world, ['new'])).size === 3)
    await committedAll(world, worker)
    assert.equal(seen.records, 1)
    assert.equal((await stored(world, skipped)).size, 0)
    await worker.stop()
    // Back again, in one topic alone: Kafka's own tool could do that, and the checkpoint must not stand in its way.
    const { topic } = world.topics[0]
    const moved = await reset(world, 'earliest', '--topic', topic)
    assert.equal(moved.length, PARTITIONS)
    for (const { topic: name, groupOffset, checkpoint, end } of await positions(world))
      assert.deepEqual([groupOffset, checkpoint], name === topic ? [0, 0] : [end, end], name)
    const again = await watched(t, world)
    await ownAll(world, again.worker)
    await settles(world)
    assert.equal((await stored(world, skipped)).size, 9)
  })

  test('a time is its first record, of the partitions that are named', async (t) => {
    const world = await newWorld(t)
    const { topic } = world.topics[0]
    await say(world, searches(60, 20))
    const before = await endOffsets(world.bootstrap, topic)
    await sleep(50) // Records are told apart by their milliseconds.
    const time = new Date().toISOString()
    await sleep(50)
    await say(world, searches(60, 20))
    const ends = await endOffsets(world.bootstrap, topic)
    const moved = await reset(world, time, '--topic', topic, '--partition', '1', '--partition', '2')
    assert.deepEqual(
      moved,
      [1, 2].map((partition) => ({ topic, partition, from: 0, to: before[partition] })),
    )
    const after = await reset(world, '2100-01-01', '--partition', '1')
    assert.equal(after.find((one) => one.topic === topic)!.to, ends[1])
    // Nobody has owned them: the rest begins at the beginning, and the day is whoever comes first's.
    const { worker, began } = await watched(t, world)
    await ownAll(world, worker)
    assert.deepEqual(
      [0, 1, 2].map((partition) => began.get(partition)!.get(topic)),
      [0, ends[1], before[2]],
    )
  })

  test('the epoch of a reset is above any in the changelog, and the day stays', async (t) => {
    const world = await readWorld(t)
    const cluster = await clusterOf(t, world)
    const state = { topic: `${world.prefix}.state`, partitionCount: PARTITIONS }
    const changelog = await KafkaChangelog.open(cluster, world.producer, state)
    const ahead = Math.floor(Date.now() / 1_000) + 1_000
    await changelog.append(4, [{ kind: 'claim', epoch: ahead }])
    await reset(world, 'earliest', '--partition', '3', '--partition', '4')
    const epochs = new Map((await positions(world)).map(({ partition, epoch }) => [partition, epoch]))
    assert.deepEqual([epochs.get(3), epochs.get(4)], [ahead + 1, ahead + 1])
    assert.ok(epochs.get(5)! < ahead)
    const days: number[] = []
    for await (const { records } of changelog.read(4, 0))
      for (const { record } of records)
        if (record.kind === 'checkpoint' && record.checkpoint?.confirmed) days.push(record.checkpoint.day)
    assert.equal(days.at(-1), days.at(-2))
  })

  test('names of topics and partitions that aren’t there are told with those that are', async (t) => {
    const world = await newWorld(t)
    const { topic } = world.topics[0]
    const run = (...args: string[]) =>
      runToEnd([...flagsOf(world), 'offsets', 'reset', '--to', 'latest', ...args], 2)
    const [misspelt, outside] = await Promise.all([
      run('--topic', `${topic}x`),
      run('--partition', String(PARTITIONS)),
    ])
    assert.match(misspelt.stderr, new RegExp(`^error: offsets-topic: .*did you mean ${topic}\\?`, 'm'))
    assert.match(outside.stderr, /^error: offsets-partition: expected --partition from 0 to 5, got 6/m)
  })
})
