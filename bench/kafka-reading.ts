/** What bench/kafka.ts measures in processes of their own: `node bench/kafka-reading.ts ROLE OPTIONS`, the result by IPC. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { VECTOR_MIGRATIONS } from '../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../src/drivers/sqlite/sqlite-vector-store.ts'
import type { EventId, UserId, UserKey } from '../src/events/ids.ts'
import { DEFAULT_TENANT, userKey } from '../src/events/ids.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { applyEvent, emptyState } from '../src/window/apply.ts'
import type { UserState } from '../src/window/user-state.ts'
import {
  CAPS,
  createOwnTopics,
  decoderOf,
  EventWriter,
  type Place,
  topicsOf,
  windowsDigest,
} from './kafka-place.ts'
import { openWorker, type Worker } from './kafka-worker.ts'

export interface ReadingOptions {
  place: Place
  group: string
  /** Records that the topics hold when it starts. */
  records: number
}

export interface ReadingResult {
  /** Of the whole process with its threads, from the first record to the last. */
  cpuMs: number
  wallMs: number
  /** MiB, at the last record. */
  rssMiB: number
  /** Of the windows; null: it keeps none. */
  windows: string | null
  /** Sum of the times of all events, modulo 2^53. */
  times: number
}

export interface AcknowledgingOptions extends ReadingOptions {
  kept: 'states' | 'nothing'
  users: number
  eventsPerUser: readonly number[]
  rounds: number
}

/** CPU-ms per acknowledged user, one sample a round, by events per user. */
export type AcknowledgingResult = Record<number, number[]>

/** Times what lies between the first record and the last. */
class Stopwatch {
  private readonly cpu = process.cpuUsage()
  private readonly startMs = performance.now()

  read(): { cpuMs: number; wallMs: number; rssMiB: number } {
    const { user, system } = process.cpuUsage(this.cpu)
    return {
      cpuMs: (user + system) / 1_000,
      wallMs: performance.now() - this.startMs,
      rssMiB: process.memoryUsage.rss() / 2 ** 20,
    }
  }
}

/** Sums what may pass 2^53. */
export function addTime(sum: number, timeMs: number): number {
  return (sum + timeMs) % 2 ** 52
}

/** kafkajs as its documentation has it, every record decoded; with windows if they are asked for. */
async function bare(
  { place, group, records }: ReadingOptions,
  keepsWindows: boolean,
): Promise<ReadingResult> {
  const decoder = decoderOf(place)
  const kafka = new Kafka({ clientId: 'bench', brokers: [place.bootstrap], logLevel: logLevel.NOTHING })
  const consumer = kafka.consumer({ groupId: group })
  await consumer.connect()
  await consumer.subscribe({ topics: topicsOf(place).map(({ topic }) => topic), fromBeginning: true })
  const states = new Map<UserKey, UserState>()
  const { promise: ended, resolve } = Promise.withResolvers<ReturnType<Stopwatch['read']>>()
  let stopwatch: Stopwatch | undefined
  let read = 0
  let times = 0
  await consumer.run({
    eachBatch: async ({ batch: { topic, partition, messages }, heartbeat }) => {
      stopwatch ??= new Stopwatch()
      for (const { offset, timestamp, key, value } of messages) {
        const appendTimeMs = Number(timestamp)
        const said = decoder.decode({ topic, partition, offset: Number(offset), appendTimeMs, key, value })
        if (said.kind !== 'event') continue
        read++
        times = addTime(times, said.event.eventTimeMs)
        if (!keepsWindows) continue
        const name = userKey(said.tenant, said.user)
        let state = states.get(name)
        if (state === undefined) {
          state = emptyState(said.tenant, said.user)
          states.set(name, state)
        }
        applyEvent(state, said.event, CAPS)
      }
      if (read >= records) resolve(stopwatch.read())
      await heartbeat()
    },
  })
  const taken = await ended
  await consumer.disconnect()
  return { ...taken, windows: keepsWindows ? windowsDigest(states.values()) : null, times }
}

/** Vectors in memory, a folder of its own: whatever `act` leaves, nothing stays. */
async function withParts<T>(act: (vectors: SqliteVectorStore, folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-bench-'))
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  try {
    return await act(new SqliteVectorStore(database, systemClock), folder)
  } finally {
    database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Tells how many records came, from the first on. */
function countRecords({ updater }: Worker, each: (count: number) => void): void {
  const take = updater.records.bind(updater)
  let read = 0
  updater.records = (batch) => {
    if (read === 0) each(0)
    take(batch)
    read += batch.length
    each(read)
  }
}

function statesOf({ updater }: Worker): UserState[] {
  return [...updater.ownership.partitions.values()].flatMap(({ entries }) =>
    [...entries.values()].map(({ state }) => state!),
  )
}

/** Our source, decoder, windows and dirty marks; nothing is embedded. */
function ours({ place, group, records }: ReadingOptions): Promise<ReadingResult> {
  return withParts(async (vectors, folder) => {
    const own = await createOwnTopics(place, group)
    const worker = await openWorker({ place, group, own, folder, vectors })
    worker.updater.refreshing = false
    const { promise: ended, resolve } = Promise.withResolvers<ReturnType<Stopwatch['read']>>()
    let stopwatch: Stopwatch | undefined
    countRecords(worker, (count) => {
      stopwatch ??= new Stopwatch()
      if (count >= records) resolve(stopwatch.read())
    })
    const taken = await ended
    const states = statesOf(worker)
    const dirty = [...worker.updater.ownership.partitions.values()].reduce(
      (sum, { held }) => sum + held.size,
      0,
    )
    if (dirty !== states.length)
      throw new RangeError(`expected ${states.length} users to be marked, got ${dirty}`)
    await worker.stop()
    // The sum of all times would be a second look at every event: the windows prove more.
    return { ...taken, windows: windowsDigest(states), times: 0 }
  })
}

/** What it takes to acknowledge users once their records are read: windows that are full, a model that costs nothing. */
function acknowledging(options: AcknowledgingOptions): Promise<AcknowledgingResult> {
  const { place, group, records, kept, users, eventsPerUser, rounds } = options
  return withParts(async (vectors, folder) => {
    const own = await createOwnTopics(place, group)
    const settings = { minEvents: 1, quietMs: 0 }
    const worker = await openWorker({ place, group, own, folder, vectors, kept, settings })
    const { updater, source } = worker
    if (kept === 'nothing') source.commit = async () => true
    let read = 0
    countRecords(worker, (count) => {
      read = count
    })
    updater.refreshing = false
    const writer = await EventWriter.open(place)
    const readAll = async (count: number) => {
      while (read < count) await sleep(20)
    }
    await readAll(records)
    const names = statesOf(worker).map(({ user }) => user)
    const samples: AcknowledgingResult = Object.fromEntries(eventsPerUser.map((each) => [each, []]))
    let expected = records
    // The first brings everybody up to date, and warms up.
    for (let round = -1; round < rounds; round++) {
      for (const each of eventsPerUser) {
        updater.refreshing = false
        const some = names.slice(0, users)
        expected += await sayMore(writer, some, each)
        await readAll(expected)
        const stopwatch = new Stopwatch()
        updater.refreshing = true
        await updater.refreshOnce()
        while (!updater.idle) await sleep(5)
        await updater.commitOnce()
        if (round >= 0) samples[each]!.push(stopwatch.read().cpuMs / some.length)
      }
    }
    await writer.close()
    await worker.stop()
    return samples
  })
}

let said = 0

async function sayMore(writer: EventWriter, users: readonly UserId[], each: number): Promise<number> {
  for (const user of users) {
    for (let n = 0; n < each; n++) {
      const event = {
        modality: 'search' as const,
        source: 'bench',
        eventId: `more-${said++}` as EventId,
        eventTimeMs: Date.now(),
        fields: { query: `hotel number ${said} near the station` },
      }
      await writer.add({ tenant: DEFAULT_TENANT, user, kind: 'event', event })
    }
  }
  await writer.flush()
  return users.length * each
}

const ROLES = {
  bare: (options: ReadingOptions) => bare(options, false),
  bareWindows: (options: ReadingOptions) => bare(options, true),
  ours,
  acknowledging: (options: ReadingOptions) => acknowledging(options as AcknowledgingOptions),
}

export type ReadingRole = keyof typeof ROLES

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [role, options] = process.argv.slice(2)
  // It is done, or whoever started it is gone.
  process.once('disconnect', () => process.exit())
  const result = await ROLES[role as ReadingRole](JSON.parse(options!))
  process.send!(result, () => process.disconnect())
}
