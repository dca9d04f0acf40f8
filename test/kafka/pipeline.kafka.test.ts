/** The whole pipeline over the Kafka driver, in one process: workers come, go and die, and the vectors don't know. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { KafkaChangelog } from '../../src/drivers/kafka/kafka-changelog.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../../src/drivers/kafka/kafka-control-log.ts'
import { KafkaDeadLetters, readDeadLetters } from '../../src/drivers/kafka/kafka-dead-letters.ts'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { tombstoneReader } from '../../src/drivers/sqlite/event-log.ts'
import { VECTOR_MIGRATIONS } from '../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../src/drivers/sqlite/sqlite-database.ts'
import { LOCAL_STATES_MIGRATIONS, SqliteLocalStates } from '../../src/drivers/sqlite/sqlite-local-states.ts'
import { SqliteVectorStore } from '../../src/drivers/sqlite/sqlite-vector-store.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import { userKey } from '../../src/events/ids.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { TopicSettings } from '../../src/events/topic.ts'
import { ChangelogStateStore } from '../../src/pipeline/changelog-state-store.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import { Updater } from '../../src/pipeline/updater.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName } from '../../src/vectors/vector-store.ts'
import { applyEvent, applyTombstone, emptyState } from '../../src/window/apply.ts'
import { dayOf } from '../../src/window/day.ts'
import { readWindow } from '../../src/window/read-window.ts'
import { textModel, textRender } from '../pipeline/text-model.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const PARTITIONS = 6
const USERS = 40
const SESSION_MS = 3_000
const USER_BYTES_MAX = 512 * 1024
const COLLECTION = 'freshet_main_text' as CollectionName
const SETTINGS = {
  ...DEFAULT_PIPELINE_SETTINGS,
  minEvents: 3,
  quietMs: 20,
  maxDelayMs: 200,
  sessionTimeoutMs: SESSION_MS,
  commitIntervalMs: 50,
}
const ABOUT = {
  modelId: 'text' as never,
  stage: 'active' as const,
  parentModelId: null,
  artifactUri: null,
  artifactSha256: '',
  dimensions: 4,
}
const tenant = 'default' as never

interface World {
  bootstrap: string
  prefix: string
  topics: TopicSettings[]
  vectors: SqliteVectorStore
  producer: SafeProducer
  said: UserRecord[]
}

async function newWorld(t: TestContext): Promise<World> {
  const { bootstrap } = await sharedBroker()
  const prefix = uniqueName('world')
  const topics: TopicSettings[] = [
    { topic: `${prefix}.search`, holds: 'search', format: 'avro-raw', schema: null, fields: null },
    { topic: `${prefix}.tombstones`, holds: 'tombstone', format: 'avro-raw', schema: null, fields: null },
  ]
  for (const { topic } of topics) {
    await createTopic(bootstrap, topic, PARTITIONS)
    await createTopic(bootstrap, `${topic}.dlq`, PARTITIONS)
  }
  for (const topic of ['instructions', 'models']) await createTopic(bootstrap, `${prefix}.${topic}`)
  const configEntries = [{ name: 'cleanup.policy', value: 'compact' }]
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: [{ topic: `${prefix}.state`, numPartitions: PARTITIONS, configEntries }],
      waitForLeaders: true,
    }),
  )
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  const producer = await SafeProducer.open(kafkaSettings(bootstrap, prefix), systemClock)
  t.after(async () => {
    await producer.close()
    database.close()
  })
  const vectors = new SqliteVectorStore(database, systemClock)
  return { bootstrap, prefix, topics, vectors, producer, said: [] }
}

/** Appends what happened, and remembers it for the reckoning. */
async function say(world: World, records: readonly UserRecord[]): Promise<void> {
  const encoder = createRecordEncoder('avro-raw')
  await Promise.all(
    records.map((record) => {
      world.said.push(record)
      const { key, value } = encoder.encode(record)
      const topic = world.topics[record.kind === 'tombstone' ? 1 : 0]!.topic
      return world.producer.send(topic, partitionOf(key!, PARTITIONS), [{ key, value }])
    }),
  )
}

let events = 0

function searches(count: number): UserRecord[] {
  return Array.from({ length: count }, () => {
    const n = events++
    const event = {
      modality: 'search' as const,
      source: 'test',
      eventId: `e${n}` as never,
      // Out of order, as events come.
      eventTimeMs: Date.now() - ((n * 7_919) % 3_600_000),
      fields: { query: `query ${n}` },
    }
    return { tenant, user: `u${n % USERS}` as never, kind: 'event', event }
  })
}

/** A worker's way to Kafka. */
async function openDriver(world: World) {
  const { bootstrap, prefix, topics } = world
  const over = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS, heartbeatIntervalMs: 200 }
  const settings = kafkaSettings(bootstrap, prefix, over)
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  const decoder = createRecordDecoder({ topics, schemas: directorySchemas(null) })
  const names = topics.map(({ topic }) => topic)
  const source = await KafkaEventSource.open(settings, names, systemClock)
  const state = {
    topic: `${prefix}.state`,
    partitionCount: source.partitionCount,
    userBytesMax: USER_BYTES_MAX,
  }
  const changelog = await KafkaChangelog.open(cluster, producer, state)
  const control = {
    instructions: `${prefix}.instructions`,
    models: `${prefix}.models`,
    tombstones: topics[1]!.topic,
  }
  const controlLog = await KafkaControlLog.open(cluster, producer, control, tombstoneReader(decoder))
  if ((await controlLog.models(-1)).length === 0)
    await controlLog.appendModel({ active: 'text' as never, also: null, existing: ['text' as never] }, ABOUT)
  const close = async () => {
    await producer.close()
    cluster.close()
  }
  return { source, decoder, changelog, controlLog, deadLetters: new KafkaDeadLetters(producer), close }
}

async function openWorker(t: TestContext, world: World) {
  const { source, decoder, changelog, controlLog, deadLetters, close } = await openDriver(world)
  const folder = mkdtempSync(join(tmpdir(), 'freshet-worker-'))
  const path = join(folder, 'states.db')
  const database = new SqliteDatabase({ path, migrations: LOCAL_STATES_MIGRATIONS, isCache: true })
  const disk = new SqliteLocalStates(database, USER_BYTES_MAX)
  const updater = new Updater({
    source,
    decoder,
    store: new ChangelogStateStore(changelog, disk, () => textModel.slots),
    controlLog,
    deadLetters,
    models: new Map([['text' as never, textModel]]),
    render: (_target, window) => textRender(window),
    vectors: world.vectors,
    clock: systemClock,
    settings: SETTINGS,
  })
  const failures: unknown[] = []
  source.failed = (error) => updater.ownership.failed(error)
  const running = updater.run().catch((error) => failures.push(error))
  const stop = async () => {
    await updater.stop()
    await source.close()
    await running
  }
  t.after(async () => {
    await stop()
    await close()
    database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  // It can't commit any more, and doesn't know that others take over.
  const die = () => (Reflect.get(source, 'cluster') as KafkaCluster).close()
  return { updater, source, stop, failures, die }
}

/** What every user's vector has to be, from what was said alone; null: none. */
async function reckoned(world: World): Promise<Map<string, number[] | null>> {
  const vectors = new Map<string, number[] | null>()
  for (let n = 0; n < USERS; n++) {
    const user = `u${n}`
    const state = emptyState(tenant, user as never)
    for (const record of world.said) {
      if (record.user !== user) continue
      if (record.kind === 'event') applyEvent(state, record.event, textModel.slots)
      if (record.kind === 'tombstone') applyTombstone(state, record.atMs)
    }
    const reading = { asOfDay: dayOf(Date.now()), horizonDays: textModel.horizonDays, slots: textModel.slots }
    const window = readWindow(state, reading)
    const isEmpty = window.events.search.length === 0
    const [[vector] = []] = isEmpty ? [] : await textModel.embedUsers([textRender(window)], [null])
    vectors.set(user, vector === undefined ? null : [...vector])
  }
  return vectors
}

async function stored(world: World): Promise<Map<string, number[] | null>> {
  const ids = new Map(
    Array.from({ length: USERS }, (_, n) => [pointId(userKey(tenant, `u${n}` as never)), `u${n}`]),
  )
  const points = await world.vectors.get(COLLECTION, [...ids.keys()])
  return new Map(
    [...ids].map(([id, user]) => {
      const point = points.get(id)?.point
      return [
        user,
        point?.kind === 'vectors' ? [...point.vectors.values()].flatMap((vector) => [...vector]) : null,
      ]
    }),
  )
}

async function settles(world: World): Promise<void> {
  const expected = await reckoned(world)
  let found = new Map<string, number[] | null>()
  const wrong = () =>
    [...expected].filter(([user, vector]) => String(found.get(user) ?? null) !== String(vector))
  try {
    await until(
      'all vectors are those reckoned',
      async () => {
        found = await stored(world)
        return wrong().length === 0
      },
      30_000,
    )
  } catch (error) {
    assert.fail(
      `${(error as Error).message}: ${wrong().length} of ${USERS} are wrong, ${wrong()
        .slice(0, 3)
        .map(([user]) => user)}`,
    )
  }
}

kafkaSuite('the pipeline over Kafka', () => {
  test('workers join, stall and leave under way: every vector ends as the events say', async (t) => {
    const world = await newWorld(t)
    const a = await openWorker(t, world)
    await say(world, searches(200))
    const b = await openWorker(t, world)
    await say(world, searches(200))
    await until(
      'both own',
      () => a.updater.ownership.partitions.size === 3 && b.updater.ownership.partitions.size === 3,
    )
    // It goes on embedding and writing what it has, and can't know that the group moves on without it.
    a.die()
    await say(world, searches(200))
    await say(world, [{ tenant, user: 'u3' as never, kind: 'tombstone', atMs: Date.now() }])
    const c = await openWorker(t, world)
    await say(world, searches(100))
    await until(
      'the dead one is replaced',
      () => b.updater.ownership.partitions.size + c.updater.ownership.partitions.size === PARTITIONS,
    )
    await b.stop()
    await say(world, searches(100))
    await until('one owns all', () => c.updater.ownership.partitions.size === PARTITIONS)
    await settles(world)
    // At rest, too: nothing comes late and undoes it.
    await until('it comes to rest', () => c.updater.idle)
    await sleep(300)
    await settles(world)
    assert.deepEqual([...b.failures, ...c.failures], [])
  })

  test('a record that can’t be read goes to the dead letters with its bytes, and its partition goes on', async (t) => {
    const world = await newWorld(t)
    const worker = await openWorker(t, world)
    await until('it owns all', () => worker.updater.ownership.partitions.size === PARTITIONS)
    const { topic } = world.topics[0]!
    const partition = partitionOf(Buffer.from('u1'), PARTITIONS)
    await say(world, searches(40))
    await world.producer.send(topic, partition, [{ key: Buffer.from('u1'), value: Buffer.from('not avro') }])
    await world.producer.send(topic, partition, [{ key: null, value: Buffer.from('no key') }])
    await say(world, searches(40))
    await settles(world)
    const cluster = await KafkaCluster.create(kafkaSettings(world.bootstrap, world.prefix), systemClock)
    t.after(() => cluster.close())
    let letters: string[] = []
    await until('both are kept', async () => {
      letters = []
      for await (const { letter } of readDeadLetters(cluster, topic, partition))
        letters.push(Buffer.from(letter.value!).toString())
      return letters.length >= 2
    })
    assert.deepEqual(letters, ['not avro', 'no key'])
    assert.deepEqual(worker.failures, [])
  })

  test('who starts again reads nothing twice that was acknowledged', async (t) => {
    const world = await newWorld(t)
    const a = await openWorker(t, world)
    await until('it owns all', () => a.updater.ownership.partitions.size === PARTITIONS)
    await say(world, searches(120))
    await settles(world)
    const numbers = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    const ends = await Promise.all(numbers.map((partition) => a.source.endOffsets(partition)))
    await until('all is committed', async () => {
      const committed = await Promise.all(numbers.map((partition) => a.source.committed(partition)))
      return isDeepStrictEqual(committed, ends)
    })
    await a.stop()
    const b = await openWorker(t, world)
    await until('it owns all', () => b.updater.ownership.partitions.size === PARTITIONS)
    for (const [number, { readPositions }] of b.updater.ownership.partitions)
      assert.deepEqual(new Map(readPositions), new Map(ends[number]!), `partition ${number}`)
    await say(world, searches(80))
    await settles(world)
  })
})
