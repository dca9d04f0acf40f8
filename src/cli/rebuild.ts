/** Vectors that were lost or came back from a backup: a record makes every owner embed everybody anew (V6). */

import type { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import { MAIN_GROUP } from '../instructions/instruction.ts'
import type { ModelRegistry } from '../vectors/model-registry.ts'
import { collectionName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'

/** Appends the record: hashes acknowledged before it count for nothing, wherever they are kept. */
export async function requestRebuild(controlLog: SqliteControlLog): Promise<void> {
  const { active, also, existing } = (await controlLog.models(-1)).at(-1)!
  await controlLog.appendModel({ active, also, existing, rebuild: true })
}

/**
 * Sees that the vectors are gone while the states say that they were written.
 *
 * @returns whether a rebuild was asked for
 */
export async function rebuildIfLost(
  controlLog: SqliteControlLog,
  vectors: Pick<VectorStore, 'collections'>,
  wasUsedBefore: boolean,
): Promise<boolean> {
  if (!wasUsedBefore) return false
  const { active } = (await controlLog.models(-1)).at(-1)!
  const name = collectionName(MAIN_GROUP, active)
  if ((await vectors.collections()).some((collection) => collection.name === name)) return false
  await requestRebuild(controlLog)
  return true
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
