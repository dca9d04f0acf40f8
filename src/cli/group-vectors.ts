/** The store of vectors that the workers of a group share: a server, or a file on one machine. */

import type { Settings } from '../config/settings.ts'
import { openQdrant } from '../drivers/qdrant/open-qdrant.ts'
import type { ServerFacts } from '../drivers/qdrant/qdrant-vector-store.ts'
import { openVectorsFile } from '../drivers/sqlite/vectors-file.ts'
import { ConfigError, UnavailableError } from '../errors.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { CollectionName, VectorStore } from '../vectors/vector-store.ts'
import { DeferredVectorStore } from './deferred-vectors.ts'
import { type OpenedVectors, placeOf } from './open-vectors.ts'
import { hasMain, type ModelLog, requestRebuild } from './rebuild.ts'
import type { NotedCollections } from './server-marks.ts'

interface GroupVectorsOptions {
  settings: Settings
  clock: Clock
  modelLog: ModelLog
  /** Whether the group ever acknowledged anything: vectors that are missing then were lost. */
  wasUsedBefore: () => Promise<boolean>
}

export function openGroupVectors(options: GroupVectorsOptions): OpenedVectors {
  const notYet = 'expected the store of the vectors to have answered, got no attempt yet: wait'
  const vectors = new DeferredVectorStore(new UnavailableError('vectors-not-reached', notYet))
  let place: string | null = null
  const reach = async () => {
    try {
      const opened = await openSharedVectors(options.settings, options.clock)
      try {
        const isLost = (await options.wasUsedBefore()) && !(await hasMain(options.modelLog, opened.store))
        // Several workers may ask at once: it is the same request.
        if (isLost) await requestRebuild(options.modelLog)
        vectors.reached(opened.store, new Map())
        place = opened.place
        return isLost
      } catch (error) {
        await opened.store.close()
        throw error
      }
    } catch (error) {
      if (error instanceof UnavailableError) vectors.unreached(error)
      throw error
    }
  }
  return { vectors, reach, agree: async () => {}, place: () => place, close: () => vectors.close() }
}

interface SharedVectors {
  store: VectorStore
  /** For people. */
  place: string
  /** null: they lie in a file. */
  server: ServerFacts | null
}

/** @throws {ConfigError} `vectors-not-ours`, and what the driver finds; {UnavailableError} not now */
export async function openSharedVectors(settings: Settings, clock: Clock): Promise<SharedVectors> {
  const { driver, qdrant, sqliteFile } = settings.vectors
  if (driver === 'sqlite')
    return { store: openVectorsFile({ path: sqliteFile!, clock }), place: sqliteFile!, server: null }
  const store = await openQdrant(qdrant, clock)
  try {
    await checkOwner(store, settings.events.kafka.groupId)
    return { store, place: placeOf(qdrant, store.server), server: store.server }
  } catch (error) {
    await store.close()
    throw error
  }
}

/**
 * Every collection bears the name of the group that writes it, so that no other freshet does.
 *
 * @throws {ConfigError} `vectors-not-ours`
 */
async function checkOwner(server: NotedCollections, groupId: string): Promise<void> {
  const note = JSON.stringify({ mark: { owner: `group ${groupId}`, count: 0, once: groupId } })
  const strangers: CollectionName[] = []
  for (const [name, text] of await server.notes()) if (text !== note) strangers.push(name)
  if (strangers.length > 0)
    throw new ConfigError(
      'vectors-not-ours',
      `expected no collections but those of group ${groupId}, got ${strangers.join(', ')}: if another freshet writes them, choose another vectors.qdrant.prefix; if its data is gone, delete them on the server`,
    )
  server.noteNew(note)
}
