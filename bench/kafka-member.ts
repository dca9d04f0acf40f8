/** One worker in a process of its own, as a bench starts, stops and kills it; it tells by IPC what it owns and what it wrote. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { openModel } from '../src/cli/open-model.ts'
import { settingsSchema } from '../src/config/settings.ts'
import type { KafkaSettings } from '../src/drivers/kafka/kafka-settings.ts'
import { openEventVectorCache } from '../src/drivers/sqlite/event-vector-cache.ts'
import { VECTOR_MIGRATIONS } from '../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../src/drivers/sqlite/sqlite-vector-store.ts'
import { VECTOR_PAGE_BYTES } from '../src/drivers/sqlite/vectors-file.ts'
import { userInput } from '../src/model/user-input.ts'
import { owner } from '../src/pipeline/channels.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import type { PipelineSettings } from '../src/pipeline/settings.ts'
import type { VectorStore } from '../src/vectors/vector-store.ts'
import type { WindowCaps } from '../src/window/user-state.ts'
import type { OwnTopics, Place } from './kafka-place.ts'
import { FREE_MODEL, openWorker } from './kafka-worker.ts'
import { type BenchServer, benchSettings, openStore } from './qdrant-server.ts'

/** Where all members write vectors: a file, or collections of a prefix on a server. */
export type VectorPlace = { path: string } | { server: BenchServer; prefix: string }

export interface MemberOptions {
  place: Place
  group: string
  own: OwnTopics
  /** Of the local copy of the states, and of the cache of events' vectors. */
  folder: string
  vectors: VectorPlace
  /** Directory of the model; null: one that costs nothing. */
  bundle: string | null
  /** Of the model that costs nothing. */
  slots?: WindowCaps
  kafka: Partial<KafkaSettings>
  settings: Partial<PipelineSettings>
}

/** What a member says. Times are the machine's, milliseconds since the Unix epoch. */
export type MemberMessage =
  | { kind: 'owner'; stage: string; partitions: readonly number[]; atMs: number }
  /** Points are durable and searchable. */
  | { kind: 'upserted'; users: string[]; atMs: number }
  | { kind: 'memory'; rssBytes: number; heapBytes: number; atMs: number }

const MEMORY_EVERY_MS = 1_000

export async function openVectors(place: VectorPlace): Promise<VectorStore> {
  if ('server' in place) return openStore(benchSettings(place.server, place.prefix))
  const pageBytes = VECTOR_PAGE_BYTES
  const database = new SqliteDatabase({ path: place.path, migrations: VECTOR_MIGRATIONS, pageBytes })
  return new SqliteVectorStore(database, systemClock)
}

export interface Member {
  /** What it owns now; none before it has taken over what it was given. */
  partitions: readonly number[]
  /** As at SIGTERM. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
}

/** Starts one; resolves at once. */
export function startMember(options: MemberOptions, heard: (message: MemberMessage) => void): Member {
  const execArgv = ['--disable-warning=TimeoutNegativeWarning']
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options)], { execArgv })
  const ended = once(child, 'exit')
  let isWanted = true
  void ended.then(([code, signal]) => {
    if (isWanted) throw new Error(`expected a member to go on, got its end by ${code ?? signal}`)
  })
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    isWanted = false
    child.kill(signal)
    await ended
  }
  const member: Member = { partitions: [], stop: () => end('SIGTERM'), kill: () => end('SIGKILL') }
  child.on('message', (message: MemberMessage) => {
    if (message.kind === 'owner') member.partitions = message.stage === 'owner' ? message.partitions : []
    heard(message)
  })
  return member
}

async function modelOf(bundle: string, folder: string) {
  const settings = settingsSchema.parse({}).model
  const { cache } = openEventVectorCache({
    path: join(folder, 'event-vectors.db'),
    sizeBytesMax: settings.eventCacheBytesMax,
  })
  const { model, render } = await openModel(bundle, { ...settings, threads: 1 }, cache)
  return { model, render: (window: Parameters<typeof userInput>[2]) => userInput(model, render, window) }
}

async function run(options: MemberOptions): Promise<void> {
  const say = (message: MemberMessage) => {
    if (process.connected) process.send!(message)
  }
  const { bundle, folder } = options
  const vectors = await openVectors(options.vectors)
  const upsert = vectors.upsert.bind(vectors)
  vectors.upsert = async (name, version, points) => {
    const refused = await upsert(name, version, points)
    const users = points.map((point) => (point.kind === 'stub' ? point.userId : point.payload.userId))
    say({ kind: 'upserted', users, atMs: Date.now() })
    return refused
  }
  owner.subscribe(({ stage, partitions }) => say({ kind: 'owner', stage, partitions, atMs: Date.now() }))
  const { slots = FREE_MODEL.slots } = options
  const free = { model: { ...FREE_MODEL, slots } }
  const model = bundle === null ? free : await modelOf(bundle, folder)
  const { place, group, own, kafka, settings } = options
  const worker = await openWorker({ place, group, own, folder, vectors, kafka, settings, ...model })
  setInterval(() => {
    const { rss: rssBytes, heapUsed: heapBytes } = process.memoryUsage()
    say({ kind: 'memory', rssBytes, heapBytes, atMs: Date.now() })
  }, MEMORY_EVERY_MS)
  process.once('SIGTERM', async () => {
    await worker.stop()
    process.exit()
  })
  // Whoever started it is gone.
  process.once('disconnect', () => process.exit(1))
  await worker.running
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await run(JSON.parse(process.argv[2]!) as MemberOptions)
