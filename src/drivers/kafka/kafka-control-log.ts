/** The control topics: instructions and models in one sequence each, tombstones in the partitions of their users. */

import { ConfigError } from '../../errors.ts'
import type { UserKey } from '../../events/ids.ts'
import { userKey } from '../../events/ids.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { Group, Instruction, RetiredText } from '../../instructions/instruction.ts'
import type { RegistryRecord } from '../../instructions/registry.ts'
import type { ControlLog } from '../../pipeline/control-log.ts'
import type { Tombstone } from '../../pipeline/state-store.ts'
import type { ModelRecord } from '../../vectors/model-registry.ts'
import {
  decodeModelRecord,
  decodeRegistryRecord,
  encodeGroup,
  encodeInstruction,
  encodeModel,
  encodeRetiredText,
  type ModelDescription,
} from './control-records.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { readPartition } from './partition-reader.ts'
import { untilAvailable } from './retry.ts'
import type { SafeProducer } from './safe-producer.ts'

export interface ControlTopics {
  instructions: string
  models: string
  /** null: nobody is ever forgotten. */
  tombstones: string | null
}

/** Change numbers are offsets (E1): of one sequence. */
const ONLY = 0

interface ReadTombstones {
  next: number
  byUser: Map<UserKey, Tombstone>
}

export class KafkaControlLog implements ControlLog {
  private readonly cluster: KafkaCluster
  private readonly producer: SafeProducer
  private readonly topics: ControlTopics
  private readonly tombstoneOf: (record: SourceRecord) => Tombstone | null
  /** By partition: the topic is long, and read at every take-over. */
  private readonly read = new Map<number, ReadTombstones>()

  private constructor(
    cluster: KafkaCluster,
    producer: SafeProducer,
    topics: ControlTopics,
    tombstoneOf: (record: SourceRecord) => Tombstone | null,
  ) {
    this.cluster = cluster
    this.producer = producer
    this.topics = topics
    this.tombstoneOf = tombstoneOf
  }

  /**
   * @param tombstoneOf reads the tombstone out of a record of its topic; null: it is none
   * @throws {ConfigError} `kafka-topic-missing`, or `control-topic-partitions`
   * @throws {UnavailableError} when nobody can tell in `startTimeoutMs`
   */
  static async open(
    cluster: KafkaCluster,
    producer: SafeProducer,
    topics: ControlTopics,
    tombstoneOf: (record: SourceRecord) => Tombstone | null,
  ): Promise<KafkaControlLog> {
    const { clock, settings } = cluster
    const deadlineMs = clock.nowMs() + settings.startTimeoutMs
    for (const topic of [topics.instructions, topics.models]) {
      const { partitions } = await untilAvailable(clock, deadlineMs, () => cluster.topic(topic))
      if (partitions.length !== 1)
        throw new ConfigError(
          'control-topic-partitions',
          `expected one partition in ${topic}, so that its records have one order, got ${partitions.length}: create it anew with one`,
        )
    }
    return new KafkaControlLog(cluster, producer, topics, tombstoneOf)
  }

  async instructions(afterOffset: number): Promise<RegistryRecord[]> {
    return this.readAll(this.topics.instructions, afterOffset + 1, decodeRegistryRecord)
  }

  async models(afterOffset: number): Promise<ModelRecord[]> {
    return this.readAll(this.topics.models, afterOffset + 1, decodeModelRecord)
  }

  async tombstones(partition: number): Promise<Tombstone[]> {
    const read = this.read.get(partition) ?? { next: 0, byUser: new Map<UserKey, Tombstone>() }
    this.read.set(partition, read)
    const { tombstones: topic } = this.topics
    if (topic === null) return []
    const at = { topic, partition }
    for await (const { records, next } of readPartition(this.cluster, at, read.next)) {
      for (const record of records) {
        const tombstone = this.tombstoneOf(record)
        if (tombstone === null) continue
        const key = userKey(tombstone.tenant, tombstone.user)
        const before = read.byUser.get(key)
        if (before === undefined || before.atMs < tombstone.atMs) read.byUser.set(key, tombstone)
      }
      read.next = next
    }
    return [...read.byUser.values()]
  }

  /** @throws {UnavailableError} when it is not known whether it was appended */
  async appendInstruction(instruction: Instruction): Promise<RegistryRecord> {
    const value = encodeInstruction(instruction, this.cluster.clock.nowMs())
    const offset = await this.append(this.topics.instructions, instruction.id, value)
    return { offset, kind: 'instruction', instruction }
  }

  /** @throws {UnavailableError} when it is not known whether it was appended */
  async appendRetiredText(retired: RetiredText): Promise<RegistryRecord> {
    const value = encodeRetiredText(retired, this.cluster.clock.nowMs())
    const offset = await this.append(this.topics.instructions, retired.id, value)
    return { offset, kind: 'retired-text', retired }
  }

  /** @throws {UnavailableError} when it is not known whether it was appended */
  async appendGroup(group: Group): Promise<RegistryRecord> {
    const value = encodeGroup(group, this.cluster.clock.nowMs())
    const offset = await this.append(this.topics.instructions, `group:${group.name}`, value)
    return { offset, kind: 'group', group }
  }

  /** @throws {UnavailableError} when it is not known whether it was appended */
  async appendModel(record: Omit<ModelRecord, 'offset'>, about: ModelDescription): Promise<ModelRecord> {
    const value = encodeModel(record, about, this.cluster.clock.nowMs())
    return { ...record, offset: await this.append(this.topics.models, about.modelId, value) }
  }

  private async append(topic: string, key: string, value: Buffer): Promise<number> {
    const offset = await this.producer.send(topic, ONLY, [{ key: Buffer.from(key), value }])
    if (offset >= 0) return offset
    // The broker had it already, from an attempt whose answer was lost, and no longer knows where: it is the last of its kind.
    const places = await this.readAll(topic, 0, (record) => record)
    const own = places.findLast((record) => record.value !== null && value.equals(record.value))
    return own?.offset ?? offset
  }

  private async readAll<Read>(
    topic: string,
    from: number,
    read: (record: SourceRecord) => Read,
  ): Promise<Read[]> {
    const all: Read[] = []
    for await (const { records } of readPartition(this.cluster, { topic, partition: ONLY }, from))
      for (const record of records) all.push(read(record))
    return all
  }
}
