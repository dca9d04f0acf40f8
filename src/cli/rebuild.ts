/** Vectors that were lost or came back from a backup: a record makes every owner embed everybody anew (V6). */

import type { MainDirectory } from '../drivers/sqlite/data-directory.ts'
import { ConfigError } from '../errors.ts'
import { MAIN_GROUP } from '../instructions/instruction.ts'
import type { ControlLog } from '../pipeline/control-log.ts'
import type { ModelRecord, ModelRegistry } from '../vectors/model-registry.ts'
import { collectionName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import type { ServerVectors } from './server-marks.ts'

/** The topic of models, as far as a rebuild reads and writes it. */
export interface ModelLog {
  models: ControlLog['models']
  appendModel(record: Omit<ModelRecord, 'offset'>): Promise<unknown>
}

/** Appends the record: hashes acknowledged before it count for nothing, wherever they are kept. */
export async function requestRebuild(controlLog: ModelLog): Promise<void> {
  const { active, also, existing } = (await controlLog.models(-1)).at(-1)!
  await controlLog.appendModel({ active, also, existing, rebuild: true })
}

interface FoundVectors {
  directory: Pick<MainDirectory, 'leaveOtherVectors'>
  controlLog: ModelLog
  vectors: Pick<VectorStore, 'collections' | 'dropCollection'>
  /** Whether the states were ever taken over. */
  wasUsedBefore: () => Promise<boolean>
  state: ServerVectors
  /** Marks states and vectors as of one time. */
  agree: () => Promise<void>
  onLost: OnLost
  /** Where they should be, for people. */
  place: string
}

/**
 * What vectors mean that aren't as the states say. Whoever only asks must not begin what takes hours, nor drop anything: it
 * may be the settings that name another place than the vectors'.
 */
export type OnLost = 'rebuild' | 'refuse'

/**
 * Sees that the vectors are gone, or of another time than the states that say they were written, and asks for all of
 * them anew. Those from after the states may hold users whom the states don't know, whom no sweep would find: they go.
 *
 * @returns whether a rebuild was asked for
 * @throws {ConfigError} `vectors-lost`, where it is refused; nothing was changed
 */
export async function rebuildIfLost({
  directory,
  controlLog,
  vectors,
  wasUsedBefore,
  state,
  agree,
  onLost,
  place,
}: FoundVectors): Promise<boolean> {
  const isLost = (await wasUsedBefore()) && (state !== 'matching' || !(await hasMain(controlLog, vectors)))
  if (onLost === 'refuse' && (isLost || state === 'foreign')) throw lost(state, place)
  directory.leaveOtherVectors()
  if (state === 'foreign')
    for (const { name } of await vectors.collections()) await vectors.dropCollection(name)
  if (isLost) await requestRebuild(controlLog)
  // Last: a crash before it finds everything as it was, and begins again.
  if (state !== 'matching') await agree()
  return isLost
}

function lost(state: ServerVectors, place: string): ConfigError {
  const got = state === 'foreign' ? 'younger ones' : 'none, or older ones'
  return new ConfigError(
    'vectors-lost',
    `expected in ${place} the vectors that this data directory has written, got ${got}: if they lie elsewhere, correct vectors.driver, and Qdrant's url and prefix; if they are gone, start freshet (freshet run), which embeds everybody anew`,
  )
}

export async function hasMain(
  controlLog: Pick<ModelLog, 'models'>,
  vectors: Pick<VectorStore, 'collections'>,
): Promise<boolean> {
  const { active } = (await controlLog.models(-1)).at(-1)!
  const main = collectionName(MAIN_GROUP, active)
  return (await vectors.collections()).some(({ name }) => name === main)
}

/** Drops collections that the registry does not know: a backup may have brought them back. @returns their names */
export async function dropUnknown(
  models: ModelRegistry,
  groups: Iterable<string>,
  vectors: VectorStore,
): Promise<string[]> {
  const known = new Set<string>()
  for (const group of groups)
    for (const model of models.existing) known.add(collectionName(group as never, model))
  const unknown = (await vectors.collections()).map(({ name }) => name).filter((name) => !known.has(name))
  for (const name of unknown) await vectors.dropCollection(name)
  return unknown
}
