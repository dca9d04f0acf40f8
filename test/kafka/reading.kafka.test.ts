import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Partitioners } from 'kafkajs'
import type { Fetcher } from '../../src/drivers/kafka/fetcher.ts'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { ConfigError, UnavailableError } from '../../src/errors.ts'
import { driverLog, outOfRange } from '../../src/pipeline/channels.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { Appender, type Collector, kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { client, createTopic, withAdmin } from './kafkajs-records.ts'
import { kcatMissing, kcatProduce } from './kcat.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const isConfigError = (code: string) => (error: unknown) =>
  error instanceof ConfigError && error.code === code

async function topicWith(config: Record<string, string>, numPartitions = 1): Promise<string> {
  const { bootstrap } = await sharedBroker()
  const topic = uniqueName('read')
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true }),
  )
  return topic
}

/** What retention does: all before an offset is gone. */
async function cutBefore(topic: string, offset: string): Promise<void> {
  const { bootstrap } = await sharedBroker()
  await withAdmin(bootstrap, async (admin) => {
    await admin.fetchTopicOffsets(topic) // Without it, kafkajs doesn't know the topic.
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  })
}

async function appenderOf(t: TestContext): Promise<Appender> {
  const appender = new Appender((await sharedBroker()).bootstrap)
  t.after(() => appender.close())
  return appender
}

/** A reader of some topics, from the position that each partition is sought to; by default from the beginning. */
async function reader(
  t: TestContext,
  topics: readonly string[],
  over: Partial<KafkaSettings> = {},
): Promise<{ source: KafkaEventSource; collector: Collector }> {
  const { bootstrap } = await sharedBroker()
  return startedSource(t, kafkaSettings(bootstrap, uniqueName('reader'), over), topics)
}

const values = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `${from + i}`)
const messages = (of: readonly string[], partition = 0) =>
  of.map((value) => ({ partition, key: 'u1', value }))

/** One that murmur2 puts there. */
function keyOf(partition: number, partitionCount: number): string {
  for (let i = 0; ; i++) if (partitionOf(Buffer.from(`u${i}`), partitionCount) === partition) return `u${i}`
}

kafkaSuite('reading from Kafka', () => {
  test('records of other clients are read in every compression, with keys, headers and deletions', {
    skip: kcatMissing() ?? false,
  }, async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = await topicWith({}, 4)
    const expected: string[] = []
    for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const sent = Array.from({ length: 200 }, (_, i) => ({
        key: `客戶${i}`,
        value: `${compression} ${'x'.repeat(i)} ${i}`,
      }))
      await kcatProduce(bootstrap, topic, sent, {
        compression,
        partitioner: 'murmur2_random',
        headers: [['freshet.tenant', 'société']],
      })
      expected.push(...sent.map(({ key, value }) => `${key} ${value}`))
    }
    await kcatProduce(bootstrap, topic, [{ key: 'u1', value: null }], { partitioner: 'murmur2_random' })
    const { collector } = await reader(t, [topic])
    await until('all have come', () => collector.received.length === 1_001)
    const gone = collector.received.filter(({ value }) => value === null)
    assert.deepEqual(
      gone.map(({ key }) => Buffer.from(key!).toString()),
      ['u1'],
    )
    const got = collector.received
      .filter(({ value }) => value !== null)
      .map(({ key, value }) => `${Buffer.from(key!)} ${Buffer.from(value!)}`)
    assert.deepEqual(got.toSorted(), expected.toSorted())
    assert.ok(
      collector.received.every(
        ({ headers, value }) => value === null || headers?.['freshet.tenant'] === 'société',
      ),
    )
    assert.equal(collector.failure, undefined)
  })

  test('a record where murmur2 would not put it stops the reading, with the remedy', {
    skip: kcatMissing() ?? false,
  }, async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = await topicWith({}, 8)
    const { collector } = await reader(t, [topic])
    const sent = Array.from({ length: 50 }, (_, i) => ({ key: `u${i}`, value: 'x' }))
    await kcatProduce(bootstrap, topic, sent)
    await until('it has failed', () => collector.failure !== undefined)
    assert.ok(isConfigError('topic-partitioner')(collector.failure), String(collector.failure))
    for (const { key, partition } of collector.received) assert.equal(partitionOf(key!, 8), partition)
  })

  test('records of transactions are read when they are committed, those given up never', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = await topicWith({})
    const producer = client(bootstrap).producer({
      transactionalId: uniqueName('tx'),
      maxInFlightRequests: 1,
      idempotent: true,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    t.after(() => producer.disconnect())
    await producer.connect()
    const { source, collector } = await reader(t, [topic])
    const expected: string[] = []
    for (let round = 0; round < 6; round++) {
      const transaction = await producer.transaction()
      const sent = values(3, 10 * round)
      await transaction.send({ topic, messages: messages(sent) })
      if (round % 2 === 0) expected.push(...sent)
      await (round % 2 === 0 ? transaction.commit() : transaction.abort())
    }
    // Six times three records and a marker each.
    await until(
      'the end is behind the last marker',
      async () => (await source.endOffsets(0)).get(topic) === 24,
    )
    await until('the committed have come', () => collector.received.length === expected.length)
    const open = await producer.transaction()
    await open.send({ topic, messages: messages(['not yet']) })
    assert.deepEqual(collector.values(topic), expected)
    assert.equal((await source.endOffsets(0)).get(topic), 24)
    await open.commit()
    await until('the last has come, too', () => collector.received.length === expected.length + 1)
  })

  test('a compacted topic is read to its end, though most of its records are gone', async (t) => {
    const eager = {
      'segment.ms': '100',
      'max.compaction.lag.ms': '100',
      'min.cleanable.dirty.ratio': '0.001',
    }
    const topic = await topicWith({ 'cleanup.policy': 'compact', ...eager })
    // A producer's last batch stays, without its records, so that its numbers go on.
    await (await appenderOf(t)).append(topic, messages(['of another producer']))
    const appender = await appenderOf(t)
    let last = 1
    for (; last < 20; last++) await appender.append(topic, messages([`${last}`]))
    const seen = async () => {
      const { source, collector } = await reader(t, [topic])
      const end = (await source.endOffsets(0)).get(topic)!
      await until('the end is read', () => collector.received.at(-1)?.offset === end - 1)
      await source.close()
      return collector.received.map(({ offset }) => offset)
    }
    await until('most are gone', async () => {
      await appender.append(topic, messages([`${last++}`]))
      return (await seen()).length < last / 2
    })
  })

  test('what retention took is passed over as the policy says, and never silently', async (t) => {
    const appender = await appenderOf(t)
    const told: object[] = []
    const unsubscribe = outOfRange.subscribe((message) => told.push(message))
    t.after(unsubscribe)
    const cases = [
      { policy: 'earliest', from: 2, first: '5', to: 5 },
      { policy: 'latest', from: 2, first: 'new', to: 10 },
      { policy: 'earliest', from: 99, first: '5', to: 5 },
      { policy: 'fail', from: 2, first: null, to: 2 },
    ] as const
    for (const { policy, from, first, to } of cases) {
      told.length = 0
      const topic = await topicWith({})
      await appender.append(topic, messages(values(10)))
      await cutBefore(topic, '5')
      const { source, collector } = await reader(t, [topic], { offsetOutOfRange: policy })
      collector.onAssigned = () => source.seek(0, new Map([[topic, from]]))
      await until('the policy was followed', () => told.length === 1)
      assert.deepEqual(told, [{ topic, partition: 0, from, to, start: 5, end: 10, policy }])
      if (first === null) {
        await until('it has failed', () => collector.failure !== undefined)
        assert.ok(isConfigError('offset-out-of-range')(collector.failure))
      } else {
        await appender.append(topic, messages(['new']))
        await until('it reads on', () => collector.received.length > 0)
        assert.equal(collector.values(topic)[0], first)
      }
      await source.close()
    }
  })

  test('who has never read begins where the log begins, whatever the policy', async (t) => {
    const topic = await topicWith({})
    await (await appenderOf(t)).append(topic, messages(values(10)))
    await cutBefore(topic, '5')
    const { collector } = await reader(t, [topic], { offsetOutOfRange: 'fail' })
    await until('all have come', () => collector.received.length === 5)
    assert.deepEqual(collector.values(topic), values(5, 5))
    assert.equal(collector.failure, undefined)
  })

  test('a pause of one partition holds back no other, and a seek while it lasts is kept', async (t) => {
    const topic = await topicWith({}, 2)
    const appender = await appenderOf(t)
    const inZero = { key: keyOf(0, 2), partition: 0 }
    const inOne = { key: keyOf(1, 2), partition: 1 }
    const { source, collector } = await reader(t, [topic])
    await until('both are assigned', () => collector.partitions.length === 2)
    source.pause([0])
    await appender.append(topic, [
      { ...inZero, value: 'a' },
      { ...inZero, value: 'b' },
      { ...inOne, value: 'c' },
    ])
    await until('the other has come', () => collector.received.length === 1)
    source.seek(0, new Map([[topic, 1]]))
    await appender.append(topic, [{ ...inOne, value: 'd' }])
    await until('and the next', () => collector.received.length === 2)
    assert.deepEqual(collector.values(topic), ['c', 'd'])
    source.resume([0])
    await until('the paused one goes on', () => collector.received.length === 3)
    assert.deepEqual(collector.values(topic, 0), ['b'])
  })

  test('times are the broker’s where the topic says so, else the producer’s', async (t) => {
    const appender = await appenderOf(t)
    const liedMs = 1_000_000_000_000
    const told: string[] = []
    t.after(driverLog.subscribe(({ message }) => told.push(message)))
    const beforeMs = Date.now() - 1_000
    for (const type of ['CreateTime', 'LogAppendTime']) {
      const topic = await topicWith({ 'message.timestamp.type': type })
      await appender.append(topic, [{ partition: 0, key: 'u1', value: 'x', timestamp: String(liedMs) }])
      const { source, collector } = await reader(t, [topic])
      await until('it has come', () => collector.received.length === 1)
      const { appendTimeMs } = collector.received[0]!
      const isTold = told.some((message) => message.includes(topic) && message.includes('LogAppendTime'))
      assert.equal(isTold, type === 'CreateTime', 'who judges by producers’ times says so')
      if (type === 'CreateTime') assert.equal(appendTimeMs, liedMs)
      else assert.ok(appendTimeMs > beforeMs && appendTimeMs < Date.now() + 1_000)
      await source.close()
    }
  })

  test('a record larger than what is asked for at once is read all the same', async (t) => {
    const topic = await topicWith({})
    await (await appenderOf(t)).append(topic, messages(['x'.repeat(300_000), 'y']))
    const { collector } = await reader(t, [topic], { fetchPartitionBytesMax: 1_000, fetchBytesMax: 1_000 })
    await until('both have come', () => collector.received.length === 2)
    assert.deepEqual(
      collector.received.map(({ value }) => value!.length),
      [300_000, 1],
    )
  })

  test('topics that are missing, or differ in their partitions, are refused before anything is read', async () => {
    const { bootstrap } = await sharedBroker()
    const settings = kafkaSettings(bootstrap, uniqueName('refused'))
    const one = await topicWith({}, 1)
    const two = await topicWith({}, 2)
    const open = (...topics: string[]) => KafkaEventSource.open(settings, topics, systemClock)
    await assert.rejects(open(one, 'never-created'), isConfigError('kafka-topic-missing'))
    await assert.rejects(open(one, two), isConfigError('topics-not-co-partitioned'))
    // A topic that is just being created is waited for.
    const late = uniqueName('late')
    const opening = open(late)
    await createTopic(bootstrap, late, 3)
    const source = await opening
    assert.equal(source.partitionCount, 3)
    await source.close()
  })

  test('partitions that somebody adds stop the reading: keys belong elsewhere now', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = await topicWith({}, 2)
    const { collector } = await reader(t, [topic], { metadataAgeMs: 200 })
    await until('it reads', () => collector.partitions.length === 2)
    await withAdmin(bootstrap, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] }))
    await until('it has failed', () => collector.failure !== undefined)
    assert.ok(isConfigError('topic-partitions-changed')(collector.failure), String(collector.failure))
  })

  test('a listener that throws stops the reading, and is heard', async (t) => {
    const topic = await topicWith({})
    const { collector } = await reader(t, [topic])
    collector.onRecords = () => {
      throw new RangeError('a mistake of ours')
    }
    await (await appenderOf(t)).append(topic, messages(values(3)))
    await until('it has failed', () => collector.failure !== undefined)
    assert.equal(String(collector.failure), 'RangeError: a mistake of ours')
    await sleep(300)
    assert.equal(collector.received.length, 3, 'nothing is handed over after it')
  })

  test('a reading that stands still for no known reason is given up; an idle or paused one is not', async (t) => {
    const topic = await topicWith({}, 2)
    // A busy machine may stand still for a while, too.
    const { source, collector } = await reader(t, [topic], { stuckAfterMs: 2_000 })
    await until('it reads', () => collector.partitions.length === 2)
    source.pause([1])
    await sleep(4_000)
    assert.equal(collector.failure, undefined, 'it is idle')
    // As if a request never ended.
    for (const cursor of (Reflect.get(source, 'fetcher') as Fetcher).cursorsOf(0))
      Object.defineProperty(cursor, 'isFetching', { get: () => true, set: () => {} })
    await until('it has failed', () => collector.failure !== undefined)
    const { failure } = collector as { failure: unknown }
    assert.ok(failure instanceof UnavailableError && failure.code === 'kafka-reading-stuck', String(failure))
  })

  test('an idle reader sets no timers of milliseconds', async (t) => {
    const topic = await topicWith({})
    const { collector } = await reader(t, [topic], { fetchWaitMs: 250 })
    await until('it reads', () => collector.assignments.length > 0)
    await sleep(300)
    let short = 0
    const real = globalThis.setTimeout
    t.mock.method(globalThis, 'setTimeout', (handler: () => void, ms = 0) => {
      if (ms < 20) short++
      return real(handler, ms)
    })
    await sleep(500)
    t.mock.restoreAll()
    assert.ok(short < 10, `${short} timers in half a second`)
  })
})
