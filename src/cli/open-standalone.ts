/** Builds a standalone freshet over one data directory: opens every part and passes them to each other. */

import type { Settings } from '../config/settings.ts'
import type { MainDirectory } from '../drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../drivers/sqlite/event-log.ts'
import { cutLog } from '../drivers/sqlite/log-retention.ts'
import { OfVectors } from '../drivers/sqlite/of-vectors.ts'
import { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../drivers/sqlite/sqlite-event-source.ts'
import { SqliteLetters } from '../drivers/sqlite/sqlite-letters.ts'
import { SqliteStateStore } from '../drivers/sqlite/sqlite-state-store.ts'
import { ConfigError } from '../errors.ts'
import { createRecordDecoder } from '../events/decoder.ts'
import { createIngestEncoder } from '../events/ingest.ts'
import type { EmbeddingModel } from '../model/embedding-model.ts'
import { userInput } from '../model/user-input.ts'
import { type Clock, systemClock } from '../pipeline/clock.ts'
import { Housekeeping } from '../pipeline/housekeeping.ts'
import { tombstoneReader } from '../pipeline/tombstone-reader.ts'
import { Updater } from '../pipeline/updater.ts'
import { windowCaps } from '../pipeline/window-caps.ts'
import { DAY_MS } from '../window/day.ts'
import { closeAll } from './close-all.ts'
import { Freshet } from './freshet.ts'
import { withKeptHorizon } from './kept-horizon.ts'
import { openCachedModel } from './open-cached-model.ts'
import type { OpenedModel } from './open-model.ts'
import { type OpenSchemas, openSchemas } from './open-schemas.ts'
import { type OpenedVectors, openDirectory, openVectors, silentVectors } from './open-vectors.ts'
import type { StandaloneParts } from './parts.ts'
import { pipelineSettings } from './pipeline-settings.ts'
import type { OnLost } from './rebuild.ts'
import { type Say, sayNote, sayWhile } from './say-while.ts'
import { sqliteBackend } from './sqlite-backend.ts'

export type Standalone = Freshet<StandaloneParts>

export interface StandaloneOptions {
  clock?: Clock
  /** What a server of vectors that can't be reached means: an error at once, or waiting for it once it is started. */
  unreachable?: 'fail' | 'wait'
  /** Drops collections that somebody else wrote. */
  takeOver?: boolean
  /** What it means that the vectors are not as the states say: everybody is embedded anew, or an error. */
  onLost?: OnLost
  /** Told what it waits for; left out: it is a note on the error output. */
  say?: Say
}

/**
 * Opens the data directory and everything over it; nothing runs yet.
 *
 * @throws {ConfigError} what is wrong with directory, bundle, provider, topics or server; nothing stays open
 * @throws {UnavailableError} the vectors can't be reached, unless it is waited for them
 */
export async function openStandalone(
  settings: Settings,
  {
    clock = systemClock,
    unreachable = 'fail',
    takeOver = false,
    onLost = 'rebuild',
    say = sayNote,
  }: StandaloneOptions = {},
): Promise<Standalone> {
  if (settings.events.driver === 'kafka')
    throw new ConfigError(
      'standalone-only',
      'expected a freshet with a data directory of its own, got events.driver kafka: this verb is for the former; events reach workers through their topics, and changes through a running one (freshet run)',
    )
  const directory = openDirectory(settings, 'write', clock.nowMs())
  const closers: (() => unknown)[] = [() => directory.close()]
  try {
    const { opened, cacheWarning } = await openCachedModel(settings, clock, closers)
    const { schemas, findId, close: closeSchemas } = await openSchemas(settings, say)
    closers.push(closeSchemas)
    const controlLog = new SqliteControlLog(directory.main)
    await registerModel(controlLog, opened.model)
    const wasUsedBefore = async () => (await parts.store.restore(0)).highestEpoch > 0
    const opens = openVectors(directory, { settings, clock, controlLog, wasUsedBefore, takeOver, onLost })
    const { vectors } = opens
    // Before its file: a search that still reads vectors into memory is told, not broken.
    closers.push(() => opens.close())
    const settled = await withKeptHorizon(settings, {
      remembered: new OfVectors(directory.main).horizonDays(),
      vectors: 'vectors' in directory ? vectors : null,
      model: opened.model.id,
    })
    const parts = assemble(settled, clock, directory, controlLog, { schemas, findId }, opens, opened)
    // First of what is opened over the directory, last of what a stop ends: nobody appends any more.
    closers.push(() => parts.log.close())
    const standalone = new Freshet({ parts: { ...parts, cacheWarning }, closers, isAlone: true })
    if (unreachable === 'fail')
      await sayWhile(
        () => say('vectors', silentVectors(settings)),
        () => standalone.reach(),
      )
    return standalone
  } catch (error) {
    // What went wrong first is what is told.
    await closeAll(closers).catch(() => {})
    throw error
  }
}

/** The first start names the bundle's model active; from then on the record decides. */
async function registerModel(controlLog: SqliteControlLog, { id }: EmbeddingModel): Promise<void> {
  const record = (await controlLog.models(-1)).at(-1)
  if (record === undefined) await controlLog.appendModel({ active: id, also: null, existing: [id] })
  else if (record.active !== id)
    throw new ConfigError(
      'model-not-active',
      `expected the bundle of model ${record.active}, which this data directory was made with, got ${id}: name that bundle in model.bundle, or choose a new dataDir and ingest again`,
    )
}

function assemble(
  settings: Settings,
  clock: Clock,
  directory: MainDirectory,
  controlLog: SqliteControlLog,
  { schemas, findId }: Pick<OpenSchemas, 'schemas' | 'findId'>,
  opensVectors: OpenedVectors,
  opened: OpenedModel,
): Omit<StandaloneParts, 'cacheWarning'> {
  const { model, render } = opened
  const { topics, valueBytesMax } = settings.events
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
    vectors: opensVectors.vectors,
    clock,
    settings: ofPipeline,
  })
  const encoder = createIngestEncoder({ topics, schemas, findId })
  const letters = new SqliteLetters(deadLetters, log)
  const parts = {
    settings,
    clock,
    directory,
    backend: sqliteBackend({ directory, log, controlLog, store, letters }),
    log,
    source,
    controlLog,
    deadLetters,
    store,
    vectors: opensVectors.vectors,
    opensVectors,
    decoder,
    encoder,
    opened,
    pipelineSettings: ofPipeline,
    updater,
  }
  return { ...parts, housekeeping: keepHouse(parts) }
}

function keepHouse(
  parts: Pick<
    StandaloneParts,
    'settings' | 'clock' | 'directory' | 'log' | 'source' | 'controlLog' | 'opensVectors' | 'updater'
  >,
): Housekeeping {
  const { settings, clock, directory, log, source, controlLog, opensVectors, updater } = parts
  const { retentionBytesMax, retentionDays } = settings.events.log
  return new Housekeeping({
    updater,
    vectors: opensVectors.vectors,
    clock,
    appendRetiredText: (retired) => controlLog.appendRetiredText(retired),
    tidyLog: async (nowMs) => {
      // A backup from before this minute is known as such when it is put back.
      await opensVectors.agree(updater.control.view)
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
