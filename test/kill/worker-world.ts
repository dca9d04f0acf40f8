/** A world of worker processes over a real broker: topics, a shared store of vectors, users, an operator, and the verdict. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OpenedModel, openModel } from '../../src/cli/open-model.ts'
import { topicNeeds } from '../../src/cli/topic-needs.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { wantedTopics } from '../../src/drivers/kafka/topic-needs.ts'
import { openQdrant } from '../../src/drivers/qdrant/open-qdrant.ts'
import { openVectorsFile } from '../../src/drivers/sqlite/vectors-file.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { StatusAnswer } from '../../src/server/service.ts'
import type { VectorStore } from '../../src/vectors/vector-store.ts'
import { GOLDEN_BUNDLE } from '../cli/standalone-fixture.ts'
import { kafkaSettings } from '../kafka/driver-fixture.ts'
import { readRecords, withAdmin } from '../kafka/kafkajs-records.ts'
import { uniqueName } from '../kafka/shared-broker.ts'
import { createTopics } from '../kafka/world.ts'
import type { NamedServer } from '../qdrant/named-server.ts'
import { EventStream } from './event-stream.ts'
import type { Mutant } from './moments.ts'
import { Operator } from './operator.ts'
import { Patience, until } from './patience.ts'
import { judge, placeOf, readLog, type Verdict } from './worker-oracle.ts'
import { WorkerProcess } from './worker-process.ts'

const PARTITIONS = 4
/** Nothing moves any more: the last thing that has a time of its own is done, a slow group's refresh or an old text's end. */
const SETTLED_MS = 20_000
/** Quiet has to last: what comes late would undo it. */
const STAY_MS = 500

export interface WorldOptions {
  bootstrap: string
  seed: number
  workers: number
  /** Vectors lie there; null: in a file that the workers share. */
  qdrant?: NamedServer | null
  sessionTimeoutMs?: number
  /** The changelog is compacted every few seconds, as it is in the course of days. */
  compacts?: boolean
  mutant?: Mutant
}

const COMPACTED_SOON = {
  'segment.ms': '2000',
  'max.compaction.lag.ms': '1000',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '1000',
}

/** A wrong world is wrong in many places: the first tell what it is about. */
const WRONG_SHOWN = 12

export function assertAllRight({ users, compared, wrong }: Verdict, about = ''): void {
  const shown = wrong.slice(0, WRONG_SHOWN).join('\n')
  assert.equal(
    wrong.length,
    0,
    `${wrong.length} of ${compared} vectors and more are wrong ${about}:\n${shown}`,
  )
  assert.ok(users > 0 && compared > users, `expected users with vectors, got ${users} with ${compared}`)
}

export class WorkerWorld {
  readonly partitionCount = PARTITIONS
  readonly workers: readonly WorkerProcess[]
  readonly stream: EventStream
  readonly operator: Operator
  private readonly bootstrap: string
  private readonly folder: string
  private readonly settings: Settings
  private readonly producer: SafeProducer
  private readonly vectors: VectorStore
  private readonly opened: OpenedModel

  /** Creates topics and configurations; no worker runs yet. */
  static async create(options: WorldOptions): Promise<WorkerWorld> {
    const folder = mkdtempSync(join(tmpdir(), 'freshet-workers-'))
    const name = uniqueName('kills')
    const config = configOf(options, name, folder)
    const { settings } = loadSettings({ file: null, env: {}, flags: flagsOf(config) })
    await createAll(options, settings)
    const producer = await SafeProducer.open(kafkaSettings(options.bootstrap, name), systemClock)
    const { sqliteFile, driver, qdrant } = settings.vectors
    const vectors =
      driver === 'qdrant'
        ? await openQdrant(qdrant, systemClock)
        : openVectorsFile({ path: sqliteFile!, clock: systemClock })
    const opened = await openModel(GOLDEN_BUNDLE, settings.model, null)
    return new WorkerWorld(options, { folder, config, settings, producer, vectors, opened })
  }

  private constructor(
    { bootstrap, seed, workers, mutant }: WorldOptions,
    parts: {
      folder: string
      config: Config
      settings: Settings
      producer: SafeProducer
      vectors: VectorStore
      opened: OpenedModel
    },
  ) {
    const { folder, config, settings, producer, vectors, opened } = parts
    this.bootstrap = bootstrap
    this.folder = folder
    this.settings = settings
    this.producer = producer
    this.vectors = vectors
    this.opened = opened
    this.workers = Array.from({ length: workers }, (_, i) => {
      const dataDir = join(folder, `worker-${i}`)
      const file = join(folder, `worker-${i}.yaml`)
      // JSON is YAML.
      writeFileSync(file, JSON.stringify({ ...config, dataDir }))
      return new WorkerProcess(file, dataDir, mutant)
    })
    const [search, tabular, tombstone] = settings.events.topics.map(({ topic }) => topic)
    this.stream = new EventStream({
      producer,
      topics: { search: search!, tabular: tabular!, tombstone: tombstone! },
      partitionCount: PARTITIONS,
      random: new SeededRandom(seed, 'stream'),
    })
    this.operator = new Operator(this.workers, new SeededRandom(seed, 'operator'))
  }

  /** Starts all workers, registers what is asked at first, and lets events flow. */
  async begin(args: readonly string[] = []): Promise<void> {
    for (const worker of this.workers) worker.start(null, args)
    await Promise.all(this.workers.map((worker) => worker.serves()))
    await this.operator.begin()
    this.stream.start()
    this.operator.start()
  }

  /** Ends what happens, waits until nothing is left to do, and compares everything. */
  async settle(): Promise<Verdict> {
    await this.operator.stop()
    await this.stream.stop()
    await this.operator.mend()
    await this.quiet()
    const patience = new Patience(this.workers, SETTLED_MS)
    let verdict = await this.verdict()
    while (verdict.wrong.length > 0 && !(await patience.isOver())) {
      await sleep(250)
      verdict = await this.verdict()
    }
    if (verdict.wrong.length > 0) return verdict
    await sleep(STAY_MS)
    return this.verdict()
  }

  /** What is stored now against the log as it is now. */
  async verdict(): Promise<Verdict> {
    const { topics } = this.settings.events
    const names = topics.map(({ topic }) => topic)
    const decoder = createRecordDecoder({ topics, schemas: directorySchemas(null) })
    const log = readLog(await readRecords(this.bootstrap, names), decoder)
    const { model, render } = this.opened
    const groups = this.operator.wanted()
    const verdict = await judge(this.vectors, { log, groups, model, render })
    await this.judgeLetters(log.rubbish, verdict)
    for (const { accidents } of this.workers) verdict.wrong.push(...accidents)
    return verdict
  }

  /** Every worker's answer, of those who answer. */
  async statuses(): Promise<StatusAnswer[]> {
    const answers = await Promise.all(this.workers.map((worker) => worker.status()))
    return answers.filter((answer) => answer !== null)
  }

  /** @throws {Error} where each worker stands, when somebody still has something to do at last */
  async quiet(): Promise<void> {
    let quietSinceMs = Number.POSITIVE_INFINITY
    await this.until('quiet', async () => {
      const nowMs = performance.now()
      const isQuiet = (await this.isIdle()) && (await this.isCommitted())
      quietSinceMs = isQuiet ? Math.min(quietSinceMs, nowMs) : Number.POSITIVE_INFINITY
      return nowMs - quietSinceMs >= STAY_MS
    })
  }

  /** Every worker is a member of the group, and holds something. */
  async isShared(): Promise<boolean> {
    const statuses = await this.statuses()
    const shares = statuses.map(({ stage, partitions }) => (stage === 'owner' ? partitions.length : 0))
    return shares.length === this.workers.length && shares.every((count) => count > 0)
  }

  /** @throws {Error} where each worker stands, when nothing moves any more, or for too long */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    await until(this.workers, what, isSo)
  }

  async close(): Promise<void> {
    await Promise.all([this.operator.abandon(), this.stream.abandon()])
    await Promise.all(this.workers.map((worker) => worker.kill()))
    await this.producer.close()
    if (this.settings.vectors.driver === 'qdrant')
      for (const { name } of await this.vectors.collections()) await this.vectors.dropCollection(name)
    await this.vectors.close()
    await this.opened.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private async isIdle(): Promise<boolean> {
    const running = this.workers.filter(({ isRunning }) => isRunning)
    const statuses = await this.statuses()
    if (statuses.length < running.length) return false
    const partitions = statuses.flatMap((status) => status.partitions)
    return (
      partitions.length === PARTITIONS &&
      statuses.every(
        ({ stage, users, events, sweep }) =>
          (stage === 'owner' || stage === 'idle') &&
          events.lag + users.waiting + users.ready + users.swept + users.parked === 0 &&
          !sweep.underWay,
      )
    )
  }

  /** The group's offsets are the ends of the topics, as another client sees both. */
  private async isCommitted(): Promise<boolean> {
    const { topics, kafka } = this.settings.events
    const names = topics.map(({ topic }) => topic)
    return withAdmin(this.bootstrap, async (admin) => {
      const committed = await admin.fetchOffsets({ groupId: kafka.groupId, topics: names })
      for (const { topic, partitions } of committed) {
        const ends = await admin.fetchTopicOffsets(topic)
        for (const { partition, high } of ends) {
          const offset = partitions.find((one) => one.partition === partition)?.offset ?? '-1'
          if (Math.max(0, Number(offset)) !== Number(high)) return false
        }
      }
      return true
    })
  }

  private async judgeLetters(rubbish: ReadonlySet<string>, { wrong }: Verdict): Promise<void> {
    const names = this.settings.events.topics.map(({ topic }) => `${topic}.dlq`)
    const letters = new Set(
      (await readRecords(this.bootstrap, names)).map(({ headers = {} }) => {
        const of = (name: string) => headers[`freshet.dlq.${name}`] ?? ''
        return placeOf(of('topic'), of('partition'), of('offset'))
      }),
    )
    for (const place of rubbish.difference(letters)) wrong.push(`no dead letter of ${place}`)
    for (const place of letters.difference(rubbish)) wrong.push(`a dead letter of ${place}, which is none`)
  }
}

type Config = ReturnType<typeof configOf>

/** Quick to refresh and to commit, so that a kill meets something under way; time-outs of seconds. */
function configOf(options: WorldOptions, name: string, folder: string) {
  const { bootstrap, qdrant = null, sessionTimeoutMs = 3_000 } = options
  const topics = ['search', 'tabular', 'tombstone'].map((holds) => ({
    topic: `${name}.${holds}`,
    holds,
    format: 'avro-raw',
  }))
  const kafka = {
    brokers: bootstrap.split(','),
    groupId: name,
    topicPrefix: `${name}.`,
    sessionTimeoutMs,
    heartbeatIntervalMs: 300,
    rebalanceTimeoutMs: 10_000,
    fetchWaitMs: 100,
    connectTimeoutMs: 1_000,
    requestTimeoutMs: 5_000,
    offsetOutOfRange: 'fail',
    newTopics: { partitions: PARTITIONS },
    stopTimeoutMs: 3_000,
  }
  const shared = join(folder, 'shared')
  mkdirSync(shared)
  return {
    events: { driver: 'kafka', kafka, topics },
    vectors:
      qdrant === null
        ? { driver: 'sqlite', sqliteFile: join(shared, 'vectors.db') }
        : { driver: 'qdrant', qdrant: { ...qdrant, prefix: name } },
    model: { bundle: GOLDEN_BUNDLE, threads: 1 },
    windows: { horizonDays: 'none' },
    refresh: { quietMs: 20, maxDelayMs: 200, commitIntervalMs: 50, minEvents: 3, batchUsersMax: 8 },
    instructions: { retireAfterMs: 0 },
    server: { port: 0 },
    log: { level: 'warn', pretty: false },
  }
}

/** As dotted names: lists are settings of their own. */
function flagsOf(value: object, path = ''): Record<string, unknown> {
  const flags: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    const at = path === '' ? name : `${path}.${name}`
    if (inner !== null && typeof inner === 'object' && !Array.isArray(inner))
      Object.assign(flags, flagsOf(inner, at))
    else flags[at] = inner
  }
  return flags
}

/** As `freshet topics apply` makes them where there are none. */
async function createAll({ bootstrap, compacts }: WorldOptions, settings: Settings): Promise<void> {
  const wanted = wantedTopics(topicNeeds(settings), new Map())
  await createTopics(
    bootstrap,
    wanted.map(({ topic, partitionCount, configs, use }) => ({
      topic,
      partitionCount,
      config: compacts === true && use === 'state' ? { ...configs, ...COMPACTED_SOON } : configs,
    })),
  )
}
