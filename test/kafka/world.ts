/**
 * A world for workers over real Kafka: topics, what happens in them, and what every vector has to be: recomputed from the
 * records that another client reads back, without any of the code that keeps freshet's states.
 */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../../src/drivers/kafka/kafka-control-log.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { VECTOR_MIGRATIONS } from '../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../../src/drivers/sqlite/sqlite-vector-store.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import { userKey } from '../../src/events/ids.ts'
import { directorySchemas, type SchemaSource } from '../../src/events/schema-source.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import type { TopicSettings } from '../../src/events/topic.ts'
import { type Instruction, vectorName } from '../../src/instructions/instruction.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName, VectorStore } from '../../src/vectors/vector-store.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { readRecords, withAdmin } from './kafkajs-records.ts'
import { reckon, type VectorKey, vectorKey } from './reckoning.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

export const PARTITIONS = 6
export const TENANT = 'default' as never
const SETTLE_MS_MAX = 60_000

/** By group: what is asked of every user; `general` asks nothing. */
export const QUESTIONS: Readonly<Record<'main' | 'slow', Readonly<Record<string, string | null>>>> = {
  main: { general: null, next: 'What will they need next?' },
  slow: { repay: 'Will they repay?' },
}

const ABOUT = {
  modelId: 'text' as never,
  stage: 'active' as const,
  parentModelId: null,
  artifactUri: null,
  artifactSha256: '',
  dimensions: 4,
}

export interface World {
  bootstrap: string
  prefix: string
  partitionCount: number
  /** Of events, features and tombstones, in this order; each has dead letters. */
  topics: readonly [events: TopicSettings, features: TopicSettings, tombstones: TopicSettings]
  vectors: VectorStore
  producer: SafeProducer
  /** Another client's reading, for the reckoning. */
  read: (bootstrap: string, topics: readonly string[]) => Promise<SourceRecord[]>
  /** Those of the writers. */
  schemas: SchemaSource
}

export interface WorldOptions {
  /** Of a broker of the test's own; the shared one without it. */
  bootstrap?: string
  partitionCount?: number
  /** The group `slow` refreshes nobody more often than this. */
  slowMs?: number
  /** Of the topic of events. */
  events?: Partial<TopicSettings>
  read?: World['read']
  schemas?: SchemaSource
  /** Of the changelog, beside compaction. */
  changelog?: Readonly<Record<string, string>>
  /** Of who publishes. */
  kafka?: Partial<KafkaSettings>
}

const entries = (config: Readonly<Record<string, string>>) =>
  Object.entries(config).map(([name, value]) => ({ name, value }))

export async function newWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const { partitionCount = PARTITIONS, slowMs = 100, changelog = {} } = options
  const bootstrap = options.bootstrap ?? (await sharedBroker()).bootstrap
  // As the settings name them whose topicPrefix is all before `freshet.`.
  const prefix = `${uniqueName('world')}.freshet`
  const raw = { format: 'avro-raw', schema: null, fields: null } as const
  const topics = [
    { ...raw, holds: 'search', ...options.events, topic: `${prefix}.search` },
    { ...raw, topic: `${prefix}.features`, holds: 'tabular' },
    { ...raw, topic: `${prefix}.tombstones`, holds: 'tombstone' },
  ] as const
  await createTopics(bootstrap, [
    ...topics.flatMap(({ topic }) => [topic, `${topic}.dlq`]).map((topic) => ({ topic, partitionCount })),
    ...['instructions', 'models'].map((name) => ({ topic: `${prefix}.${name}`, partitionCount: 1 })),
    { topic: `${prefix}.state`, partitionCount, config: { 'cleanup.policy': 'compact', ...changelog } },
  ])
  const producer = await SafeProducer.open(kafkaSettings(bootstrap, prefix, options.kafka), systemClock)
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  t.after(async () => {
    await producer.close()
    database.close()
  })
  const vectors = new SqliteVectorStore(database, systemClock)
  const { read = readRecords, schemas = directorySchemas(null) } = options
  const world: World = { bootstrap, prefix, partitionCount, topics, vectors, producer, read, schemas }
  await register(world, slowMs)
  return world
}

export async function createTopics(
  bootstrap: string,
  topics: readonly { topic: string; partitionCount: number; config?: Readonly<Record<string, string>> }[],
): Promise<void> {
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: topics.map(({ topic, partitionCount: numPartitions, config = {} }) => ({
        topic,
        numPartitions,
        configEntries: entries(config),
      })),
      waitForLeaders: true,
    }),
  )
}

export function controlTopics({ prefix, topics }: World) {
  return {
    instructions: `${prefix}.instructions`,
    models: `${prefix}.models`,
    tombstones: topics[2].topic,
  }
}

/** The questions and the model, as an operator would give them. */
async function register(world: World, slowMs: number): Promise<void> {
  const cluster = await KafkaCluster.create(kafkaSettings(world.bootstrap, world.prefix), systemClock)
  try {
    const log = await KafkaControlLog.open(cluster, world.producer, controlTopics(world), () => null)
    await log.appendModel({ active: 'text' as never, also: null, existing: ['text' as never] }, ABOUT)
    await log.appendGroup({ name: 'slow' as never, minRefreshMs: slowMs, paused: false })
    for (const [group, questions] of Object.entries(QUESTIONS))
      for (const [id, text] of Object.entries(questions))
        if (text !== null) await log.appendInstruction(instruction(group, id, text))
  } finally {
    cluster.close()
  }
}

function instruction(group: string, id: string, text: string): Instruction {
  return {
    id: id as never,
    text,
    lang: 'en',
    group: group as never,
    status: 'active',
    maxStalenessMs: 60_000,
    owner: null,
    previous: null,
  }
}

/** Appends what happened. */
export async function say(world: World, records: readonly UserRecord[]): Promise<void> {
  const encoder = createRecordEncoder('avro-raw')
  const { topics, partitionCount, producer } = world
  await Promise.all(
    records.map((record) => {
      const { key, value, headers } = encoder.encode(record)
      const { topic } = topics[record.kind === 'tombstone' ? 2 : record.kind === 'tabular' ? 1 : 0]
      const named = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)] as const)
      return producer.send(topic, partitionOf(key, partitionCount), [{ key, value, headers: named }])
    }),
  )
}

let made = 0

/** @param backMs how long before now it happened */
export function search(user: string, backMs = 1_000): UserRecord {
  const n = made++
  const event = {
    modality: 'search' as const,
    source: 'test',
    eventId: `e${n}` as never,
    eventTimeMs: Date.now() - backMs,
    fields: { query: `query ${n}` },
  }
  return { tenant: TENANT, user: user as never, kind: 'event', event }
}

/** Of `users` users in turn, out of order, as events come. */
export function searches(count: number, users = 40): UserRecord[] {
  return Array.from({ length: count }, (_, i) => search(`u${i % users}`, (made * 7_919) % 3_600_000))
}

export function features(user: string, f: number, backMs = 1_000): UserRecord {
  const snapshot = { featureSet: 'risk@1', numeric: { f }, categorical: {} }
  return { tenant: TENANT, user: user as never, kind: 'tabular', asOfMs: Date.now() - backMs, snapshot }
}

export function forget(user: string): UserRecord {
  return { tenant: TENANT, user: user as never, kind: 'tombstone', atMs: Date.now() }
}

/** Every stored vector; users who have none are not there. */
export async function stored(world: World, users: Iterable<string>): Promise<Map<VectorKey, string>> {
  const ids = new Map([...users].map((user) => [pointId(userKey(TENANT, user as never)), user]))
  const vectors = new Map<VectorKey, string>()
  for (const group of Object.keys(QUESTIONS)) {
    const points = await world.vectors.get(`freshet_${group}_text` as CollectionName, [...ids.keys()])
    for (const [id, { point }] of points)
      if (point.kind === 'vectors')
        for (const [name, vector] of point.vectors)
          vectors.set(vectorKey(ids.get(id)!, group, name), String([...vector]))
  }
  return vectors
}

/** @returns user, group and vector name of whatever differs from the reckoning */
export function differences(
  expected: ReadonlyMap<VectorKey, string>,
  found: ReadonlyMap<VectorKey, string>,
): VectorKey[] {
  const keys = new Set([...expected.keys(), ...found.keys()])
  return [...keys].filter((key) => expected.get(key) !== found.get(key))
}

/** What the log of now asks for, of every user who is in it. */
export async function reckoned(world: World) {
  const names = Object.entries(QUESTIONS).flatMap(([group, questions]) =>
    Object.entries(questions).map(([id, text]) => ({ group, name: vectorName(id as never, text), text })),
  )
  const { bootstrap, topics, read, schemas } = world
  const records = await read(
    bootstrap,
    topics.map(({ topic }) => topic),
  )
  return reckon(records, createRecordDecoder({ topics, schemas }), names)
}

/** What is not as the log says, of the group `main`, which acknowledges; others wait for times of their own. */
export async function wrongInMain(world: World): Promise<VectorKey[]> {
  const { users, vectors } = await reckoned(world)
  return differences(vectors, await stored(world, users)).filter((key) => key.includes(' main '))
}

/** Waits until every vector is what the log says. */
export async function settles(world: World, withinMs = SETTLE_MS_MAX): Promise<Map<VectorKey, string>> {
  const { users, vectors } = await reckoned(world)
  assert.ok(users.size > 0, 'expected a log with users in it')
  let wrong: VectorKey[] = []
  try {
    await until(
      'all vectors are those reckoned',
      async () => {
        wrong = differences(vectors, await stored(world, users))
        return wrong.length === 0
      },
      withinMs,
    )
  } catch (error) {
    const some = wrong.slice(0, 4).join(', ')
    assert.fail(`${(error as Error).message}: ${wrong.length} of ${vectors.size} are wrong: ${some}`)
  }
  return vectors
}
