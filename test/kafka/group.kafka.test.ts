import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssignerProtocol, type PartitionAssigner } from 'kafkajs'
import { PROTOCOL_NAME } from '../../src/drivers/kafka/group-protocol.ts'
import type { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { ConfigError } from '../../src/errors.ts'
import { Appender, type Collector, kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { client, createTopic, withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const PARTITIONS = 8

interface Worker {
  source: KafkaEventSource
  collector: Collector
}

async function newGroup(): Promise<{ settings: KafkaSettings; topics: string[]; bootstrap: string }> {
  const { bootstrap } = await sharedBroker()
  const topics = [uniqueName('app'), uniqueName('search')]
  for (const topic of topics) await createTopic(bootstrap, topic, PARTITIONS)
  return { settings: kafkaSettings(bootstrap, uniqueName('group')), topics, bootstrap }
}

/** All have joined the same generation, and together hold every partition once. */
async function settled(...workers: readonly Worker[]): Promise<number> {
  await until('the group has settled', () => {
    const last = workers.map(({ collector }) => collector.assignments.at(-1))
    const generations = new Set(last.map((assignment) => assignment?.generation))
    const held = last.flatMap((assignment) => assignment?.partitions ?? [])
    return generations.size === 1 && new Set(held).size === PARTITIONS && held.length === PARTITIONS
  })
  return workers[0]!.collector.assignments.at(-1)!.generation
}

/** One that dies: no farewell, no more heartbeats. */
function die({ source }: Worker): void {
  ;(Reflect.get(source, 'cluster') as { close(): void }).close()
}

const offsetsOf = (topics: readonly string[], partitions: readonly number[], offset: number) =>
  new Map(partitions.map((partition) => [partition, new Map(topics.map((topic) => [topic, offset]))]))

kafkaSuite('a group of workers', () => {
  test('partitions of all topics are shared alike, and those who stay keep theirs', async (t) => {
    const { settings, topics, bootstrap } = await newGroup()
    const a = await startedSource(t, settings, topics)
    const first = await settled(a)
    const b = await startedSource(t, settings, topics)
    assert.equal(await settled(a, b), first + 1, 'one who joins makes one generation')
    const c = await startedSource(t, settings, topics)
    await settled(a, b, c)
    const sizes = [a, b, c].map(({ collector }) => collector.partitions.length).sort()
    assert.deepEqual(sizes, [2, 3, 3])
    const { groups } = await withAdmin(bootstrap, (admin) => admin.describeGroups([settings.groupId]))
    for (const { memberAssignment } of groups[0]!.members) {
      const assignment = AssignerProtocol.MemberAssignment.decode(memberAssignment)!.assignment
      assert.deepEqual(assignment[topics[0]!], assignment[topics[1]!], 'the same numbers of all topics')
    }
    const before = [a, c].map(({ collector }) => [...collector.partitions])
    await b.source.close()
    await settled(a, c)
    for (const [index, { collector }] of [a, c].entries())
      for (const partition of before[index]!) assert.ok(collector.partitions.includes(partition))
  })

  test('a kept partition is read on without a seek, a lost one by its new owner: no record is missed or twice', async (t) => {
    const { settings, topics, bootstrap } = await newGroup()
    const appender = new Appender(bootstrap)
    t.after(() => appender.close())
    const topic = topics[0]!
    let appended = 0
    const append = async (count: number) => {
      const messages = Array.from({ length: count }, () => {
        const key = `u${appended % 50}`
        return { key, value: `${appended++}`, partition: partitionOf(Buffer.from(key), PARTITIONS) }
      })
      await appender.append(topic, messages)
    }
    const workers: Worker[] = []
    // Whoever gets a partition reads on where it was read last: what a checkpoint does for workers.
    const readTo = new Map<number, number>()
    const join = async () => {
      const worker = await startedSource(t, settings, topics)
      worker.collector.onAssigned = (_, fresh) => {
        for (const partition of fresh)
          worker.source.seek(partition, new Map([[topic, readTo.get(partition) ?? 0]]))
      }
      worker.collector.onRecords = (batch) => {
        const { partition, offset } = batch.at(-1)!
        if (worker.collector.partitions.includes(partition)) readTo.set(partition, offset + 1)
      }
      workers.push(worker)
    }
    await join()
    await append(100)
    await join()
    await append(100)
    await settled(...workers)
    await append(100)
    await join()
    await append(100)
    await settled(...workers)
    await workers[1]!.source.close()
    await append(100)
    const received = () => workers.flatMap(({ collector }) => collector.values(topic))
    await until('all have come', () => new Set(received()).size === appended)
    for (const { collector } of workers) {
      const perPartition = Map.groupBy(collector.received, ({ partition }) => partition)
      for (const records of perPartition.values())
        for (const [at, { offset }] of records.entries())
          if (at > 0) assert.ok(offset > records[at - 1]!.offset, 'records of a partition come in order')
    }
  })

  test('one who dies without a farewell is replaced when its session has ended', async (t) => {
    const { settings, topics } = await newGroup()
    const short = { ...settings, sessionTimeoutMs: 2_000, rebalanceTimeoutMs: 120_000 }
    const a = await startedSource(t, short, topics)
    const b = await startedSource(t, short, topics)
    await settled(a, b)
    const diedMs = performance.now()
    die(b)
    await settled(a)
    const tookMs = performance.now() - diedMs
    // A session begins with the last heartbeat, and nobody waits until the rebalance has to end.
    assert.ok(tookMs > 1_000 && tookMs < 30_000, `${tookMs} ms`)
    assert.equal(a.collector.failure, undefined)
  })

  test('a commit counts in the very generation it was made for, of whoever is a member of it (O1)', async (t) => {
    const { settings, topics } = await newGroup()
    const a = await startedSource(t, settings, topics)
    const first = await settled(a)
    assert.equal(await a.source.commit(first, offsetsOf(topics, [0, 7], 5)), true)
    const b = await startedSource(t, settings, topics)
    const second = await settled(a, b)
    assert.equal(await a.source.commit(first, offsetsOf(topics, [0], 9)), false)
    assert.equal(await b.source.commit(first, offsetsOf(topics, [0], 9)), false)
    assert.deepEqual(await b.source.committed(0), new Map(topics.map((topic) => [topic, 5])))
    assert.deepEqual(await b.source.committed(3), new Map())
    assert.equal(await b.source.commit(second, offsetsOf(topics, b.collector.partitions, 6)), true)
    assert.deepEqual(
      await a.source.committed(b.collector.partitions[0]!),
      new Map(topics.map((topic) => [topic, 6])),
    )
    // One whom the group has given up, and who doesn't know it yet.
    const { groups } = await withAdmin(settings.brokers[0]!, (admin) =>
      admin.describeGroups([settings.groupId]),
    )
    assert.equal(groups[0]!.members.length, 2)
  })

  test('a worker that was given up learns it from its commit, and joins again', async (t) => {
    const { settings, topics } = await newGroup()
    const a = await startedSource(
      t,
      { ...settings, sessionTimeoutMs: 3_000, heartbeatIntervalMs: 60_000 },
      topics,
    )
    const first = await settled(a)
    await until('the broker has given it up', async () => {
      const { groups } = await withAdmin(settings.brokers[0]!, (admin) =>
        admin.describeGroups([settings.groupId]),
      )
      return groups[0]!.members.length === 0
    })
    assert.equal(await a.source.commit(first, offsetsOf(topics, [1], 5)), false)
    await until('it has joined again', () => a.collector.assignments.length === 2)
    assert.equal(a.collector.revocations, 1)
    const again = a.collector.assignments[1]!.generation
    assert.ok(again > first)
    assert.equal(await a.source.commit(again, offsetsOf(topics, [1], 5)), true)
  })

  test('after a stop nothing is handed over, and commits are taken; a close hands the partitions on at once', async (t) => {
    const { settings: quick, topics, bootstrap } = await newGroup()
    const settings = { ...quick, sessionTimeoutMs: 60_000 }
    const appender = new Appender(bootstrap)
    t.after(() => appender.close())
    const a = await startedSource(t, settings, topics)
    const generation = await settled(a)
    await a.source.stop()
    await appender.append(topics[0]!, [
      { key: 'u1', value: 'x', partition: partitionOf(Buffer.from('u1'), PARTITIONS) },
    ])
    assert.equal(await a.source.commit(generation, offsetsOf(topics, [2], 4)), true)
    assert.equal(a.collector.received.length, 0)
    const closedMs = performance.now()
    await a.source.close()
    assert.equal(await a.source.commit(generation, offsetsOf(topics, [2], 5)), false)
    const b = await startedSource(t, settings, topics)
    await settled(b)
    assert.ok(performance.now() - closedMs < settings.sessionTimeoutMs / 2)
    assert.deepEqual(await b.source.committed(2), new Map(topics.map((topic) => [topic, 4])))
    await until('the record came to the next owner', () => b.collector.received.length === 1)
  })

  test('a group of other consumers is left alone', async (t) => {
    const { settings, topics, bootstrap } = await newGroup()
    const other = client(bootstrap).consumer({ groupId: settings.groupId })
    t.after(() => other.disconnect())
    await other.connect()
    await other.subscribe({ topics })
    const joined = new Promise((resolve) => other.on('consumer.group_join', resolve))
    await other.run({ eachBatch: async () => {} })
    await joined
    const a = await startedSource(t, settings, topics)
    await until('it has failed', () => a.collector.failure !== undefined)
    const { failure } = a.collector
    assert.ok(failure instanceof ConfigError && failure.code === 'kafka-group-taken', String(failure))
    assert.deepEqual(a.collector.assignments, [])
  })

  test('a worker of another version gets its share: its claim counts for nothing, its topics may be fewer', async (t) => {
    const { settings, topics, bootstrap } = await newGroup()
    const a = await startedSource(t, settings, topics)
    await settled(a)
    const other = client(bootstrap).consumer({
      groupId: settings.groupId,
      partitionAssigners: [ofAnotherVersion],
      heartbeatInterval: 200,
      maxWaitTimeInMs: 100,
    })
    t.after(() => other.disconnect())
    await other.connect()
    await other.subscribe({ topics: [topics[0]!] })
    let theirs: Record<string, number[]> = {}
    other.on('consumer.group_join', ({ payload }) => {
      theirs = payload.memberAssignment
    })
    await other.run({ eachBatch: async () => {} })
    await until(
      'both have half',
      () => a.collector.partitions.length === PARTITIONS / 2 && Object.keys(theirs).length > 0,
    )
    assert.deepEqual(Object.keys(theirs), [topics[0]])
    const all = [...a.collector.partitions, ...theirs[topics[0]!]!].sort((x, y) => x - y)
    assert.deepEqual(
      all,
      Array.from({ length: PARTITIONS }, (_, partition) => partition),
    )
  })
})

/** Speaks the same protocol, with claims in a form that nobody knows yet. */
const ofAnotherVersion: PartitionAssigner = () => ({
  name: PROTOCOL_NAME,
  version: 9,
  assign: async () => {
    throw new Error('the first to join leads the group')
  },
  protocol: ({ topics }) => ({
    name: PROTOCOL_NAME,
    metadata: AssignerProtocol.MemberMetadata.encode({
      version: 9,
      topics,
      userData: Buffer.from('{"owned":"all"}'),
    }),
  }),
})
