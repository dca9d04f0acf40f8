/** R6: every kind of poison over Kafka: the partition goes on, and the dead letters have the bytes and where they came from. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { readDeadLetters } from '../../src/drivers/kafka/kafka-dead-letters.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { RegistryClient } from '../../src/drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../../src/drivers/registry/registry-schemas.ts'
import { avroType, encodeAvro } from '../../src/events/avro.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { startRegistryDouble } from '../drivers/registry/registry-double.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { endOffsets, readRecords } from './kafkajs-records.ts'
import { features, newWorld, type World } from './world.ts'
import { committedAll, openOwner } from './world-worker.ts'

const VALUE_BYTES_MAX = 2_000

function confluent(id: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(id, 1)
  return Buffer.concat([frame, payload])
}

function encoded(query: string, timeMs = Date.now() - 1_000, user = 'u1'): Buffer {
  const header = { event_id: query, user_id: user, event_time: timeMs, source: 'test' }
  return encodeAvro(avroType(ownSchema('search')), { header, query })
}

function nanFeatures(): Buffer {
  const said = features('u1', 0.5)
  const value = createRecordEncoder('avro-raw').encode(said).value!
  const half = Buffer.alloc(8)
  half.writeDoubleLE(0.5)
  const nan = Buffer.alloc(8)
  nan.writeDoubleLE(Number.NaN)
  const at = value.indexOf(half)
  assert.ok(at > 0, 'the feature lies in the bytes')
  return Buffer.concat([value.subarray(0, at), nan, value.subarray(at + 8)])
}

/** What is wrong, the topic, key and value, and the reason that must be given. */
function poisons(id: number) {
  const good = confluent(id, encoded('cut'))
  const aYear = 365 * 86_400_000
  return [
    ['bad magic', 0, 'u1', Buffer.concat([Buffer.from([7]), good.subarray(1)]), 'record-frame'],
    ['an id that nobody registered', 0, 'u1', confluent(999_999, encoded('x')), 'record-schema-unknown'],
    ['truncated Avro', 0, 'u1', good.subarray(0, good.length - 3), 'record-avro-truncated'],
    [
      'a value above the limit',
      0,
      'u1',
      confluent(id, encoded('x'.repeat(VALUE_BYTES_MAX))),
      'record-value-too-large',
    ],
    ['no key', 0, null, confluent(id, encoded('x')), 'record-key-missing'],
    ['a time in the future', 0, 'u1', confluent(id, encoded('x', Date.now() + aYear)), 'event-from-future'],
    ['NaN among the features', 1, 'u1', nanFeatures(), ''],
  ] as const
}

async function put(world: World, topic: string, key: string | null, value: Buffer): Promise<void> {
  const bytes = key === null ? null : Buffer.from(key)
  const partition = partitionOf(Buffer.from('u1'), world.partitionCount)
  await world.producer.send(topic, partition, [
    { key: bytes, value, headers: [['trace', Buffer.from('t-1')]] },
  ])
}

/** @param letters of the first topic, then of the second, as they were put */
function checkLetters(
  world: World,
  partition: number,
  all: ReturnType<typeof poisons>,
  letters: readonly SourceRecord[],
): void {
  for (const [at, [what, topicIndex, key, value, reason]] of all.entries()) {
    const letter = letters[at]!
    const headers = letter.headers!
    assert.deepEqual(letter.value && Buffer.from(letter.value), value, `${what}: the raw bytes`)
    assert.deepEqual(letter.key && Buffer.from(letter.key).toString(), key, what)
    if (reason !== '') assert.equal(headers['freshet.dlq.reason'], reason, what)
    assert.equal(headers['freshet.dlq.topic'], world.topics[topicIndex].topic)
    assert.equal(headers['freshet.dlq.partition'], String(partition))
    assert.equal(headers['freshet.dlq.offset'], String(topicIndex === 0 ? at + 1 : 0))
    assert.equal(headers['freshet.dlq.attempts'], '1')
    assert.equal(headers.trace, 't-1', 'what it came with')
    for (const name of ['timestamp', 'failed-at'])
      assert.ok(Math.abs(Number(headers[`freshet.dlq.${name}`]) - Date.now()) < 60_000, `${what}: ${name}`)
    assert.ok(headers['freshet.dlq.error']!.length > 20, `${what}: ${headers['freshet.dlq.error']}`)
  }
}

kafkaSuite('poison in Kafka', () => {
  test('R6: each kind goes to the dead letters with its bytes and provenance, and its partition goes on; a registry that is down is waited for', async (t) => {
    const registry = await startRegistryDouble()
    t.after(() => registry.close())
    const { id } = registry.put('search-value', ownSchema('search'))
    const settings = { urls: [registry.url], username: null, password: null, timeoutMs: 2_000, cacheSize: 10 }
    const schemas = new RegistrySchemas({
      client: new RegistryClient(settings, { roundsMax: 1 }),
      directory: directorySchemas(null),
      cacheSize: 10,
      nowMs: () => systemClock.nowMs(),
      sleep: (ms, signal) => systemClock.sleep(ms, signal),
    })
    t.after(() => schemas.close())
    const world = await newWorld(t, { events: { format: 'avro-confluent' } })
    const [events, tabular] = world.topics
    const partition = partitionOf(Buffer.from('u1'), world.partitionCount)
    registry.fault = { kind: 'down' }
    const worker = await openOwner(t, world, { schemas, valueBytesMax: VALUE_BYTES_MAX })

    await put(world, events.topic, 'u1', confluent(id, encoded('first')))
    await until('the registry was asked', () => registry.requests.length > 0)
    const asked = registry.requests.length
    await until('and again', () => registry.requests.length > asked)
    assert.equal(
      (await worker.source.committed(partition)).get(events.topic) ?? 0,
      0,
      'nothing is passed over',
    )
    assert.deepEqual(
      await endOffsets(world.bootstrap, `${events.topic}.dlq`),
      Array(world.partitionCount).fill(0),
    )
    registry.fault = null
    await committedAll(world, worker)
    assert.deepEqual(
      await endOffsets(world.bootstrap, `${events.topic}.dlq`),
      Array(world.partitionCount).fill(0),
    )

    const all = poisons(id)
    for (const [, topicIndex, key, value] of all) await put(world, world.topics[topicIndex].topic, key, value)
    await put(world, events.topic, 'u1', confluent(id, encoded('last')))
    await committedAll(world, worker)

    const letters = await readRecords(
      world.bootstrap,
      [events, tabular].map(({ topic }) => `${topic}.dlq`),
    )
    assert.equal(letters.length, all.length)
    checkLetters(world, partition, all, letters)
    const cluster = await KafkaCluster.create(kafkaSettings(world.bootstrap, world.prefix), systemClock)
    t.after(() => cluster.close())
    const read: string[] = []
    for await (const { letter } of readDeadLetters(cluster, events.topic, partition)) read.push(letter.reason)
    assert.equal(read.length, all.length - 1)
    const state = worker.updater.ownership.partitions.get(partition)!
    const entry = [...state.entries.values()].find(({ key }) => key.endsWith('u1'))!
    assert.deepEqual(
      state.stateOf(entry).windows.search.map(({ eventId }) => eventId),
      ['first', 'last'],
      'what was good has been applied',
    )
    assert.deepEqual(worker.failures, [])
  })
})
