/** Each change of a vector that readers can see is told once at least, wherever the process stops. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SqliteEventLog } from '../../src/drivers/sqlite/event-log.ts'
import { MAIN_MIGRATIONS, VECTOR_MIGRATIONS } from '../../src/drivers/sqlite/migrations.ts'
import { SqliteControlLog } from '../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDatabase } from '../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteDeadLetters } from '../../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../../src/drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../src/drivers/sqlite/sqlite-vector-store.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import { userKey } from '../../src/events/ids.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { TopicSettings } from '../../src/events/topic.ts'
import type { Clock } from '../../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import { tombstoneReader } from '../../src/pipeline/tombstone-reader.ts'
import { Updater } from '../../src/pipeline/updater.ts'
import type { UserUpdate } from '../../src/pipeline/updates.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName } from '../../src/vectors/vector-store.ts'
import { textModel, textRender } from './text-model.ts'

const DAY_MS = 86_400_000
const NOW_MS = Date.UTC(2026, 5, 1, 12)
const COLLECTION = 'freshet_main_text' as CollectionName
const TOPICS: TopicSettings[] = [
  { topic: 'search', holds: 'search', format: 'avro-raw', schema: null, fields: null },
  { topic: 'gone', holds: 'tombstone', format: 'avro-raw', schema: null, fields: null },
]
const USERS = ['ada', 'ben', 'cyd']
const tenant = 'default' as never
const never = () => new Promise<never>(() => {})

/** What survives a crash. */
function newDisk() {
  const main = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const vectors = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  return { main, vectors, told: [] as UserUpdate[] }
}

type Disk = ReturnType<typeof newDisk>

/** Where a life ends: the n-th call of one of the steps never returns. */
interface End {
  step: 'upsert' | 'put' | 'appendStates' | 'commit'
  call: number
  /** Whether the call does its work first. */
  after: boolean
}

async function openLife(disk: Disk, { nowMs = NOW_MS, end = null as End | null, failures = 0 } = {}) {
  const clock: Clock = { nowMs: () => nowMs, sleep: () => new Promise((resolve) => setImmediate(resolve)) }
  const life = { isDead: false }
  let calls = 0
  /** One of the steps at which a life may end. */
  const step =
    <Args extends unknown[], Result>(name: End['step'], work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      const isEnd = end?.step === name && ++calls === end.call
      if (isEnd && !end.after) life.isDead = true
      if (life.isDead) return never()
      const result = await work(...args)
      if (isEnd) life.isDead = true
      return life.isDead ? never() : result
    }
  const decoder = createRecordDecoder({ topics: TOPICS, schemas: directorySchemas(null, {}) })
  const log = new SqliteEventLog(disk.main, {
    clock,
    tombstoneTopic: 'gone',
    tombstoneOf: tombstoneReader(decoder),
  })
  const controlLog = new SqliteControlLog(disk.main)
  if ((await controlLog.models(-1)).length === 0)
    await controlLog.appendModel({ active: 'text' as never, also: null, existing: ['text' as never] })
  const source = new SqliteEventSource(disk.main, log, { topics: TOPICS.map(({ topic }) => topic), clock })
  const store = new SqliteStateStore(disk.main, {
    caps: () => ({ paybill: 0, miniprogram: 0, spm: 0, app: 0, search: 4 }),
  })
  const vectors = new SqliteVectorStore(disk.vectors, clock)
  source.commit = step('commit', source.commit.bind(source))
  store.appendStates = step('appendStates', store.appendStates.bind(store))
  vectors.upsert = step('upsert', vectors.upsert.bind(vectors))
  let failuresLeft = failures
  const updater = new Updater({
    source,
    decoder,
    store,
    controlLog,
    deadLetters: new SqliteDeadLetters(disk.main),
    models: new Map([['text' as never, textModel]]),
    render: (_target, window) => textRender(window),
    vectors,
    updates: {
      put: step('put', async (updates) => {
        if (failuresLeft-- > 0)
          throw new UnavailableError('kafka-unreachable', 'expected an answer, got none')
        disk.told.push(...updates)
      }),
    },
    clock,
    settings: { ...DEFAULT_PIPELINE_SETTINGS, minEvents: 1, batchUsersMax: 2 },
  })
  const encoder = createRecordEncoder('avro-raw')
  const say = (...records: UserRecord[]) =>
    log.append(
      records.map((record) => {
        const { key, value } = encoder.encode(record)
        return { topic: record.kind === 'tombstone' ? 'gone' : 'search', key, value, appendTimeMs: nowMs }
      }),
    )
  return { updater, source, vectors, say, life }
}

type Life = Awaited<ReturnType<typeof openLife>>

async function settle({ updater, source, life }: Life): Promise<void> {
  for (let turn = 0; turn < 400 && !life.isDead; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    void updater.refreshOnce(true)
    updater.sweep.step()
    void updater.commitOnce()
    await new Promise((resolve) => setImmediate(resolve))
    if (turn > 20 && updater.idle) break
  }
  assert.ok(life.isDead || updater.idle, 'expected the updater to come to rest')
  await source.stop()
}

let events = 0

function search(user: string): UserRecord {
  const eventId = `e${events++}` as never
  const fields = { query: `query ${eventId}` }
  const event = { modality: 'search' as const, source: 'test', eventId, eventTimeMs: NOW_MS - 1_000, fields }
  return { tenant, user: user as never, kind: 'event', event }
}

/** Every stored point was told under its own version, or under one that says the same of it. */
async function untold(disk: Disk): Promise<string[]> {
  const clock: Clock = { nowMs: () => NOW_MS, sleep: async () => {} }
  const store = new SqliteVectorStore(disk.vectors, clock)
  const ids = new Map(USERS.map((user) => [pointId(userKey(tenant, user as never)), user]))
  const points = await store.get(COLLECTION, [...ids.keys()])
  return [...points].flatMap(([id, { point, version }]) => {
    const user = ids.get(id)!
    const isTold = disk.told.some(
      (update) =>
        update.user === user &&
        update.version.epoch === version.epoch &&
        update.version.write === version.write &&
        (update.vectorNames.length === 0) === (point.kind === 'stub'),
    )
    return isTold ? [] : [user]
  })
}

describe('updates', () => {
  test('each write is told with its version, its hash and its names, and a forgotten user as a stub', async () => {
    const disk = newDisk()
    const life = await openLife(disk)
    await life.say(search('ada'), search('ben'))
    await life.source.start(life.updater)
    await settle(life)
    assert.deepEqual(await untold(disk), [])
    assert.deepEqual(disk.told.map(({ user }) => user).sort(), ['ada', 'ben'])
    const [stored] = (await life.vectors.get(COLLECTION, [pointId(userKey(tenant, 'ada' as never))])).values()
    const told = disk.told.find(({ user }) => user === ('ada' as never))!
    assert.ok(stored?.point.kind === 'vectors')
    const { payload, vectors } = stored.point
    assert.deepEqual(told, {
      tenant,
      user: 'ada',
      group: 'main',
      model: 'text',
      version: stored.version,
      vectorNames: [...vectors.keys()],
      inputHash: payload.inputHash,
      lastEventMs: NOW_MS - 1_000,
      asOfDay: Math.floor(NOW_MS / DAY_MS),
      computedAtMs: NOW_MS,
    })
    const next = await openLife(disk, { nowMs: NOW_MS + 5_000 })
    await next.say({ tenant, user: 'ada' as never, kind: 'tombstone', atMs: NOW_MS + 1 })
    await next.source.start(next.updater)
    await settle(next)
    const last = disk.told.at(-1)!
    assert.deepEqual([last.user, last.vectorNames, last.lastEventMs], ['ada', [], null])
    assert.deepEqual(await untold(disk), [])
  })

  test('a crash at any step of any write leaves no change untold, whether records or a sweep brought it about', async () => {
    for (const step of ['upsert', 'put', 'appendStates', 'commit'] as const)
      for (const after of [false, true])
        for (const call of [1, 2, 3]) {
          const disk = newDisk()
          const end = { step, call, after }
          const where = `${after ? 'after' : 'before'} ${step} ${call}`
          const first = await openLife(disk, { end })
          await first.say(search('ada'), search('ben'), search('cyd'), search('ada'))
          await first.source.start(first.updater)
          await settle(first)
          const second = await openLife(disk, { nowMs: NOW_MS + 5_000 })
          await second.source.start(second.updater)
          await settle(second)
          assert.deepEqual(await untold(disk), [], where)
          assert.equal(new Set(disk.told.map(({ user }) => user)).size, 3, where)
          // Beyond the horizon the sweep empties everybody: no record is held meanwhile.
          const third = await openLife(disk, { nowMs: NOW_MS + 120 * DAY_MS, end })
          await third.source.start(third.updater)
          await settle(third)
          const fourth = await openLife(disk, { nowMs: NOW_MS + 120 * DAY_MS + 5_000 })
          await fourth.source.start(fourth.updater)
          await settle(fourth)
          assert.deepEqual(await untold(disk), [], `${where}, by the sweep`)
        }
  })

  test('while updates can not be told, nothing is committed, and nothing is told twice for it', async () => {
    const disk = newDisk()
    const life = await openLife(disk, { failures: 5 })
    await life.say(search('ada'))
    await life.source.start(life.updater)
    await settle(life)
    assert.deepEqual(
      disk.told.map(({ user }) => user),
      ['ada'],
    )
    const endless = await openLife(disk, { nowMs: NOW_MS + 5_000, failures: Number.POSITIVE_INFINITY })
    await endless.say(search('ben'))
    await endless.source.start(endless.updater)
    const before = await endless.source.committed(0)
    for (let turn = 0; turn < 50; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      void endless.updater.refreshOnce(true)
      await endless.updater.commitOnce()
    }
    assert.deepEqual(await endless.source.committed(0), before)
    assert.equal(endless.updater.idle, false)
    await endless.updater.stop()
    // Stopped without having told: whoever comes next does.
    const next = await openLife(disk, { nowMs: NOW_MS + 10_000 })
    await next.source.start(next.updater)
    await settle(next)
    assert.deepEqual(await untold(disk), [])
    assert.equal(disk.told.at(-1)!.user, 'ben')
  })
})
