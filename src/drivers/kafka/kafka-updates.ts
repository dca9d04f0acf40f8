/** The topic that tells whose vectors changed: a value of `schemas/embedding-update.avsc` by user. */

import { ConfigError, RecordError } from '../../errors.ts'
import { type AvroCodec, avroCodec } from '../../events/own-schemas.ts'
import type { UpdateSink, UserUpdate } from '../../pipeline/updates.ts'
import { partitionOf } from './partitioner.ts'
import type { RecordToWrite } from './record-batch-writer.ts'
import type { SafeProducer } from './safe-producer.ts'

interface AvroUpdate {
  tenant: string
  user_id: string
  group: string
  model_id: string
  epoch: number
  write: number
  vector_names: readonly string[]
  input_hash: string
  last_event_time: number | null
  as_of_day: number
  cosine_to_previous: number | null
  computed_at: number
}

export class KafkaUpdates implements UpdateSink {
  private readonly producer: SafeProducer
  private readonly topic: string
  private readonly codec: AvroCodec<AvroUpdate> = avroCodec('embedding-update')
  private partitionCount: number | undefined

  /** @param topic mostly `freshet.updates` */
  constructor(producer: SafeProducer, topic: string) {
    this.producer = producer
    this.topic = topic
  }

  /** @throws {UnavailableError}; {ConfigError} `kafka-topic-missing`, `updates-refused`, or when we may not write */
  async put(updates: readonly UserUpdate[]): Promise<void> {
    this.partitionCount ??= (await this.producer.cluster.topic(this.topic)).partitions.length
    const count = this.partitionCount
    const records = updates.map((update) => this.encode(update))
    const byPartition = Map.groupBy(records, ({ key }) => partitionOf(key, count))
    await Promise.all([...byPartition].map(([partition, ofPartition]) => this.send(partition, ofPartition)))
  }

  private async send(partition: number, records: readonly RecordToWrite[]): Promise<void> {
    try {
      await this.producer.send(this.topic, partition, records, 'zstd')
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      throw new ConfigError(
        'updates-refused',
        `expected ${this.topic} to take what freshet writes, got: ${error.message}: give it max.message.bytes of 64 KiB or more, and timestamps of any age`,
        { cause: error },
      )
    }
  }

  private encode(update: UserUpdate): RecordToWrite & { key: Buffer } {
    const { tenant, user, group, model, version, vectorNames, inputHash } = update
    const value = this.codec.encode({
      tenant,
      user_id: user,
      group,
      model_id: model,
      epoch: version.epoch,
      write: version.write,
      vector_names: vectorNames,
      input_hash: inputHash,
      last_event_time: update.lastEventMs,
      as_of_day: update.asOfDay,
      // Nobody reads the point before it is written.
      cosine_to_previous: null,
      computed_at: update.computedAtMs,
    })
    return { key: Buffer.from(user), value }
  }
}
