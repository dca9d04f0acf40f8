/**
 * Appends to partitions so that nothing is lost, doubled or out of order (O10): idempotent, one partition a request, one
 * request a partition at a time. What timed out is sent again under its number before anything that came after it.
 */

import { UnavailableError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'
import type { Compression } from './codecs.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { CODE, expectNone, refusal } from './kafka-errors.ts'
import type { KafkaSettings } from './kafka-settings.ts'
import { type ProducerId, ProducerLane } from './producer-lane.ts'
import { type RecordToWrite, recordBytes } from './record-batch-writer.ts'

/** Bytes of records that wait; more is refused until some are durable. A guess: some seconds of a good disk. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024

export class SafeProducer {
  readonly cluster: KafkaCluster
  private readonly lanes = new Map<string, ProducerLane>()
  private readonly leaders = new Map<string, Promise<readonly number[]>>()
  private readonly closing = new AbortController()
  private waitingBytes = 0

  private constructor(cluster: KafkaCluster) {
    this.cluster = cluster
  }

  /** Connects when first needed. @throws {ConfigError} `kafkajs-version`, `kafka-token-module` */
  static async open(settings: KafkaSettings, clock: Clock): Promise<SafeProducer> {
    return new SafeProducer(await KafkaCluster.create(settings, clock))
  }

  /**
   * Appends in the order of the calls. The records' bytes must not change afterwards.
   *
   * @returns offset of the first record, when all are durable, the others behind it in a row; -1 where that isn't known, or
   *   another's records lie between
   * @throws {UnavailableError} when it isn't known in time whether they are: they may still land, but never behind what is
   *   sent later
   * @throws {RecordError} `kafka-record-refused`, when a record can't be appended; of the call's others some may be
   * @throws {ConfigError} when we may not write
   */
  async send(
    topic: string,
    partition: number,
    records: readonly RecordToWrite[],
    compression: Compression = 'none',
  ): Promise<number> {
    if (records.length === 0) return -1
    if (this.closing.signal.aborted) throw closed()
    const sizeBytes = records.reduce((sum, record) => sum + recordBytes(record), 0)
    if (this.waitingBytes > 0 && this.waitingBytes + sizeBytes > WAITING_BYTES_MAX)
      throw new UnavailableError(
        'kafka-producer-full',
        `expected at most ${WAITING_BYTES_MAX} bytes to wait for brokers, got ${sizeBytes} more: they are sent when some are durable; look at the brokers if it lasts`,
      )
    this.waitingBytes += sizeBytes
    try {
      return await this.lane(topic, partition).append(records, compression)
    } finally {
      this.waitingBytes -= sizeBytes
    }
  }

  /** Waits for what was sent, `timeoutMs` at most; then it fails. */
  async close(timeoutMs = this.cluster.settings.stopTimeoutMs): Promise<void> {
    const lanes = [...this.lanes.values()]
    const done = new AbortController()
    const drained = Promise.all(lanes.map((lane) => lane.drained())).finally(() => done.abort())
    await Promise.race([drained, this.cluster.clock.sleep(timeoutMs, done.signal)])
    this.closing.abort()
    this.cluster.close()
    await drained
  }

  private lane(topic: string, partition: number): ProducerLane {
    const name = `${topic} ${partition}`
    const known = this.lanes.get(name)
    if (known !== undefined) return known
    const { signal } = this.closing
    const lane = new ProducerLane(topic, partition, {
      cluster: this.cluster,
      signal,
      leader: () => this.leader(topic, partition),
      forgetLeader: () => this.leaders.delete(topic),
      producerId: () => this.producerId(),
    })
    this.lanes.set(name, lane)
    return lane
  }

  /** Of all partitions at once: those of a topic are mostly asked for together. */
  private async leader(topic: string, partition: number): Promise<number> {
    const asked = this.leaders.get(topic) ?? this.leadersOf(topic)
    this.leaders.set(topic, asked)
    try {
      const leader = (await asked)[partition] ?? -1
      if (leader >= 0) return leader
    } catch (error) {
      this.leaders.delete(topic)
      throw error
    }
    this.leaders.delete(topic)
    throw refusal(`name a leader of partition ${partition} of ${topic}`, CODE.leaderNotAvailable)
  }

  private async leadersOf(topic: string): Promise<number[]> {
    const { partitions } = await this.cluster.topic(topic)
    return partitions.map(({ leader }) => leader)
  }

  private async producerId(): Promise<ProducerId> {
    const answer = await this.cluster.ask<{ errorCode: number; producerId: string; producerEpoch: number }>(
      'InitProducerId',
      { transactionalId: null, transactionTimeout: 0 },
    )
    expectNone('give us a producer id', answer.errorCode)
    return { producerId: Number(answer.producerId), producerEpoch: answer.producerEpoch }
  }
}

function closed(): UnavailableError {
  return new UnavailableError('kafka-producer-closed', 'expected an open producer, got one that was closed')
}
