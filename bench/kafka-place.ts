/** Topics on a real broker for a bench, and events of the synthetic world in them as producers would have written them. */

import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { settingsSchema } from '../src/config/settings.ts'
import type { KafkaSettings } from '../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../src/drivers/kafka/safe-producer.ts'
import { FOLLOWED_INDEX, worldUsers } from '../src/evaluation/world/persona.ts'
import { live } from '../src/evaluation/world/stream.ts'
import { TEXT_MODALITIES, type UserRecord } from '../src/events/behavior-event.ts'
import { createRecordDecoder } from '../src/events/decoder.ts'
import { createRecordEncoder } from '../src/events/encoder.ts'
import { userKey } from '../src/events/ids.ts'
import { directorySchemas } from '../src/events/schema-source.ts'
import type { RecordDecoder } from '../src/events/source-record.ts'
import type { TopicSettings } from '../src/events/topic.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { DAY_MS } from '../src/window/day.ts'
import type { UserState, WindowCaps } from '../src/window/user-state.ts'
import { withAdmin } from '../test/kafka/kafkajs-records.ts'
import { uniqueName } from '../test/kafka/shared-broker.ts'

export type EventRecord = Extract<UserRecord, { kind: 'event' }>

/** Slots of the published template: what the presets use. */
export const CAPS: WindowCaps = { paybill: 250, miniprogram: 150, spm: 150, app: 100, search: 10 }

/** A record batch of Java's producer holds 16 KiB by default. */
const BATCH_RECORDS = 100
/** Batches on their way at once. */
const BATCHES_MAX = 64
/** Between two turns of the event loop. */
const TURN_RECORDS = 500
const SEED = 1

/** Where a bench's topics are; it goes to child processes as JSON. */
export interface Place {
  bootstrap: string
  prefix: string
  partitionCount: number
}

export function topicsOf({ prefix }: Place): TopicSettings[] {
  const common = { format: 'avro-single-object', schema: null, fields: null } as const
  return [...TEXT_MODALITIES, 'tombstone' as const].map((holds) => ({
    ...common,
    topic: `${prefix}.${holds}`,
    holds,
  }))
}

export function decoderOf(place: Place): RecordDecoder {
  return createRecordDecoder({ topics: topicsOf(place), schemas: directorySchemas(null) })
}

/** The defaults of a service. */
export function kafkaSettingsOf(
  { bootstrap, prefix }: Place,
  groupId: string,
  over: Partial<KafkaSettings> = {},
): KafkaSettings {
  const { tls: _, sasl: __, updates: ___, newTopics: ____, ...rest } = settingsSchema.parse({}).events.kafka
  return { ...rest, brokers: [bootstrap], groupId, topicPrefix: prefix, tls: null, sasl: null, ...over }
}

/** Topics of events and their dead letters; freshet's own topics are each group's. */
export async function createPlace(bootstrap: string, partitionCount: number): Promise<Place> {
  const place = { bootstrap, prefix: uniqueName('bench'), partitionCount }
  const configEntries = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]
  const topics = topicsOf(place).flatMap(({ topic }) => [
    { topic, numPartitions: partitionCount, configEntries },
    { topic: `${topic}.dlq`, numPartitions: partitionCount },
  ])
  await withAdmin(bootstrap, (admin) => admin.createTopics({ topics, waitForLeaders: true }))
  return place
}

/** freshet's own topics of one group, so that nothing is there of what a former run has written. */
export interface OwnTopics {
  instructions: string
  models: string
  state: string
}

export async function createOwnTopics(place: Place, group: string): Promise<OwnTopics> {
  const { bootstrap, prefix, partitionCount } = place
  const own = {
    instructions: `${prefix}.${group}.instructions`,
    models: `${prefix}.${group}.models`,
    state: `${prefix}.${group}.state`,
  }
  const configEntries = [{ name: 'cleanup.policy', value: 'compact' }]
  const topics = [
    { topic: own.instructions, numPartitions: 1, configEntries },
    { topic: own.models, numPartitions: 1, configEntries },
    { topic: own.state, numPartitions: partitionCount, configEntries },
  ]
  await withAdmin(bootstrap, (admin) => admin.createTopics({ topics, waitForLeaders: true }))
  return own
}

/** The last events of many users, by time, up to now; without the followed user, who alone makes a twentieth. */
export function* worldEvents(count: number, userCount: number): Generator<EventRecord> {
  const nowMs = Date.now()
  const followed = worldUsers(SEED, userCount)[FOLLOWED_INDEX]!.user
  // About five a day: enough days, and the horizon of 90 is not passed.
  const days = Math.ceil(count / userCount / 3) + 1
  if (days > 85) throw new RangeError(`${count} events of ${userCount} users take more than 85 days`)
  let given = 0
  for (const record of live(SEED, nowMs - days * DAY_MS, { userCount })) {
    if (record.kind !== 'event' || record.user === followed) continue
    if (record.event.eventTimeMs > nowMs)
      throw new RangeError(`the world made ${given} events: ask for more days`)
    yield record
    if (++given >= count) return
  }
}

/** Writes events as several producers would: batches by topic and partition, in order. */
export class EventWriter {
  private readonly place: Place
  private readonly producer: SafeProducer
  private readonly encoder = createRecordEncoder('avro-single-object')
  private readonly open = new Map<string, { key: Buffer; value: Buffer }[]>()
  private readonly sending = new Set<Promise<unknown>>()
  private added = 0

  private constructor(place: Place, producer: SafeProducer) {
    this.place = place
    this.producer = producer
  }

  static async open(place: Place): Promise<EventWriter> {
    return new EventWriter(
      place,
      await SafeProducer.open(kafkaSettingsOf(place, 'bench-writer'), systemClock),
    )
  }

  /** @returns bytes of its value */
  async add(record: EventRecord): Promise<number> {
    const { key, value } = this.encoder.encode(record)
    const topic = `${this.place.prefix}.${record.event.modality}`
    const name = `${topic} ${partitionOf(key, this.place.partitionCount)}`
    const batch = this.open.get(name) ?? []
    this.open.set(name, batch)
    batch.push({ key, value: value! })
    if (batch.length >= BATCH_RECORDS) this.send(name)
    // Making events takes long: answers must be read meanwhile, or they count as late.
    if (++this.added % TURN_RECORDS === 0) await setImmediate()
    if (this.sending.size >= BATCHES_MAX) await Promise.race(this.sending)
    return value!.length
  }

  /** Resolves when all is durable. */
  async flush(): Promise<void> {
    for (const name of this.open.keys()) this.send(name)
    await Promise.all(this.sending)
  }

  async close(): Promise<void> {
    await this.flush()
    await this.producer.close()
  }

  private send(name: string): void {
    const batch = this.open.get(name) ?? []
    this.open.delete(name)
    const [topic = '', partition] = name.split(' ')
    const sent = this.producer.send(topic, Number(partition), batch).finally(() => this.sending.delete(sent))
    this.sending.add(sent)
  }
}

/** Of what happened to all users; the order in which it came must not matter to it. */
export function windowsDigest(states: Iterable<UserState>): string {
  const texts = [...states].map(({ tenant, user, windows, tabular, tombstoneMs }) =>
    JSON.stringify([userKey(tenant, user), windows, tabular, tombstoneMs]),
  )
  return createHash('sha256').update(texts.sort().join('\n')).digest('hex')
}
