/** How fast the data directory takes and gives: log, states, points, exact search. `npm exec -c "node bench/store.ts"` */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DataDirectory, openDataDirectory } from '../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../src/drivers/sqlite/event-log.ts'
import { SqliteStateStore } from '../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../src/drivers/sqlite/sqlite-vector-store.ts'
import type { EventId, TenantId, UserId } from '../src/events/ids.ts'
import { userKey } from '../src/events/ids.ts'
import type { NewRecord } from '../src/events/new-record.ts'
import { MAIN_GROUP, type VectorName } from '../src/instructions/instruction.ts'
import type { ModelId } from '../src/model/embedding-model.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { collectionName, pointId } from '../src/vectors/names.ts'
import type { Point } from '../src/vectors/vector-store.ts'
import { emptyState } from '../src/window/apply.ts'
import type { UserState } from '../src/window/user-state.ts'
import { benchPayload } from './bench-payload.ts'
import { conditions } from './conditions.ts'
import { interleaved, measurement, ratio, writeResult } from './result.ts'

const REPETITIONS = 5
const RECORDS = 100_000
const RECORD_BYTES = 150
const BATCH_RECORDS = 1_000
const SINGLES = 300
const WINDOW_EVENTS = 130
const STATES = 512
const STATES_PER_APPEND = 64
const POINTS = 20_000
const POINTS_PER_REQUEST = 64
const DIMENSIONS = 256
const K = 10
const SEARCHES = 20

const TENANT = 'default' as TenantId
const CAPS = { paybill: 250, miniprogram: 150, spm: 150, app: 100, search: 10 }
const WORDS = ['hotel', 'train', 'coffee', 'lunch', 'ticket', 'metro', 'book', 'shoes', 'phone', 'film']

/** A linear congruence is random enough for sizes and places, and the same in every run. */
let drawn = 20_261_124
function draw(): number {
  drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) >>> 0
  return drawn / 2 ** 32
}

const word = () => WORDS[Math.floor(draw() * WORDS.length)]!

async function perSecond(count: number, work: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await work()
  return (count * 1_000) / (performance.now() - startMs)
}

function openLog(directory: DataDirectory): SqliteEventLog {
  const tombstones = { tombstoneTopic: 'freshet.tombstones', tombstoneOf: () => null }
  return new SqliteEventLog(directory.main, { clock: systemClock, ...tombstones })
}

function newRecords(count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    topic: `behavior.${['paybill', 'spm', 'app'][i % 3]}`,
    key: Buffer.from(`user-${i % 5_000}`),
    value: Buffer.alloc(RECORD_BYTES, i),
  }))
}

function newState(user: number): UserState {
  const state = emptyState(TENANT, `user-${user}` as UserId)
  for (let i = 0; i < WINDOW_EVENTS; i++)
    state.windows.paybill.push({
      modality: 'paybill',
      source: '/shop',
      eventId: `${user}-${Math.floor(draw() * 1e15).toString(36)}` as EventId,
      eventTimeMs: 1_700_000_000_000 + i * 60_000,
      fields: {
        status: 'SETTLED',
        direction: 'OUT',
        amountMinor: Math.floor(draw() * 10_000),
        currency: 'EUR',
        merchantName: `${word()} ${word()}`,
        category: word(),
        itemText: `${word()} ${word()} ${word()}`,
        channel: 'QR',
        installments: 1,
      },
    })
  state.epoch = 1
  state.acknowledged.set('main/tiny', { inputHash: 'a'.repeat(64), epoch: 1 })
  return state
}

function newPoint(user: number, names: readonly VectorName[]): Point {
  const payload = benchPayload(user)
  return {
    kind: 'vectors',
    id: pointId(userKey(payload.tenantId, payload.userId)),
    payload,
    vectors: new Map(
      names.map((name) => [name, Float32Array.from({ length: DIMENSIONS }, () => draw() - 0.5)]),
    ),
  }
}

function benchLog(directory: DataDirectory) {
  const log = openLog(directory)
  const records = newRecords(RECORDS)
  return {
    batches: () =>
      perSecond(RECORDS, async () => {
        for (let i = 0; i < RECORDS; i += BATCH_RECORDS) await log.append(records.slice(i, i + BATCH_RECORDS))
      }),
    singles: () =>
      perSecond(SINGLES, async () => {
        for (let i = 0; i < SINGLES; i++) await log.append(records.slice(i, i + 1))
      }),
    grouped: () =>
      perSecond(SINGLES * 10, async () => {
        for (let i = 0; i < 10; i++)
          await Promise.all(records.slice(0, SINGLES).map((record) => log.append([record])))
      }),
  }
}

async function benchStates(directory: DataDirectory) {
  const store = new SqliteStateStore(directory.main, { caps: () => CAPS })
  const states = Array.from({ length: STATES }, (_, i) => newState(i))
  await store.appendStates(0, states)
  return {
    write: () =>
      perSecond(STATES, async () => {
        for (let i = 0; i < STATES; i += STATES_PER_APPEND)
          await store.appendStates(0, states.slice(i, i + STATES_PER_APPEND))
      }),
    read: () =>
      perSecond(STATES, async () => {
        for (const { user } of states)
          if (store.read(0, userKey(TENANT, user)) === undefined) throw new Error(user)
      }),
  }
}

async function benchVectors(directory: DataDirectory, names: readonly VectorName[], points: number) {
  const store = new SqliteVectorStore(directory.vectors, systemClock)
  const collection = collectionName(MAIN_GROUP, `of-${names.length}` as ModelId)
  await store.ensureCollection({
    name: collection,
    group: MAIN_GROUP,
    model: 'tiny' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions: DIMENSIONS,
    horizonDays: 90,
  })
  await store.ensureVectorNames(collection, names)
  const all = Array.from({ length: points }, (_, i) => newPoint(i, names))
  let write = 0
  const overwrite = (count: number) =>
    perSecond(count, async () => {
      write++
      for (let i = 0; i < count; i += POINTS_PER_REQUEST)
        await store.upsert(collection, { epoch: 1, write }, all.slice(i, i + POINTS_PER_REQUEST))
    })
  const search = async (segment: string | undefined) => {
    const startMs = performance.now()
    for (let i = 0; i < SEARCHES; i++) {
      const { vectors } = newPoint(i, [names[0]!]) as Point & { kind: 'vectors' }
      const vector = vectors.get(names[0]!)!
      const filter = segment === undefined ? {} : { filter: { segment } }
      const hits = await store.search(collection, { vectorName: names[0]!, vector, k: K, ...filter })
      if (hits.length !== K) throw new Error(`${hits.length} hits`)
    }
    return (performance.now() - startMs) / SEARCHES
  }
  await overwrite(points)
  return { overwrite, search }
}

const path = mkdtempSync(join(tmpdir(), 'freshet-bench-'))
try {
  const measuredUnder = conditions()
  const directory = openDataDirectory({ path, access: 'write', nowMs: Date.now() })
  const log = benchLog(directory)
  const states = await benchStates(directory)
  const names = Array.from({ length: 8 }, (_, i) => `instruction-${i}@0000000${i}` as VectorName)
  const one = await benchVectors(directory, names.slice(0, 1), POINTS)
  const eight = await benchVectors(directory, names, POINTS / 10)
  const samples = await interleaved(
    {
      batches: log.batches,
      singles: log.singles,
      grouped: log.grouped,
      stateWrite: states.write,
      stateRead: states.read,
      // Before the first search nothing is kept in step in memory; in every repetition after, it is.
      overwriteOne: () => one.overwrite(POINTS / 4),
      overwriteEight: () => eight.overwrite(POINTS / 10),
      search: () => one.search(undefined),
      searchGold: () => one.search('gold'),
    },
    REPETITIONS,
  )
  directory.close()
  const file = writeResult({
    bench: 'store',
    question: 'What does the SQLite data directory take and give a second, durable on every commit?',
    conditions: measuredUnder,
    settings: {
      recordBytes: RECORD_BYTES,
      batchRecords: BATCH_RECORDS,
      windowEvents: WINDOW_EVENTS,
      statesPerAppend: STATES_PER_APPEND,
      points: POINTS,
      pointsPerRequest: POINTS_PER_REQUEST,
      dimensions: DIMENSIONS,
      k: K,
    },
    measurements: [
      measurement(`log append, batches of ${BATCH_RECORDS}`, 'events/s', samples.batches),
      measurement('log append, one at a time', 'events/s', samples.singles),
      measurement(`log append, ${SINGLES} at once, grouped`, 'events/s', samples.grouped),
      measurement(`state write, ${WINDOW_EVENTS} events a window`, 'users/s', samples.stateWrite),
      measurement(`state read, ${WINDOW_EVENTS} events a window`, 'users/s', samples.stateRead),
      measurement('point overwrite, 1 vector, fenced', 'points/s', samples.overwriteOne),
      measurement('point overwrite, 8 vectors, fenced', 'points/s', samples.overwriteEight),
      measurement(`exact search, ${POINTS} points`, 'ms', samples.search),
      measurement(`exact search, ${POINTS} points, a tenth by filter`, 'ms', samples.searchGold),
    ],
    ratios: [ratio('grouped over single appends', samples.grouped, samples.singles, { atLeast: 3 })],
  })
  process.stdout.write(`${file}\n`)
} finally {
  rmSync(path, { recursive: true, force: true })
}
