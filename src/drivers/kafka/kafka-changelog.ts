/** The changelog as a compacted topic: what moves with a partition (O5, O6). */

import { ConfigError, RecordError } from '../../errors.ts'
import type { Changelog, ChangelogPage, ChangelogRecord } from '../../pipeline/changelog.ts'
import { decodeRecord, encodeRecord } from './changelog-codec.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { readPartition } from './partition-reader.ts'
import { untilAvailable } from './retry.ts'
import type { SafeProducer } from './safe-producer.ts'

export interface ChangelogOptions {
  topic: string
  /** Of the topics that are read: a user's state lies in the partition of the user's events. */
  partitionCount: number
}

export class KafkaChangelog implements Changelog {
  private readonly cluster: KafkaCluster
  private readonly producer: SafeProducer
  private readonly options: ChangelogOptions

  private constructor(cluster: KafkaCluster, producer: SafeProducer, options: ChangelogOptions) {
    this.cluster = cluster
    this.producer = producer
    this.options = options
  }

  /**
   * @throws {ConfigError} `kafka-topic-missing`, or `changelog-partitions`, when the topic has another partition count
   * @throws {UnavailableError} when nobody can tell in `startTimeoutMs`
   */
  static async open(
    cluster: KafkaCluster,
    producer: SafeProducer,
    options: ChangelogOptions,
  ): Promise<KafkaChangelog> {
    const { clock, settings } = cluster
    const { topic, partitionCount } = options
    const { partitions } = await untilAvailable(clock, clock.nowMs() + settings.startTimeoutMs, () =>
      cluster.topic(topic),
    )
    if (partitions.length !== partitionCount)
      throw new ConfigError(
        'changelog-partitions',
        `expected ${partitionCount} partitions in ${topic}, as many as in the topics that are read, got ${partitions.length}: create it anew with ${partitionCount}; states are then built from the events again`,
      )
    return new KafkaChangelog(cluster, producer, options)
  }

  async topicId(): Promise<string> {
    const { clock, settings } = this.cluster
    const { id } = await untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, () =>
      this.cluster.topic(this.options.topic),
    )
    return id
  }

  async *read(partition: number, from: number, signal?: AbortSignal): AsyncGenerator<ChangelogPage> {
    const { topic } = this.options
    const pages = readPartition(this.cluster, { topic, partition }, from, signal)
    for await (const { records, next, end } of pages) {
      const known = []
      for (const source of records) {
        const record = decodeRecord(source)
        if (record !== null) known.push({ position: source.offset, record })
      }
      yield { records: known, next, end }
    }
  }

  async append(partition: number, records: readonly ChangelogRecord[]): Promise<number> {
    const { topic } = this.options
    try {
      // Not compressed: most of it is already.
      return await this.producer.send(topic, partition, records.map(encodeRecord))
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      throw new ConfigError(
        'changelog-refused',
        `expected ${topic} to take what freshet writes, got: ${error.message}: raise max.message.bytes of the topic above windows.userBytesMax`,
        { cause: error },
      )
    }
  }
}
