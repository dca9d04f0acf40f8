/** What the killed child writes and its survivor expects: everything follows from the number of the generation. */

import type { DataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { SqliteEventSource } from '../../../src/drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import type { TenantId, UserId } from '../../../src/events/ids.ts'
import { userKey } from '../../../src/events/ids.ts'
import type { NewRecord } from '../../../src/events/new-record.ts'
import { MAIN_GROUP, type VectorName } from '../../../src/instructions/instruction.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { collectionName, pointId } from '../../../src/vectors/names.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { emptyState } from '../../../src/window/apply.ts'
import type { UserState } from '../../../src/window/user-state.ts'
import { search } from '../../window/arbitraries.ts'

export const TOPIC = 'behavior.search'
export const GENERATION_RECORDS = 40
export const VECTOR_NAMES = ['general@00000000', 'repay@11111111'] as VectorName[]
const USERS = Array.from({ length: 20 }, (_, i) => `u${i}` as UserId)
const TENANT = 'default' as TenantId
const CAPS = { paybill: 9, miniprogram: 9, spm: 9, app: 9, search: 9 }
const DIMENSIONS = 64

export const USER_KEYS = USERS.map((user) => userKey(TENANT, user))

/** Opens everything over one directory, and makes the collection. */
export async function openParts(directory: DataDirectory) {
  const log = new SqliteEventLog(directory.main, {
    clock: systemClock,
    tombstoneTopic: 'freshet.tombstones',
    tombstoneOf: () => null,
  })
  const store = new SqliteStateStore(directory.main, { caps: () => CAPS })
  const vectors = new SqliteVectorStore(directory.vectors, systemClock)
  const source = new SqliteEventSource(directory.main, log, { topics: [TOPIC], clock: systemClock })
  const collection = collectionName(MAIN_GROUP, 'tiny' as ModelId)
  await vectors.ensureCollection({
    name: collection,
    group: MAIN_GROUP,
    model: 'tiny' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions: DIMENSIONS,
    horizonDays: null,
  })
  await vectors.ensureVectorNames(collection, VECTOR_NAMES)
  return { log, store, vectors, source, collection }
}

/** Generation 1 is the first; 0 says that there is none. */
export function generationOf(endOffset: number): number {
  return endOffset / GENERATION_RECORDS
}

export function recordsOf(generation: number): NewRecord[] {
  return Array.from({ length: GENERATION_RECORDS }, (_, i) => {
    const offset = (generation - 1) * GENERATION_RECORDS + i
    return { topic: TOPIC, key: Buffer.from('u1'), value: Buffer.from(`record ${offset}`.padEnd(150)) }
  })
}

export function statesOf(generation: number, epoch: number): UserState[] {
  return USERS.map((user) => {
    const state = emptyState(TENANT, user)
    state.windows.search = [search('e', generation, `query ${generation}`.repeat(5))]
    state.acknowledged.set('main/tiny', { inputHash: `${generation}`, epoch })
    state.epoch = epoch
    return state
  })
}

export function pointsOf(generation: number): Point[] {
  return USERS.map((user, i) => ({
    kind: 'vectors',
    id: pointId(userKey(TENANT, user)),
    payload: {
      userId: user,
      tenantId: TENANT,
      segment: null,
      lastEventAtMs: generation,
      asOfDay: '2026-11-24',
      inputHash: `${generation}`,
      model: 'tiny' as ModelId,
      expiresAtMs: null,
    },
    vectors: new Map(VECTOR_NAMES.map((name, n) => [name, vectorOf(generation, i, n)])),
  }))
}

function vectorOf(generation: number, user: number, name: number): Float32Array {
  return Float32Array.from({ length: DIMENSIONS }, (_, i) => Math.sin(generation + user * 7 + name * 3 + i))
}
