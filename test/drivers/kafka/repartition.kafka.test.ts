import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import kafkajs from 'kafkajs'
import type { KafkaSettings } from '../../../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../../../src/drivers/kafka/partitioner.ts'
import { Repartition } from '../../../src/drivers/kafka/repartition.ts'
import type { SourceRecord } from '../../../src/events/source-record.ts'
import { unavailable } from '../../../src/pipeline/channels.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { kafkaSettings, startedSource, until } from '../../kafka/driver-fixture.ts'
import { kafkaMissing } from '../../kafka/jars.ts'
import { kafkaSuite } from '../../kafka/kafka-suite.ts'
import { createTopic, endOffsets, produce, withAdmin } from '../../kafka/kafkajs-records.ts'
import { kcatConsume, kcatMissing, kcatProduce } from '../../kafka/kcat.ts'
import { sharedBroker, uniqueName } from '../../kafka/shared-broker.ts'

const SOURCE_PARTITIONS = 5
const COPY_PARTITIONS = 8
const USERS = ['Zoë', '用户-七', ...Array.from({ length: 40 }, (_, i) => `user-${i}`)]

interface Topics {
  bootstrap: string
  group: string
  from: string
  to: string
}

async function newTopics(): Promise<Topics> {
  const { bootstrap } = await sharedBroker()
  const [from, group] = [uniqueName('clicks'), uniqueName('workers')]
  const to = `${group}.freshet.repartition.${from}`
  await createTopic(bootstrap, from, SOURCE_PARTITIONS)
  await createTopic(bootstrap, to, COPY_PARTITIONS)
  return { bootstrap, group, from, to }
}

/** A stage as a worker runs it; closed when the test ends, if it wasn't before. */
async function startStage(
  t: TestContext,
  { bootstrap, group, from, to }: Topics,
  over: Partial<KafkaSettings> = {},
  beforeStart = async () => {},
) {
  const settings = kafkaSettings(bootstrap, group, over)
  const topics = [{ from, to }]
  const stage = await Repartition.open({ settings, clock: systemClock, topics, commitIntervalMs: 50 })
  const watched: { stage: Repartition; failure?: unknown } = { stage }
  stage.failed = (error) => {
    watched.failure = error
  }
  t.after(() => stage.close())
  await beforeStart()
  await stage.start()
  return watched
}

/** `count` records of each user, numbered, as a producer writes them that knows nothing of murmur2. */
async function fill({ bootstrap, from }: Topics, first: number, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, i) => first + i)
  await kcatProduce(
    bootstrap,
    from,
    numbers.flatMap((number) => USERS.map((key) => ({ key, value: `${key} ${number}` }))),
  )
}

const endOf = async (bootstrap: string, topic: string) =>
  (await endOffsets(bootstrap, topic)).reduce((sum, end) => sum + end, 0)

/** Offsets of the group, summed up. */
async function committed({ bootstrap, group, from }: Topics): Promise<number> {
  const groupId = `${group}.repartition.${from}`
  const found = await withAdmin(bootstrap, (admin) => admin.fetchOffsets({ groupId, topics: [from] }))
  return found
    .flatMap(({ partitions }) => partitions)
    .reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
}

async function configure(bootstrap: string, topic: string, name: string, value: string): Promise<void> {
  const resources = [
    { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] },
  ]
  await withAdmin(bootstrap, (admin) => admin.alterConfigs({ validateOnly: false, resources }))
}

/** As kcat reads them: it knows every compression. */
async function recordsOf(bootstrap: string, topic: string): Promise<SourceRecord[]> {
  return (await kcatConsume(bootstrap, topic)).map(({ timestampMs: appendTimeMs, headers, ...record }) => ({
    ...record,
    topic,
    appendTimeMs,
    headers: Object.fromEntries(headers.split(',').map((header) => header.split('='))),
  }))
}

const originOf = ({ headers = {} }: SourceRecord) =>
  ['topic', 'partition', 'offset'].map((name) => headers[`freshet.source.${name}`]).join(' ')

/** Every record is in the partition of its key, as it was in the source; those of a source's partition are in order. */
async function assertCopied({ bootstrap, from, to }: Topics, duplicates: 'none' | 'allowed'): Promise<void> {
  const [source, copies] = [await recordsOf(bootstrap, from), await recordsOf(bootstrap, to)]
  const origin = new Map(source.map((record) => [`${from} ${record.partition} ${record.offset}`, record]))
  const last = new Map<string, SourceRecord>()
  for (const copy of copies) {
    const record = origin.get(originOf(copy))!
    assert.deepEqual([copy.key, copy.value], [record.key, record.value])
    assert.equal(copy.appendTimeMs, record.appendTimeMs)
    assert.equal(copy.partition, record.key === null ? 0 : partitionOf(record.key, COPY_PARTITIONS))
    last.set(originOf(copy), copy)
  }
  assert.deepEqual(new Set(last.keys()), new Set(origin.keys()))
  if (duplicates === 'none') assert.equal(copies.length, source.length)
  // What is repeated comes in order, too: the last of each are as they were.
  const places = Map.groupBy(source, ({ partition, key }) => `${partition} ${key}`)
  for (const ofKey of places.values()) {
    const offsets = ofKey.map(({ partition, offset }) => last.get(`${from} ${partition} ${offset}`)!.offset)
    assert.deepEqual(
      offsets,
      offsets.toSorted((a, b) => a - b),
    )
  }
}

function register(): void {
  test('what another partitioner has spread lies by murmur2, in order, with its times, and passes for a source', async (t) => {
    const topics = await newTopics()
    const { bootstrap, from, to } = topics
    await fill(topics, 0, 20)
    const elsewhere = await recordsOf(bootstrap, from)
    assert.ok(elsewhere.some(({ key, partition }) => partitionOf(key!, SOURCE_PARTITIONS) !== partition))
    // As it may be in a source: no key, no value, headers, a time of long ago.
    await produce(bootstrap, from, [
      { partition: 3, key: null, value: 'whose?', headers: { a: 'b' } },
      { partition: 4, key: 'user-1', value: null, timestamp: '1500000000000' },
    ])
    const watched = await startStage(t, topics)
    const count = elsewhere.length + 2
    await until('all is copied', async () => (await endOf(bootstrap, to)) >= count)
    await watched.stage.stop()
    assert.equal(await committed(topics), count)
    await assertCopied(topics, 'none')
    const keyless = (await recordsOf(bootstrap, to)).find(({ key }) => key === null)!
    assert.equal(keyless.headers?.a, 'b')
    assert.equal(
      originOf(keyless),
      `${from} 3 ${elsewhere.filter(({ partition }) => partition === 3).length}`,
    )

    const { collector } = await startedSource(t, kafkaSettings(bootstrap, uniqueName('reader')), [to])
    await until('the copy is read', () => collector.received.length === count)
    assert.equal(collector.failure, undefined)
    assert.equal(watched.failure, undefined)
  })

  for (const [when, commitIntervalMs] of [
    ['between two commits', 50],
    ['before it has committed anything', 3_600_000],
  ] as const)
    test(`a worker killed ${when} loses nothing; another repeats some, in order`, async (t) => {
      const topics = await newTopics()
      const { bootstrap, group, from, to } = topics
      await fill(topics, 0, 30)
      const script = fileURLToPath(new URL('repartition-child.ts', import.meta.url))
      const args = [bootstrap, group, from, to, String(commitIntervalMs)]
      const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit' })
      t.after(() => child.kill('SIGKILL'))
      await until('something is copied', async () => (await endOf(bootstrap, to)) > 0)
      const filling = fill(topics, 30, 30)
      await until('more is copied', async () => (await endOf(bootstrap, to)) > 31 * USERS.length)
      child.kill('SIGKILL')
      await Promise.all([filling, once(child, 'exit')])
      const watched = await startStage(t, topics)
      const count = 60 * USERS.length
      await until('all is committed', async () => (await committed(topics)) === count)
      await watched.stage.close()
      await assertCopied(topics, 'allowed')
      const repeated = (await endOf(bootstrap, to)) - count
      if (commitIntervalMs > 50) assert.ok(repeated > 31 * USERS.length, `${repeated} are repeated`)
      assert.equal(watched.failure, undefined)
    })

  test('while the copy can’t be written, all is tried again; then nothing is lost, and the last of each comes in order', async (t) => {
    const topics = await newTopics()
    const { bootstrap, to } = topics
    await fill(topics, 0, 20)
    let untold = 0
    const end = unavailable.subscribe(({ error }) => {
      if (error.message.includes(to)) untold++
    })
    t.after(end)
    const isGone = async () => {
      await withAdmin(bootstrap, (admin) => admin.deleteTopics({ topics: [to] }))
    }
    const watched = await startStage(t, topics, { requestTimeoutMs: 1_000 }, isGone)
    await until('each partition was tried again', () => untold > 2 * SOURCE_PARTITIONS)
    await fill(topics, 20, 20)
    assert.equal(await committed(topics), 0)
    await createTopic(bootstrap, to, COPY_PARTITIONS)
    await until('all is committed', async () => (await committed(topics)) === 40 * USERS.length)
    await watched.stage.close()
    await assertCopied(topics, 'allowed')
    assert.equal(watched.failure, undefined)
  })

  test('two workers share a topic, and one that leaves hands on what it has committed', async (t) => {
    const topics = await newTopics()
    const { bootstrap, to } = topics
    const [first, second] = [await startStage(t, topics), await startStage(t, topics)]
    await fill(topics, 0, 20)
    await until('all is copied', async () => (await endOf(bootstrap, to)) >= 20 * USERS.length)
    await first.stage.close()
    await fill(topics, 20, 20)
    await until('all is committed', async () => (await committed(topics)) === 40 * USERS.length)
    await second.stage.close()
    await assertCopied(topics, 'allowed')
    for (const { failure } of [first, second]) assert.equal(failure, undefined)
  })

  test('a record that the copy refuses is a dead letter of its source, and the others go on', async (t) => {
    const topics = await newTopics()
    const { bootstrap, from, to } = topics
    await configure(bootstrap, to, 'cleanup.policy', 'compact')
    await createTopic(bootstrap, `${from}.dlq`, SOURCE_PARTITIONS)
    await produce(bootstrap, from, [
      { partition: 2, key: 'user-1', value: 'before' },
      { partition: 2, key: null, value: 'no place in a compacted topic' },
      { partition: 2, key: 'user-1', value: 'after' },
    ])
    const watched = await startStage(t, topics)
    await until('all is committed', async () => (await committed(topics)) === 3)
    await watched.stage.close()
    const copies = await recordsOf(bootstrap, to)
    assert.deepEqual(
      copies.map(({ value }) => String(value)),
      ['before', 'after'],
    )
    const [letter, ...more] = await recordsOf(bootstrap, `${from}.dlq`)
    assert.equal(more.length, 0)
    assert.equal(String(letter!.value), 'no place in a compacted topic')
    const told = ['topic', 'partition', 'offset', 'reason'].map(
      (name) => letter!.headers![`freshet.dlq.${name}`],
    )
    assert.deepEqual(told, [from, '2', '1', 'kafka-record-refused'])
    assert.equal(watched.failure, undefined)
  })
}

kafkaSuite('topics of other partitioners', register, kafkaMissing() ?? kcatMissing())
