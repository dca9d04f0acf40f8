/**
 * Copies topics whose producers choose partitions otherwise into topics where each key lies in the partition of its murmur2,
 * so that all topics that are read have a user in the same one. Part of every worker, which share it as groups of their own.
 */

import type { Clock } from '../../pipeline/clock.ts'
import { KafkaDeadLetters } from './kafka-dead-letters.ts'
import type { KafkaSettings } from './kafka-settings.ts'
import { untilAvailable } from './retry.ts'
import { SafeProducer } from './safe-producer.ts'
import { TopicCopy } from './topic-copy.ts'

export interface CopiedTopic {
  from: string
  /** With `message.timestamp.type=CreateTime`: records keep the append time that they have in `from`. */
  to: string
}

interface RepartitionOptions {
  settings: KafkaSettings
  clock: Clock
  topics: readonly CopiedTopic[]
  /** How often offsets are committed, milliseconds. */
  commitIntervalMs: number
}

/** Bytes of records that were read and aren't durable yet; reading pauses at it, and goes on at half of it. A guess. */
const OUTSTANDING_BYTES_MAX = 8 * 1024 * 1024

export class Repartition {
  /** Called with what only a restart mends, once; nothing is copied from then on. */
  failed: (error: unknown) => void = () => {}

  private readonly producer: SafeProducer
  private copies: readonly TopicCopy[] = []
  private outstandingBytes = 0
  private isFull = false
  private hasFailed = false

  private constructor(producer: SafeProducer) {
    this.producer = producer
  }

  /**
   * Connects, and looks for the topics.
   *
   * @throws {ConfigError} `kafka-topic-missing`, or the brokers refuse us
   * @throws {UnavailableError} when no broker answered in `startTimeoutMs`
   */
  static async open({ settings, clock, topics, commitIntervalMs }: RepartitionOptions): Promise<Repartition> {
    const producer = await SafeProducer.open(settings, clock)
    const stage = new Repartition(producer)
    try {
      for (const { from, to } of topics) {
        const deadlineMs = clock.nowMs() + settings.startTimeoutMs
        const { partitions } = await untilAvailable(clock, deadlineMs, () => producer.cluster.topic(to))
        const copy = await TopicCopy.open({
          settings: { ...settings, groupId: groupOf(settings.groupId, from) },
          clock,
          topics: { from, to, partitionCount: partitions.length },
          producer,
          letters: new KafkaDeadLetters(producer),
          commitIntervalMs,
          outstanding: (bytes) => stage.outstanding(bytes),
          failed: (error) => stage.fail(error),
        })
        stage.copies = [...stage.copies, copy]
      }
    } catch (error) {
      await stage.close()
      throw error
    }
    return stage
  }

  async start(): Promise<void> {
    await Promise.all(this.copies.map((copy) => copy.start()))
  }

  /** Reads no more; what was read is appended and committed, in `stopTimeoutMs` at most. */
  async stop(): Promise<void> {
    await Promise.all(this.copies.map((copy) => copy.stop()))
  }

  /** Stops, leaves the groups and disconnects. */
  async close(): Promise<void> {
    await Promise.all(this.copies.map((copy) => copy.close()))
    // They have waited for what was sent.
    await this.producer.close(0)
  }

  private outstanding(bytes: number): void {
    this.outstandingBytes += bytes
    const isFull = this.outstandingBytes > (this.isFull ? OUTSTANDING_BYTES_MAX / 2 : OUTSTANDING_BYTES_MAX)
    if (isFull === this.isFull) return
    this.isFull = isFull
    for (const copy of this.copies) copy.setPaused(isFull)
  }

  private fail(error: unknown): void {
    if (this.hasFailed) return
    this.hasFailed = true
    for (const copy of this.copies) copy.halt()
    this.failed(error)
  }
}

/** One a topic: members of a group share the same partition numbers of the same topics. */
function groupOf(groupId: string, topic: string): string {
  return `${groupId}.repartition.${topic}`
}
