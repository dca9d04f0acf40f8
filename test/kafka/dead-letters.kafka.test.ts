import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import {
  KafkaDeadLetters,
  type PlacedLetter,
  readDeadLetters,
} from '../../src/drivers/kafka/kafka-dead-letters.ts'
import { rawHeaders } from '../../src/drivers/kafka/raw-headers.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { ConfigError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { DeadLetter } from '../../src/pipeline/control-log.ts'
import { Appender, kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

function letterOf(over: Partial<DeadLetter>): DeadLetter {
  return {
    topic: 't',
    partition: 0,
    offset: 0,
    appendTimeMs: 1_700_000_000_000,
    key: Buffer.from('u1'),
    value: Buffer.from([0, 255, 1]),
    headers: {},
    reason: 'record-avro-truncated',
    error: 'expected 12 bytes, got 3: 客戶',
    attempts: 1,
    failedAtMs: 1_700_000_001_000,
    ...over,
  }
}

async function openLetters(t: TestContext) {
  const { bootstrap } = await sharedBroker()
  const settings = kafkaSettings(bootstrap, 'letters')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  t.after(async () => {
    await producer.close()
    cluster.close()
  })
  return {
    letters: new KafkaDeadLetters(producer),
    read: async (topic: string, partition: number): Promise<PlacedLetter[]> => {
      const all: PlacedLetter[] = []
      for await (const placed of readDeadLetters(cluster, topic, partition)) all.push(placed)
      return all
    },
  }
}

kafkaSuite('dead letters in Kafka', () => {
  test('a letter is read back with its raw bytes and all that is known of it, and once, however often it was put', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('broken')
    await createTopic(bootstrap, `${topic}.dlq`, 2)
    const first = await openLetters(t)
    const written = [
      letterOf({ topic, offset: 3, partition: 1, headers: { 'freshet.tenant': 'société' } }),
      letterOf({ topic, offset: 4, partition: 1, key: null, value: null }),
      letterOf({ topic, offset: 4, partition: 3, headers: { 'freshet.dlq.attempts': '2' } }),
    ]
    await first.letters.put(written)
    await first.letters.put(written)
    // Another worker reads the same records again, and doesn't know that they were put.
    const second = await openLetters(t)
    await second.letters.put(written)
    const read = await second.read(topic, 1)
    assert.deepEqual(
      read.map(({ letter }) => letter),
      [written[0], written[1], { ...written[2], headers: {}, attempts: 3 }],
    )
    assert.deepEqual(await second.read(topic, 0), [])
  })

  test('headers that are no text go through a dead letter byte by byte', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('binary')
    await createTopic(bootstrap, topic)
    await createTopic(bootstrap, `${topic}.dlq`)
    const appender = new Appender(bootstrap)
    t.after(() => appender.close())
    const guid = Buffer.from([1, 0xc3, 0x28, 0xff])
    const headers = { __value_schema_id: guid, twice: ['a', 'b'] }
    await appender.append(topic, [{ partition: 0, key: 'u1', value: 'x', headers }])
    const { collector } = await startedSource(t, kafkaSettings(bootstrap, uniqueName('g')), [topic])
    await until('the record has come', () => collector.received.length === 1)
    const { letters, read } = await openLetters(t)
    await letters.put([letterOf({ ...collector.received[0]!, headers: collector.received[0]!.headers! })])
    const [placed] = await read(topic, 0)
    const hex = rawHeaders(placed!.letter.headers).map(([name, value]) => [
      name,
      Buffer.from(value!).toString('hex'),
    ])
    assert.deepEqual(hex, [
      ['__value_schema_id', guid.toString('hex')],
      ['twice', '61'],
      ['twice', '62'],
    ])
  })

  test('a topic that is too narrow for a letter is the operator’s to mend', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('narrow')
    const configEntries = [{ name: 'max.message.bytes', value: '2000' }]
    await withAdmin(bootstrap, (admin) =>
      admin.createTopics({
        topics: [{ topic: `${topic}.dlq`, numPartitions: 1, configEntries }],
        waitForLeaders: true,
      }),
    )
    const { letters } = await openLetters(t)
    // Noise, so that compression doesn't help.
    const value = randomBytes(8_000)
    await assert.rejects(
      letters.put([letterOf({ topic, value })]),
      (error) => error instanceof ConfigError && error.code === 'dead-letter-refused',
    )
  })
})
