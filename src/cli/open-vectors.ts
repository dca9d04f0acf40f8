/** The store of vectors that the settings name: in the data directory, or on a server that may not answer yet. */

import type { Settings } from '../config/settings.ts'
import { openQdrant } from '../drivers/qdrant/open-qdrant.ts'
import type { ServerFacts } from '../drivers/qdrant/qdrant-vector-store.ts'
import {
  type DataDirectory,
  directoryToCome,
  type MainDirectory,
  openDataDirectory,
  openMainDirectory,
} from '../drivers/sqlite/data-directory.ts'
import { OfVectors } from '../drivers/sqlite/of-vectors.ts'
import { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import { SqliteVectorStore } from '../drivers/sqlite/sqlite-vector-store.ts'
import { ConfigError, UnavailableError } from '../errors.ts'
import { InstructionRegistry } from '../instructions/registry.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { ControlLog } from '../pipeline/control-log.ts'
import { readView, type View } from '../pipeline/view.ts'
import { ModelRegistry } from '../vectors/model-registry.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import { DeferredVectorStore } from './deferred-vectors.ts'
import { type OnLost, rebuildIfLost } from './rebuild.ts'
import { ServerMarks, type ServerVectors } from './server-marks.ts'

/** For a line about a wait. */
export function silentVectors({ vectors: { driver, qdrant } }: Settings): string {
  return driver === 'sqlite'
    ? 'the vectors are still being opened'
    : `the vectors at ${qdrant.url} don't answer yet: they are waited for`
}

/** A store of vectors, and what a data directory must know of it. */
export interface OpenedVectors {
  readonly vectors: VectorStore
  /**
   * Reaches it, and has everything embedded anew that is not there as the states say.
   *
   * @returns whether a rebuild was asked for
   * @throws {UnavailableError} not now; nothing was changed, and it may be called again
   * @throws {ConfigError} `vectors-not-ours`, and what the driver finds wrong with server, key or settings
   */
  reach(): Promise<boolean>
  /** Marks states and vectors as of one time, so that a backup of either is told from what is there. */
  agree(view: View): Promise<void>
  /** Where they are, for people; null: not reached yet. */
  place(): string | null
  close(): Promise<void>
}

interface OpenOptions {
  settings: Settings
  clock: Clock
  controlLog: SqliteControlLog
  /** Whether the directory was ever taken over: what is missing then was lost. */
  wasUsedBefore: () => Promise<boolean>
  /** Collections that somebody else wrote are dropped. */
  takeOver: boolean
  onLost: OnLost
}

/** @throws {ConfigError} `data-directory-locked` and what else keeps the directory from being opened */
export function openDirectory(
  { dataDir, vectors }: Settings,
  access: 'read' | 'write',
  nowMs: number,
): MainDirectory | DataDirectory {
  const options = { path: dataDir, access, nowMs }
  return vectors.driver === 'sqlite' ? openDataDirectory(options) : openMainDirectory(options)
}

export function openVectors(directory: MainDirectory | DataDirectory, options: OpenOptions): OpenedVectors {
  return 'vectors' in directory ? ofDirectory(directory, options) : ofServer(directory, options)
}

function ofDirectory(
  directory: DataDirectory,
  { clock, controlLog, wasUsedBefore, onLost }: OpenOptions,
): OpenedVectors {
  const vectors = new SqliteVectorStore(directory.vectors, clock)
  const place = `vectors.db of ${directory.path}`
  return {
    vectors,
    reach: () => {
      const { vectorsAge } = directory
      const state = vectorsAge === 'older' ? 'lacking' : vectorsAge
      const agree = async () => directory.agree()
      return rebuildIfLost({ directory, controlLog, vectors, wasUsedBefore, state, agree, onLost, place })
    },
    agree: async () => directory.agree(),
    place: () => place,
    close: () => vectors.close(),
  }
}

function ofServer(directory: MainDirectory, options: OpenOptions): OpenedVectors {
  const { settings, clock, controlLog, wasUsedBefore, takeOver, onLost } = options
  const notYet = 'expected the server of the vectors to have answered, got no attempt yet: wait'
  const vectors = new DeferredVectorStore(new UnavailableError('vectors-not-reached', notYet))
  const memory = new OfVectors(directory.main)
  let marks: ServerMarks | undefined
  let place: string | null = null
  const reach = async () => {
    const store = await openQdrant(settings.vectors.qdrant, clock)
    try {
      const view = await storedView(controlLog)
      const itsMarks = new ServerMarks(store, memory, clock)
      if (takeOver) await itsMarks.dropStrangers(store)
      const state = await itsMarks.look(await store.collections(), view)
      // What the registry wants isn't there yet: it counts as confirmed once the pipeline has made it.
      const agree = () => itsMarks.agree(null, new Map())
      const itsPlace = placeOf(settings.vectors.qdrant, store.server)
      const isRebuilt = await rebuildIfLost({
        directory,
        controlLog,
        vectors: store,
        wasUsedBefore,
        state,
        agree,
        onLost,
        place: itsPlace,
      })
      vectors.reached(store, memory.server()?.written ?? new Map())
      marks = itsMarks
      place = itsPlace
      return isRebuilt
    } catch (error) {
      await store.close()
      if (error instanceof UnavailableError) vectors.unreached(error)
      throw error
    }
  }
  return {
    vectors,
    reach,
    agree: async (view) => marks?.agree(view, vectors.written),
    place: () => place,
    close: async () => {
      marks?.remember(vectors.written)
      await vectors.close()
    },
  }
}

/** @returns e.g. `Qdrant 1.19.0 at https://qdrant.example:6333, prefix staging-` */
export function placeOf(
  { url, grpcUrl, prefix }: Settings['vectors']['qdrant'],
  { version }: ServerFacts,
): string {
  const points = grpcUrl === null ? '' : `, points over gRPC at ${grpcUrl}`
  return `Qdrant ${version} at ${url}${points}${prefix === '' ? '' : `, prefix ${prefix}`}`
}

export interface LookOptions {
  /** A directory that isn't there yet is looked at as a first start would find it. */
  orToCome?: boolean
}

/** The vectors as somebody sees them who only looks, beside a running freshet or without one. */
export interface LookedAt {
  vectors: VectorStore
  /** What is registered; null: nothing was ever embedded here. */
  view: View | null
  /** What the vectors are, beside the states that say when they were written. */
  state: ServerVectors
  /** null: they lie in the data directory. */
  server: ServerFacts | null
  close(): Promise<void>
}

/**
 * Opens without the writer's lock, and changes nothing.
 *
 * @throws {ConfigError} `vectors-not-ours`, `data-directory-missing`, `data-directory-older`, and what the driver finds
 * @throws {UnavailableError} the server can't be reached
 */
export async function lookAtDirectory(
  settings: Settings,
  clock: Clock,
  { orToCome = false }: LookOptions,
): Promise<LookedAt> {
  const directory = openToLook(settings, clock.nowMs(), orToCome)
  try {
    const view = await storedView(new SqliteControlLog(directory.main))
    if ('vectors' in directory) {
      const vectors = new SqliteVectorStore(directory.vectors, clock)
      const { vectorsAge } = directory
      const state = vectorsAge === 'older' ? 'lacking' : vectorsAge
      return { vectors, view, state, server: null, close: () => closeBoth(vectors, directory) }
    }
    const vectors = await openQdrant(settings.vectors.qdrant, clock)
    try {
      const memory = new OfVectors(directory.main)
      const marks = new ServerMarks(vectors, memory, clock, memory.knownOwner() ?? 'which has none yet')
      const state = await marks.look(await vectors.collections(), view)
      const { server } = vectors
      return { vectors, view, state, server, close: () => closeBoth(vectors, directory) }
    } catch (error) {
      await vectors.close()
      throw error
    }
  } catch (error) {
    directory.close()
    throw error
  }
}

function openToLook(settings: Settings, nowMs: number, orToCome: boolean): MainDirectory | DataDirectory {
  try {
    return openDirectory(settings, 'read', nowMs)
  } catch (error) {
    const isMissing = error instanceof ConfigError && error.code === 'data-directory-missing'
    if (!isMissing || !orToCome) throw error
    return directoryToCome(settings.dataDir, settings.vectors.driver === 'sqlite')
  }
}

async function closeBoth(vectors: VectorStore, directory: MainDirectory): Promise<void> {
  await vectors.close()
  directory.close()
}

/** @returns what the control topics want; null: no model was ever named */
export async function storedView(
  controlLog: Pick<ControlLog, 'models' | 'instructions'>,
): Promise<View | null> {
  let models: ModelRegistry | undefined
  for (const record of await controlLog.models(-1))
    models = models?.apply(record) ?? ModelRegistry.first(record)
  if (models === undefined) return null
  let instructions = InstructionRegistry.initial()
  for (const record of await controlLog.instructions(-1)) instructions = instructions.apply(record)
  return readView(instructions, models)
}
