/** Standalone freshet: builds every part over one data directory and passes them to each other. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import { type DataDirectory, openDataDirectory } from '../drivers/sqlite/data-directory.ts'
import { SqliteEventLog, tombstoneReader } from '../drivers/sqlite/event-log.ts'
import { openEventVectorCache } from '../drivers/sqlite/event-vector-cache.ts'
import { cutLog } from '../drivers/sqlite/log-retention.ts'
import { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../drivers/sqlite/sqlite-vector-store.ts'
import { ConfigError } from '../errors.ts'
import { createRecordDecoder } from '../events/decoder.ts'
import { createIngestEncoder, type IngestEncoder } from '../events/ingest.ts'
import { directorySchemas } from '../events/schema-source.ts'
import type { RecordDecoder } from '../events/source-record.ts'
import type { EmbeddingModel } from '../model/embedding-model.ts'
import { userInput } from '../model/user-input.ts'
import { type Clock, systemClock } from '../pipeline/clock.ts'
import { Housekeeping } from '../pipeline/housekeeping.ts'
import type { PipelineSettings } from '../pipeline/settings.ts'
import { Updater } from '../pipeline/updater.ts'
import { windowCaps } from '../pipeline/window-caps.ts'
import { DAY_MS } from '../window/day.ts'
import { builtInBundle } from './built-in-bundle.ts'
import { withKeptHorizon } from './kept-horizon.ts'
import { type OpenedModel, openModel } from './open-model.ts'
import { pipelineSettings } from './pipeline-settings.ts'
import { rebuildIfLost } from './rebuild.ts'

export interface StandaloneParts {
  settings: Settings
  clock: Clock
  directory: DataDirectory
  log: SqliteEventLog
  source: SqliteEventSource
  controlLog: SqliteControlLog
  deadLetters: SqliteDeadLetters
  store: SqliteStateStore
  vectors: SqliteVectorStore
  decoder: RecordDecoder
  encoder: IngestEncoder
  opened: OpenedModel
  pipelineSettings: PipelineSettings
  updater: Updater
  housekeeping: Housekeeping
  /** Why the cache of event vectors was begun anew at the start; null: it wasn't. */
  cacheWarning: string | null
  /** The vectors were gone at the start, or of another time than the states: everybody is embedded anew. */
  isRebuilt: boolean
}

/** How long a stop waits for users whose events were read: what is left is read again at the next start. */
const DRAIN_MS = 10_000
const POLL_MS = 10

/**
 * Opens the data directory and everything over it; nothing runs yet.
 *
 * @throws {ConfigError} what is wrong with directory, bundle, provider or topics; nothing stays open
 */
export async function openStandalone(settings: Settings, clock: Clock = systemClock): Promise<Standalone> {
  const directory = openDataDirectory({ path: settings.dataDir, access: 'write', nowMs: clock.nowMs() })
  const closers: (() => unknown)[] = [() => directory.close()]
  try {
    const { eventCacheBytesMax } = settings.model
    const cachePath = join(directory.path, 'event-vectors.db')
    const { cache, warning } =
      eventCacheBytesMax === 0
        ? { cache: null, warning: null }
        : openEventVectorCache({ path: cachePath, sizeBytesMax: eventCacheBytesMax })
    if (cache !== null) closers.push(() => cache.close())
    const bundle = settings.model.bundle ?? (await builtInBundle(directory.path, clock))
    const opened = await openModel(bundle, settings.model, cache)
    closers.push(() => opened.close())
    const controlLog = new SqliteControlLog(directory.main)
    const wasUsedBefore = await registerModel(controlLog, opened.model)
    const vectors = new SqliteVectorStore(directory.vectors, clock)
    // Before its file: a search that still reads vectors into memory is told, not broken.
    closers.push(() => vectors.close())
    const isRebuilt = await rebuildIfLost(controlLog, vectors, directory, wasUsedBefore)
    const settled = await withKeptHorizon(settings, vectors, opened.model.id)
    const parts = assemble(settled, clock, directory, controlLog, vectors, opened)
    return new Standalone({ ...parts, cacheWarning: warning, isRebuilt }, closers)
  } catch (error) {
    for (const close of closers.reverse()) await close()
    throw error
  }
}

/** The first start names the bundle's model active; from then on the record decides. @returns false: it was the first */
async function registerModel(controlLog: SqliteControlLog, { id }: EmbeddingModel): Promise<boolean> {
  const record = (await controlLog.models(-1)).at(-1)
  if (record === undefined) await controlLog.appendModel({ active: id, also: null, existing: [id] })
  else if (record.active !== id)
    throw new ConfigError(
      'model-not-active',
      `expected the bundle of model ${record.active}, which this data directory was made with, got ${id}: name that bundle in model.bundle, or choose a new dataDir and ingest again`,
    )
  return record !== undefined
}

function assemble(
  settings: Settings,
  clock: Clock,
  directory: DataDirectory,
  controlLog: SqliteControlLog,
  vectors: SqliteVectorStore,
  opened: OpenedModel,
): Omit<StandaloneParts, 'cacheWarning' | 'isRebuilt'> {
  const { model, render } = opened
  const { topics, valueBytesMax } = settings.events
  const schemas = directorySchemas(settings.events.schemas.directory, settings.events.schemas.ids)
  const decoder = createRecordDecoder({ topics, schemas, valueBytesMax })
  const log = new SqliteEventLog(directory.main, {
    clock,
    tombstoneOf: tombstoneReader(decoder),
    tombstoneTopic: topics.find(({ holds }) => holds === 'tombstone')?.topic ?? '',
  })
  const source = new SqliteEventSource(directory.main, log, {
    topics: topics.map(({ topic }) => topic),
    clock,
  })
  const ofPipeline = pipelineSettings(settings)
  const models = new Map([[model.id, model]])
  const store: SqliteStateStore = new SqliteStateStore(directory.main, {
    caps: () => windowCaps(updater.control.view, models, ofPipeline),
    userBytesMax: settings.windows.userBytesMax,
  })
  const deadLetters = new SqliteDeadLetters(directory.main)
  const updater = new Updater({
    source,
    decoder,
    store,
    controlLog,
    deadLetters,
    models,
    render: (_target, window) => userInput(model, render, window),
    vectors,
    clock,
    settings: ofPipeline,
  })
  const housekeeping = keepHouse({ settings, clock, directory, log, source, controlLog, vectors, updater })
  const encoder = createIngestEncoder({ topics, schemas })
  return {
    settings,
    clock,
    directory,
    log,
    source,
    controlLog,
    deadLetters,
    store,
    vectors,
    decoder,
    encoder,
    opened,
    pipelineSettings: ofPipeline,
    updater,
    housekeeping,
  }
}

function keepHouse(
  parts: Pick<
    StandaloneParts,
    'settings' | 'clock' | 'directory' | 'log' | 'source' | 'controlLog' | 'vectors' | 'updater'
  >,
): Housekeeping {
  const { settings, clock, directory, log, source, controlLog, vectors, updater } = parts
  const { retentionBytesMax, retentionDays } = settings.events.log
  return new Housekeeping({
    updater,
    vectors,
    clock,
    appendInstruction: (instruction) => controlLog.appendInstruction(instruction),
    tidyLog: async (nowMs) => {
      // A backup from before this minute is known as such when it is put back.
      directory.agree()
      await cutLog(directory.main, {
        bytesMax: retentionBytesMax,
        ageMsMax: retentionDays * DAY_MS,
        keepFrom: source.keepFrom(),
        nowMs,
      })
      log.forgetImports(nowMs - retentionDays * DAY_MS)
    },
  })
}

export class Standalone {
  readonly parts: StandaloneParts
  private readonly closers: (() => unknown)[]
  private readonly stopping = new AbortController()
  private running: Promise<void> | undefined
  private failure: unknown

  constructor(parts: StandaloneParts, closers: (() => unknown)[]) {
    this.parts = parts
    this.closers = closers
  }

  /** Takes over and runs in the background. @throws what keeps the take-over from ending */
  async start(): Promise<void> {
    const { updater, housekeeping } = this.parts
    this.running = Promise.all([updater.run(), housekeeping.run(this.stopping.signal)]).then(() => {})
    this.running.catch((error: unknown) => {
      this.failure = error
      this.stopping.abort()
    })
    await Promise.race([updater.ownership.settled(), this.running])
    if (updater.ownership.stage !== 'owner') await this.running
    await housekeeping.tick()
  }

  /** Resolves when everything has stopped by itself; rejects with what only a restart mends. */
  async ended(): Promise<void> {
    await this.running
  }

  /** Records of the log that were not read yet. */
  async lag(): Promise<number> {
    const { source, updater } = this.parts
    const partition = updater.ownership.partitions.get(0)
    if (partition === undefined) return 0
    const ends = await source.endOffsets(0)
    return source.topics.reduce(
      (sum, topic, i) => sum + Math.max(0, (ends.get(topic) ?? 0) - partition.read[i]!),
      0,
    )
  }

  /** Resolves when every record of the log has been read into the states. */
  async caughtUp(): Promise<void> {
    while ((await this.lag()) > 0) await this.pause()
  }

  /** Embeds without waiting for any debounce until nothing is left to do, then commits. @param report called with users that still wait */
  async untilIdle(report: (waiting: number) => void = () => {}): Promise<void> {
    const { updater, housekeeping, pipelineSettings } = this.parts
    updater.refreshing = true
    const { sweepUsersPerSecondMax } = pipelineSettings
    // Somebody waits for it: there is nothing that a sweep should give way to.
    pipelineSettings.sweepUsersPerSecondMax = Number.POSITIVE_INFINITY
    while (!this.stopping.signal.aborted && ((await this.lag()) > 0 || !updater.idle)) {
      const worked = await updater.refreshOnce(true)
      report(this.waiting)
      if (!worked) await this.pause()
    }
    pipelineSettings.sweepUsersPerSecondMax = sweepUsersPerSecondMax
    if (this.stopping.signal.aborted) return
    await updater.commitOnce()
    await housekeeping.tick()
  }

  /** Users with events that no vector shows yet, and those whom a sweep marked. */
  get waiting(): number {
    const { ownership, scheduler } = this.parts.updater
    let users = scheduler.sweptCount
    for (const partition of ownership.partitions.values()) users += partition.held.size
    return users
  }

  /** Lets what was read be embedded, commits, and closes everything. @param drainMs how long at most */
  async close(drainMs = DRAIN_MS): Promise<void> {
    const { updater, source, log, clock } = this.parts
    if (this.running !== undefined && this.failure === undefined) {
      const deadlineMs = clock.nowMs() + drainMs
      while ((await this.lag()) > 0 && clock.nowMs() < deadlineMs && this.failure === undefined)
        await sleep(POLL_MS)
      await source.stop()
      while (!this.settled && clock.nowMs() < deadlineMs && this.failure === undefined)
        if (!(await updater.refreshOnce(true))) await sleep(POLL_MS)
    }
    this.stopping.abort()
    if (this.running !== undefined) {
      await updater.stop()
      await this.running.catch(() => {})
    }
    log.close()
    for (const close of this.closers.reverse()) await close()
  }

  private get settled(): boolean {
    if (!this.parts.updater.refreshing) return true
    return [...this.parts.updater.ownership.partitions.values()].every(({ settled }) => settled)
  }

  private async pause(): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    await sleep(POLL_MS)
  }
}
