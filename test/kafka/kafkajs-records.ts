/** Topics, records and offsets of a broker through kafkajs alone: what the tests of the brokers themselves ask. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Admin, CompressionTypes, Kafka, logLevel, type Message, Partitioners } from 'kafkajs'

const ADMIN_MS_MAX = 20_000
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

/** Values of all records from the beginning to the end that the topic has now, in the order of partition and offset. */
export async function readValues(bootstrap: string, topic: string): Promise<string[]> {
  const ends = await endOffsets(bootstrap, topic)
  const left = new Set(ends.flatMap((end, partition) => (end === 0 ? [] : [partition])))
  const values = ends.map((): string[] => [])
  if (left.size === 0) return []
  const consumer = client(bootstrap).consumer({
    groupId: `${topic}-read-${Date.now()}`,
    maxWaitTimeInMs: 100,
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // A coordinator that is still loading crashes a consumer, which then starts again by itself.
  consumer.on('consumer.crash', ({ payload }) => {
    if (!payload.restart) reject(payload.error)
  })
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        values[partition]!.push(message.value?.toString() ?? '')
        if (Number(message.offset) + 1 >= ends[partition]!) left.delete(partition)
        if (left.size === 0) resolve()
      },
    })
    await promise
  } finally {
    await consumer.disconnect()
  }
  return values.flat()
}
