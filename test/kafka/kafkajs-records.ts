/** Topics, records and offsets of a broker through kafkajs alone: what the tests of the brokers themselves ask. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { zstdDecompressSync } from 'node:zlib'
import kafkajs, {
  type Admin,
  CompressionTypes,
  Kafka,
  type KafkaMessage,
  logLevel,
  type Message,
  Partitioners,
} from 'kafkajs'
import type { SourceRecord } from '../../src/events/source-record.ts'

const ADMIN_MS_MAX = 60_000
const POLL_MS = 20

/** Patient enough for a broker that is being restarted; what a test waits for says so itself when it doesn't come. */
export function client(bootstrap: string): Kafka {
  return new Kafka({
    clientId: 'freshet-tests',
    brokers: bootstrap.split(','),
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry: { retries: 30, initialRetryTime: 100, maxRetryTime: 1_000 },
  })
}

/**
 * A node that is loading, or hasn't heard of a topic yet, answers with an error that kafkajs calls retriable and its admin
 * does not retry.
 *
 * @param act called again after such an error
 */
export async function withAdmin<T>(bootstrap: string, act: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = client(bootstrap).admin()
  await admin.connect()
  const deadlineMs = Date.now() + ADMIN_MS_MAX
  try {
    for (;;) {
      try {
        return await act(admin)
      } catch (error) {
        if ((error as { retriable?: boolean }).retriable !== true || Date.now() > deadlineMs) throw error
      }
      await sleep(POLL_MS)
    }
  } finally {
    await admin.disconnect()
  }
}

export async function createTopic(bootstrap: string, topic: string, numPartitions = 1): Promise<void> {
  await withAdmin(bootstrap, async (admin) => {
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false })
    await admin.fetchTopicMetadata({ topics: [topic] }) // Throws while a partition has no leader.
  })
}

/** Acknowledged by as many as have to; each message goes in a request of its partition alone, idempotently. */
export async function produce(
  bootstrap: string,
  topic: string,
  messages: readonly (Message & { partition: number })[],
  compression = CompressionTypes.None,
): Promise<void> {
  const producer = client(bootstrap).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  try {
    for (const group of Map.groupBy(messages, ({ partition }) => partition).values())
      await producer.send({ topic, messages: group, acks: -1, compression })
  } finally {
    await producer.disconnect()
  }
}

/** End offset of each partition. */
export async function endOffsets(bootstrap: string, topic: string): Promise<number[]> {
  const offsets = await withAdmin(bootstrap, (admin) => admin.fetchTopicOffsets(topic))
  return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
}

/** All records of the topics, from their beginnings to the ends that they have now, by topic, partition and offset. */
export async function readRecords(bootstrap: string, topics: readonly string[]): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  const left = new Map<string, number>()
  const placeOf = (topic: string, partition: number) => `${topic} ${partition}`
  await withAdmin(bootstrap, async (admin) => {
    left.clear()
    for (const topic of topics)
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
        if (Number(high) > Number(low)) left.set(placeOf(topic, partition), Number(high))
  })
  if (left.size === 0) return []
  // kafkajs names it, and leaves the rest to whoever needs it.
  kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async () => assert.fail('nothing is written with it here'),
    decompress: async (bytes: Buffer) => zstdDecompressSync(bytes),
  })
  const consumer = client(bootstrap).consumer({
    groupId: `read-${randomUUID()}`,
    maxWaitTimeInMs: 100,
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // A coordinator that is still loading crashes a consumer, which then starts again by itself.
  consumer.on('consumer.crash', ({ payload }) => {
    if (!payload.restart) reject(payload.error)
  })
  await consumer.connect()
  try {
    await consumer.subscribe({ topics: [...topics], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        const place = placeOf(topic, partition)
        const end = left.get(place)
        if (end === undefined) return
        records.push(toSourceRecord(topic, partition, message))
        if (Number(message.offset) + 1 >= end) left.delete(place)
        if (left.size === 0) resolve()
      },
    })
    await promise
  } finally {
    await consumer.disconnect()
  }
  const order = new Map(topics.map((topic, index) => [topic, index]))
  return records.toSorted(
    (a, b) => order.get(a.topic)! - order.get(b.topic)! || a.partition - b.partition || a.offset - b.offset,
  )
}

function toSourceRecord(topic: string, partition: number, message: KafkaMessage): SourceRecord {
  const headers = Object.fromEntries(
    Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
  )
  const { key, value, offset, timestamp } = message
  return { topic, partition, offset: Number(offset), appendTimeMs: Number(timestamp), key, value, headers }
}

/** Values of all records from the beginning to the end that the topic has now, in the order of partition and offset. */
export async function readValues(bootstrap: string, topic: string): Promise<string[]> {
  const records = await readRecords(bootstrap, [topic])
  return records.map(({ value }) => (value === null ? '' : Buffer.from(value).toString()))
}
