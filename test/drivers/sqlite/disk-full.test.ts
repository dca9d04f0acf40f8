// tidy(mirror): one hazard that all files of the folder must survive together
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DataDirectory, openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { GroupOffsets } from '../../../src/drivers/sqlite/group-offsets.ts'
import { SqliteControlLog } from '../../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../../../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteStateStore } from '../../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import { UnavailableError } from '../../../src/errors.ts'
import type { TenantId, UserId } from '../../../src/events/ids.ts'
import { userKey } from '../../../src/events/ids.ts'
import { type GroupName, MAIN_GROUP, type VectorName } from '../../../src/instructions/instruction.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import { collectionName, pointId } from '../../../src/vectors/names.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { emptyState } from '../../../src/window/apply.ts'
import { search } from '../../window/arbitraries.ts'
import { tempDirectory } from './temp-directory.ts'

const clock = { nowMs: () => 1_000, sleep: async () => {} }
const tenant = 'default' as TenantId
const CAPS = { paybill: 9, miniprogram: 9, spm: 9, app: 9, search: 99 }
const NAME = 'general@00000000' as VectorName

/** A disk that takes a few hundred KiB more. */
function openSmall(path: string): DataDirectory {
  return openDataDirectory({ path, access: 'write', nowMs: 0, pagesMax: 60 })
}

function isDiskFull(error: unknown): boolean {
  return (
    error instanceof UnavailableError &&
    error.code === 'disk-full' &&
    error.retryAfterMs > 0 &&
    error.retryAfterMs <= 2_000
  )
}

/** Repeats until the disk is full. @returns how often it worked */
async function untilFull(write: (i: number) => Promise<unknown>): Promise<number> {
  for (let i = 0; i < 10_000; i++) {
    try {
      await write(i)
    } catch (error) {
      assert.ok(isDiskFull(error), String(error))
      return i
    }
  }
  throw new Error('the disk never was full')
}

/** Incompressible, so that a state of some events fills pages. */
function noise(seed: number): string {
  return Array.from({ length: 60 }, (_, i) => Math.sin(seed * 1_000 + i).toString(36)).join('')
}

test('a log on a full disk keeps whole appends only, and goes on when there is room', async () => {
  const path = tempDirectory()
  const directory = openSmall(path)
  const openLog = () =>
    new SqliteEventLog(directory.main, { clock, tombstoneTopic: 'gone', tombstoneOf: () => null })
  const log = openLog()
  const records = Array.from({ length: 10 }, () => ({ topic: 't', key: null, value: new Uint8Array(900) }))
  const progress = (i: number) => ({
    import: 'f',
    position: i,
    records: i * 10,
    asOfDay: null,
    isDone: false,
  })
  const appends = await untilFull((i) => log.append(records, progress(i)))
  assert.ok(appends > 3)
  assert.equal(log.endOffset(), appends * 10)
  assert.deepEqual(log.importProgress('f'), progress(appends - 1))
  // Others on the same disk meet the same error, and leave nothing behind either.
  const control = new SqliteControlLog(directory.main)
  const big = { name: 'g'.repeat(40) as GroupName, minRefreshMs: 0, paused: false, note: noise(1).repeat(20) }
  assert.equal((await control.instructions(-1)).length, await untilFull(() => control.appendGroup(big)))
  const letters = new SqliteDeadLetters(directory.main)
  const letter = {
    topic: 't',
    partition: 0,
    appendTimeMs: 0,
    key: null,
    value: new Uint8Array(5_000),
    headers: {},
    reason: 'r',
    error: 'e',
    attempts: 1,
    failedAtMs: 0,
  }
  const put = await untilFull((i) => letters.put([{ ...letter, offset: i }]))
  assert.equal(letters.count(), put)
  await untilFull((i) =>
    Promise.resolve(new GroupOffsets(directory.main, 'g').commit(new Map([[noise(i), 1]]))),
  )
  directory.close()

  const roomy = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const again = new SqliteEventLog(roomy.main, { clock, tombstoneTopic: 'gone', tombstoneOf: () => null })
  assert.equal((await again.append(records)).firstOffset, appends * 10)
  roomy.close()
})

test('states on a full disk are appended whole or not at all, and a spill that fails is told', async () => {
  const directory = openSmall(tempDirectory())
  const store = new SqliteStateStore(directory.main, { caps: () => CAPS })
  await store.restore(0)
  const stateOf = (user: string, seed: number) => {
    const state = emptyState(tenant, user as UserId)
    state.windows.search = [search('e', seed, noise(seed))]
    state.epoch = 1
    return state
  }
  const appends = await untilFull((i) => store.appendStates(0, [stateOf(`a${i}`, i), stateOf(`b${i}`, i)]))
  assert.ok(appends > 3)
  assert.deepEqual(
    store.read(0, userKey(tenant, `b${appends - 1}` as UserId)),
    stateOf(`b${appends - 1}`, appends - 1),
  )
  assert.equal(store.read(0, userKey(tenant, `a${appends}` as UserId)), undefined)
  assert.equal(store.users(0, null, 10_000).length, appends * 2)
  // What was taken into memory stays readable; what is refused is still the caller's.
  const spilled = await untilFull(async (i) => store.spill(0, stateOf(`s${i}`, i)))
  for (let i = 0; i < spilled; i++)
    assert.ok(store.read(0, userKey(tenant, `s${i}` as UserId)), `s${i} is lost`)
  directory.close()
})

test('vectors on a full disk: of a refused request nothing is stored and nothing is found', async () => {
  const directory = openSmall(tempDirectory())
  const store = new SqliteVectorStore(directory.vectors, clock)
  const collection = collectionName(MAIN_GROUP, 'tiny' as ModelId)
  const spec = {
    name: collection,
    group: MAIN_GROUP,
    model: 'tiny' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions: 64,
    horizonDays: null,
  } as const
  await store.ensureCollection(spec)
  await store.ensureVectorNames(collection, [NAME])
  const vector = new Float32Array(64).fill(0.125)
  const pointOf = (user: string): Point => ({
    kind: 'vectors',
    id: pointId(userKey(tenant, user as UserId)),
    payload: {
      userId: user as UserId,
      tenantId: tenant,
      segment: null,
      lastEventAtMs: null,
      asOfDay: '2026-11-24',
      inputHash: noise(1),
      model: 'tiny' as ModelId,
      expiresAtMs: null,
    },
    vectors: new Map([[NAME, vector]]),
  })
  // In memory from the first search on, so that it must be kept in step.
  await store.search(collection, { vectorName: NAME, vector, k: 1 })
  const requestOf = (i: number) => Array.from({ length: 20 }, (_, j) => pointOf(`u${i}-${j}`))
  const requests = await untilFull((i) => store.upsert(collection, { epoch: 1, write: i }, requestOf(i)))
  assert.ok(requests > 2)
  const [info] = await store.collections()
  assert.equal(info!.points, requests * 20)
  assert.equal(
    (await store.search(collection, { vectorName: NAME, vector, k: 1_000 })).length,
    Math.min(1_000, requests * 20),
  )
  assert.equal(
    (
      await store.get(
        collection,
        requestOf(requests).map((point) => point.id),
      )
    ).size,
    0,
  )
  // Stubs need little room and free much: forgetting works where nothing else does.
  const stubs = requestOf(0).map(({ id }) => ({
    kind: 'stub' as const,
    id,
    userId: 'u' as UserId,
    tenantId: tenant,
  }))
  await store.upsert(collection, { epoch: 1, write: 10_000 }, stubs)
  assert.equal((await store.collections())[0]!.stubs, 20)
  directory.close()
})
