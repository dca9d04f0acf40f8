/** A worker of a world (world.ts): the whole pipeline over the Kafka driver, with places where a test may stand in its way. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { GroupMember } from '../../src/drivers/kafka/group-member.ts'
import { KafkaChangelog } from '../../src/drivers/kafka/kafka-changelog.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../../src/drivers/kafka/kafka-control-log.ts'
import { KafkaDeadLetters } from '../../src/drivers/kafka/kafka-dead-letters.ts'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { SqliteDatabase } from '../../src/drivers/sqlite/sqlite-database.ts'
import { LOCAL_STATES_MIGRATIONS, SqliteLocalStates } from '../../src/drivers/sqlite/sqlite-local-states.ts'
import { UnavailableError } from '../../src/errors.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import type { SchemaSource } from '../../src/events/schema-source.ts'
import type { EmbeddingModel } from '../../src/model/embedding-model.ts'
import type { Changelog } from '../../src/pipeline/changelog.ts'
import { ChangelogStateStore } from '../../src/pipeline/changelog-state-store.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { EventSource } from '../../src/pipeline/event-source.ts'
import { DEFAULT_PIPELINE_SETTINGS, type PipelineSettings } from '../../src/pipeline/settings.ts'
import { tombstoneReader } from '../../src/pipeline/tombstone-reader.ts'
import { Updater } from '../../src/pipeline/updater.ts'
import type { VectorStore } from '../../src/vectors/vector-store.ts'
import type { PipelineModules } from '../pipeline/consistency/pipeline-modules.ts'
import { textModel, textRender } from '../pipeline/text-model.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { controlTopics, type World } from './world.ts'

/** Seconds where a service has minutes: a test that kills a worker waits for it. */
export const SESSION_MS = 2_000
const SETTINGS: PipelineSettings = {
  ...DEFAULT_PIPELINE_SETTINGS,
  minEvents: 3,
  quietMs: 20,
  maxDelayMs: 200,
  sessionTimeoutMs: SESSION_MS,
  commitIntervalMs: 50,
}

export interface WorkerOptions {
  settings?: Partial<PipelineSettings>
  kafka?: Partial<KafkaSettings>
  model?: EmbeddingModel
  schemas?: SchemaSource
  valueBytesMax?: number
  /** Of its local states, and the caller's to remove; else a new one that goes with the test. */
  folder?: string
  /** Code with a rule taken out. */
  modules?: Pick<PipelineModules, 'Updater' | 'ChangelogStateStore'>
  source?: (source: EventSource) => EventSource
  vectors?: (vectors: VectorStore) => VectorStore
  changelog?: (changelog: Changelog) => Changelog
  /** Of the changelog. */
  producer?: (producer: SafeProducer) => SafeProducer
}

export interface Worker {
  updater: Updater
  source: KafkaEventSource
  changelog: Changelog
  /** What it died of. */
  failures: unknown[]
  /** As at SIGTERM: flushes, commits, and leaves the group. */
  stop(): Promise<void>
  /** It can't reach its group any more, and doesn't know that others take over; all else of it goes on. */
  partFromGroup(): void
  /** It reads and writes on, and stays a member until the group moves on; it joins no other generation. */
  joinNoMore(): void
  /** As at SIGKILL: nothing of it gets out any more, and nobody is told. */
  kill(): void
}

/** A worker's way to Kafka. */
async function openDriver(world: World, options: WorkerOptions) {
  const { bootstrap, prefix, topics } = world
  const over = { sessionTimeoutMs: SESSION_MS, rebalanceTimeoutMs: SESSION_MS, ...options.kafka }
  const settings = kafkaSettings(bootstrap, prefix, over)
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  const { schemas = world.schemas, valueBytesMax, producer: wrapProducer = (same) => same } = options
  const limit = valueBytesMax === undefined ? {} : { valueBytesMax }
  const decoder = createRecordDecoder({ topics, schemas, ...limit })
  const names = topics.map(({ topic }) => topic)
  const source = await KafkaEventSource.open(settings, names, systemClock)
  const { partitionCount } = source
  const state = { topic: `${prefix}.state`, partitionCount }
  const close = async () => {
    await source.close()
    await producer.close()
    cluster.close()
  }
  try {
    const changelog = await KafkaChangelog.open(cluster, wrapProducer(producer), state)
    const control = controlTopics(world)
    const controlLog = await KafkaControlLog.open(cluster, producer, control, tombstoneReader(decoder))
    return {
      source,
      decoder,
      changelog,
      controlLog,
      deadLetters: new KafkaDeadLetters(producer),
      producer,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** What of a worker ends with its process. */
function mortal() {
  const end = Promise.withResolvers<never>()
  end.promise.catch(() => {})
  let isAlive = true
  const guard = <Call extends (...of: never[]) => Promise<unknown>>(call: Call): Call =>
    (async (...of) => {
      if (!isAlive) return end.promise
      const answer = await call(...of)
      return isAlive ? answer : end.promise
    }) as Call
  return {
    die: () => {
      isAlive = false
    },
    /** Whoever waits for an answer that will never come is let go. */
    bury: () => end.reject(new UnavailableError('test-killed', 'this worker was killed')),
    vectors: (vectors: VectorStore): VectorStore =>
      replacing(vectors, {
        upsert: guard(vectors.upsert.bind(vectors)),
        get: guard(vectors.get.bind(vectors)),
      }),
    changelog: (changelog: Changelog): Changelog =>
      replacing(changelog, { append: guard(changelog.append.bind(changelog)) }),
  }
}

/** The same thing, but for some of its methods. */
export function replacing<Thing extends object>(thing: Thing, parts: Partial<Thing>): Thing {
  return new Proxy(thing, {
    get: (target, name) => {
      if (Object.hasOwn(parts, name)) return parts[name as keyof Thing]
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  })
}

export async function openWorker(t: TestContext, world: World, options: WorkerOptions = {}): Promise<Worker> {
  const { modules = { Updater, ChangelogStateStore }, model = textModel } = options
  const { source, decoder, changelog, controlLog, deadLetters, producer, close } = await openDriver(
    world,
    options,
  )
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'freshet-worker-'))
  const path = join(folder, 'states.db')
  const database = new SqliteDatabase({ path, migrations: LOCAL_STATES_MIGRATIONS, isCache: true })
  const disk = new SqliteLocalStates(database)
  const life = mortal()
  const { changelog: wrapChangelog = (same) => same, vectors: wrapVectors = (same) => same } = options
  const { source: wrapSource = (same) => same } = options
  const updater = new modules.Updater({
    source: wrapSource(source),
    decoder,
    store: new modules.ChangelogStateStore(life.changelog(wrapChangelog(changelog)), disk, () => model.slots),
    controlLog,
    deadLetters,
    models: new Map([['text' as never, model]]),
    render: (_target, window) => textRender(window),
    vectors: life.vectors(wrapVectors(world.vectors)),
    clock: systemClock,
    settings: { ...SETTINGS, ...options.settings },
  })
  const failures: unknown[] = []
  source.failed = (error) => updater.ownership.failed(error)
  const running = updater.run().catch((error) => failures.push(error))
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= (async () => {
      try {
        await updater.stop()
      } finally {
        await source.close()
        await running
        await close()
        disk.flush()
        database.close()
      }
    })()
    return stopped
  }
  const partFromGroup = () => (Reflect.get(source, 'cluster') as KafkaCluster).close()
  const joinNoMore = () => (Reflect.get(source, 'member') as GroupMember).stop()
  let isKilled = false
  t.after(async () => {
    life.bury()
    // Who was killed has nowhere to put its last checkpoint.
    await stop().catch((error) => assert.ok(isKilled, error))
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
  })
  const kill = () => {
    isKilled = true
    life.die()
    partFromGroup()
    void producer.close(0)
  }
  return { updater, source, changelog, failures, stop, partFromGroup, joinNoMore, kill }
}

/** A worker that owns all partitions. */
export async function openOwner(t: TestContext, world: World, options: WorkerOptions = {}): Promise<Worker> {
  const worker = await openWorker(t, world, options)
  await ownAll(world, worker)
  return worker
}

/** Waits until the workers own all partitions between them. */
export async function ownAll(world: World, ...workers: readonly Worker[]): Promise<void> {
  const owned = () => workers.reduce((sum, { updater }) => sum + updater.ownership.partitions.size, 0)
  const isOwner = () =>
    workers.every(
      ({ updater: { ownership } }) => ownership.partitions.size === 0 || ownership.stage === 'owner',
    )
  await until('all partitions are owned', () => owned() === world.partitionCount && isOwner())
}

/** Waits until the group's offsets are the ends of the topics: everything said is acknowledged. */
export async function committedAll(world: World, worker: Worker): Promise<void> {
  await until('all is committed', async () => {
    assert.deepEqual(worker.failures, [])
    for (let partition = 0; partition < world.partitionCount; partition++) {
      const [committed, ends] = await Promise.all([
        worker.source.committed(partition),
        worker.source.endOffsets(partition),
      ])
      for (const [topic, end] of ends) if ((committed.get(topic) ?? 0) !== end) return false
    }
    return true
  })
}

/** Holds calls back, as a network or a process that stands still would. */
export class Gate {
  /** Calls that wait now. */
  waiting = 0
  private opened: PromiseWithResolvers<void> | undefined

  /** Make it before the workers: it opens when the test ends, so that they can. */
  constructor(t: TestContext) {
    t.after(() => this.release())
  }

  hold(): void {
    this.opened ??= Promise.withResolvers()
  }

  release(): void {
    this.opened?.resolve()
    this.opened = undefined
  }

  async pass(): Promise<void> {
    if (this.opened === undefined) return
    this.waiting++
    await this.opened.promise
    this.waiting--
  }
}
