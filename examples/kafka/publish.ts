/** Sends the records of an invented world at a steady rate, so that none is lost, doubled or out of order. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Message, Partitioners, type Producer } from 'kafkajs'
import RequestQueue from 'kafkajs/src/network/requestQueue/index.js'
import { live, paced, timeMs } from '../../src/evaluation/world/stream.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'

interface PublishOptions {
  brokers: string[]
  userCount: number
  /** Mean; the gaps are random. */
  eventsPerSecond: number
  /** null: until the signal comes. */
  recordsMax: number | null
  seed: number
  signal: AbortSignal
  /** After each group of records that was acknowledged; `last` is the topic and user of the last. */
  onPublished(count: number, last: string): void
}

/** Records whose time comes within it are sent together, milliseconds. */
const TICK_MS = 50
/** Sent together at most: where brokers were away for a while, what is due by then isn't sent at once. */
const GROUP_RECORDS_MAX = 1_000

/** @returns how many records were published, all of them acknowledged */
export async function publish(options: PublishOptions): Promise<number> {
  const { brokers, userCount, eventsPerSecond, seed, signal, onPublished } = options
  mendTimers()
  // What lasts is thrown; what is tried again needs no line.
  const kafka = new Kafka({ clientId: 'freshet-example', brokers, logLevel: logLevel.NOTHING })
  const sender = new Sender(kafka)
  await sender.connect()
  try {
    const fromMs = Date.now()
    const recordsMax = options.recordsMax ?? Number.POSITIVE_INFINITY
    const world = paced(live(seed, fromMs, { userCount }), { fromMs, eventsPerSecond, seed })
    const encoder = createRecordEncoder('avro-single-object')
    let next = world.next().value
    let count = 0
    while (next !== undefined && count < recordsMax && !signal.aborted) {
      const due = new Map<string, Message[]>()
      let size = 0
      let last = ''
      const room = Math.min(GROUP_RECORDS_MAX, recordsMax - count)
      while (next !== undefined && size < room && timeMs(next) <= Date.now()) {
        const topic = topicOf(next)
        const messages = due.get(topic) ?? []
        due.set(topic, messages)
        const { key, value, headers } = encoder.encode(next, { isSynthetic: true })
        messages.push({ key, value, headers: { ...headers } })
        last = `${next.user}'s in ${topic}`
        size++
        next = world.next().value
      }
      for (const [topic, messages] of due) await sender.send(topic, messages)
      count += size
      if (size > 0) onPublished(count, last)
      else await sleep(TICK_MS, undefined, { signal }).catch(() => {})
    }
    return count
  } finally {
    await sender.disconnect()
  }
}

/**
 * kafkajs 2.2.4 sets a timer for requests that wait even where none does, and of negative time: it polls each connection every
 * millisecond, and newer versions of Node warn of it.
 */
function mendTimers(): void {
  const schedule = RequestQueue.prototype.scheduleCheckPendingRequests
  RequestQueue.prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) schedule.call(this)
  }
}

function topicOf(record: UserRecord): string {
  return record.kind === 'event' ? `behavior.${record.event.modality}` : 'user.tabular'
}

/**
 * kafkajs loses records without a word when a leader moves under a request for several partitions. So each request is for one,
 * which the client's own partitioner has chosen before: murmur2 of the key, as Java's clients do.
 */
class Sender {
  private readonly kafka: Kafka
  private readonly producer: Producer
  private readonly choose = Partitioners.DefaultPartitioner()
  private readonly partitions = new Map<string, Parameters<typeof this.choose>[0]['partitionMetadata']>()

  constructor(kafka: Kafka) {
    this.kafka = kafka
    this.producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
  }

  async connect(): Promise<void> {
    await this.producer.connect()
  }

  /** Resolves when all replicas in sync have them. */
  async send(topic: string, messages: readonly Message[]): Promise<void> {
    const partitionMetadata = this.partitions.get(topic) ?? (await this.partitionsOf(topic))
    const groups = Map.groupBy(messages, (message) => this.choose({ topic, partitionMetadata, message }))
    for (const [partition, ofPartition] of groups)
      await this.producer.send({
        topic,
        acks: -1,
        messages: ofPartition.map((message) => ({ ...message, partition })),
      })
  }

  async disconnect(): Promise<void> {
    await this.producer.disconnect()
  }

  private async partitionsOf(topic: string) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const { partitions } = topics[0]!
      this.partitions.set(topic, partitions)
      return partitions
    } finally {
      await admin.disconnect()
    }
  }
}
