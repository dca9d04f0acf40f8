/**
 * How long does it take from an event to a vector that knows of it, at 10, 50 and 90 % of what one worker can? Events come
 * at their own times, whether or not the worker keeps up. `QDRANT_URL` and `QDRANT_GRPC_URL` put the vectors there.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaCluster } from '../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../src/drivers/kafka/kafka-control-log.ts'
import { partitionOf } from '../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../src/drivers/kafka/safe-producer.ts'
import { createRecordEncoder } from '../src/events/encoder.ts'
import { DEFAULT_TENANT, type EventId, type UserId, userKey } from '../src/events/ids.ts'
import type { InstructionId } from '../src/instructions/instruction.ts'
import { MAIN_GROUP } from '../src/instructions/instruction.ts'
import type { ModelId } from '../src/model/embedding-model.ts'
import { initBundle } from '../src/model/init-bundle.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { collectionName, pointId } from '../src/vectors/names.ts'
import type { PointId, VectorStore } from '../src/vectors/vector-store.ts'
import { sharedBroker, uniqueName } from '../test/kafka/shared-broker.ts'
import { conditions } from './conditions.ts'
import { openVectors, startMember, type VectorPlace } from './kafka-member.ts'
import {
  createOwnTopics,
  createPlace,
  EventWriter,
  kafkaSettingsOf,
  type OwnTopics,
  type Place,
  worldEvents,
} from './kafka-place.ts'
import { benchServer } from './qdrant-server.ts'
import { type Measurement, measurement, ratio, writeResult } from './result.ts'

const { BENCH_SCALE = '1', QDRANT_URL } = process.env
const PARTITIONS = 4
const USERS = 200
/** Of each user, before anything is measured. */
const WINDOW_EVENTS = 40
const SHARES = [0.1, 0.5, 0.9] as const
const REPETITIONS = 3
const RUN_MS = 25_000 * Number(BENCH_SCALE)
const QUESTION = 'What will this user need next week?'
const MODEL = 'small' as ModelId
const COLLECTION = collectionName(MAIN_GROUP, MODEL)
const POLL_MS = 5
const WAIT_MS_MAX = 120_000

/** A user who waits for a vector, and since when. */
interface Waiting {
  scheduledMs: number
  formerHash: string
}

/** Looks again and again until the vectors of those who wait are new. */
class Watch {
  readonly latenciesMs: number[] = []
  private readonly vectors: VectorStore
  private readonly hashes = new Map<PointId, string>()
  private readonly waiting = new Map<PointId, Waiting>()
  private isOver = false

  constructor(vectors: VectorStore) {
    this.vectors = vectors
  }

  get waitingCount(): number {
    return this.waiting.size
  }

  async learn(ids: readonly PointId[]): Promise<void> {
    for (const [id, { point }] of await this.vectors.get(COLLECTION, ids))
      if (point.kind === 'vectors') this.hashes.set(id, point.payload.inputHash)
  }

  get known(): number {
    return this.hashes.size
  }

  /** @returns false: this user waits already, and two events could not be told from one */
  await(id: PointId, scheduledMs: number): boolean {
    if (this.waiting.has(id)) return false
    this.waiting.set(id, { scheduledMs, formerHash: this.hashes.get(id)! })
    return true
  }

  async run(): Promise<void> {
    while (!this.isOver) {
      const found =
        this.waiting.size === 0 ? [] : await this.vectors.get(COLLECTION, [...this.waiting.keys()])
      const atMs = performance.now()
      for (const [id, { point }] of found) {
        const one = this.waiting.get(id)
        if (one === undefined || point.kind !== 'vectors' || point.payload.inputHash === one.formerHash)
          continue
        this.hashes.set(id, point.payload.inputHash)
        this.waiting.delete(id)
        this.latenciesMs.push(atMs - one.scheduledMs)
      }
      await sleep(POLL_MS)
    }
  }

  async rest(): Promise<void> {
    const startMs = performance.now()
    while (this.waiting.size > 0) {
      if (performance.now() - startMs > WAIT_MS_MAX)
        throw new RangeError(`expected every event to be found, ${this.waiting.size} were not`)
      await sleep(POLL_MS)
    }
  }

  stop(): void {
    this.isOver = true
  }
}

/** One event of one user a call, in a request of its own, as a service writes that waits for nobody. */
class Arrivals {
  private readonly place: Place
  private readonly producer: SafeProducer
  private readonly encoder = createRecordEncoder('avro-single-object')
  private said = 0

  constructor(place: Place, producer: SafeProducer) {
    this.place = place
    this.producer = producer
  }

  async say(user: UserId): Promise<void> {
    const n = this.said++
    const event = {
      modality: 'search' as const,
      source: 'bench',
      eventId: `said-${n}` as EventId,
      eventTimeMs: Date.now(),
      fields: { query: `hotel number ${n} near the station` },
    }
    const { key, value } = this.encoder.encode({ tenant: DEFAULT_TENANT, user, kind: 'event', event })
    const partition = partitionOf(key, PARTITIONS)
    await this.producer.send(`${this.place.prefix}.search`, partition, [{ key, value }])
  }
}

async function declareQuestion(place: Place, own: OwnTopics): Promise<void> {
  const settings = kafkaSettingsOf(place, 'bench-operator')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  const topics = { ...own, tombstones: `${place.prefix}.tombstone` }
  const controlLog = await KafkaControlLog.open(cluster, producer, topics, () => null)
  await controlLog.appendInstruction({
    id: 'next' as InstructionId,
    text: QUESTION,
    lang: 'en',
    group: MAIN_GROUP,
    status: 'active',
    maxStalenessMs: 86_400_000,
    owner: null,
    previous: null,
  })
  await producer.close()
  cluster.close()
}

/** Of sorted samples; the smallest that so many are not above. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!
}

interface Bench {
  users: readonly { user: UserId; id: PointId }[]
  vectors: VectorStore
  arrivals: Arrivals
}

/** All users at once: as much as a worker can. @returns events/s */
async function capacity({ users, vectors, arrivals }: Bench): Promise<number> {
  const watch = new Watch(vectors)
  await watch.learn(users.map(({ id }) => id))
  const startMs = performance.now()
  for (const { id } of users) watch.await(id, startMs)
  const running = watch.run()
  await Promise.all(users.map(({ user }) => arrivals.say(user)))
  await watch.rest()
  watch.stop()
  await running
  return users.length / ((performance.now() - startMs) / 1_000)
}

/** @returns latencies, milliseconds, rising; and events whose user was waiting still, which are left out */
async function atRate(bench: Bench, eventsPerSecond: number): Promise<{ sorted: number[]; left: number }> {
  const { users, vectors, arrivals } = bench
  const watch = new Watch(vectors)
  await watch.learn(users.map(({ id }) => id))
  const running = watch.run()
  const startMs = performance.now()
  const count = Math.round((eventsPerSecond * RUN_MS) / 1_000)
  let left = 0
  const sent: Promise<void>[] = []
  for (let n = 0; n < count; n++) {
    const scheduledMs = startMs + (n * 1_000) / eventsPerSecond
    const early = scheduledMs - performance.now()
    if (early > 0) await sleep(early)
    // 7 and the number of users have no common divisor: everybody's turn comes before anybody's second.
    const { user, id } = users[(n * 7) % users.length]!
    if (watch.await(id, scheduledMs)) sent.push(arrivals.say(user))
    else left++
  }
  await Promise.all(sent)
  await watch.rest()
  watch.stop()
  await running
  return { sorted: watch.latenciesMs.toSorted((a, b) => a - b), left }
}

const measuredUnder = conditions(['kafkajs', 'onnxruntime-node'])
const root = mkdtempSync(join(tmpdir(), 'freshet-bench-latency-'))
const { bootstrap } = await sharedBroker()
const place = await createPlace(bootstrap, PARTITIONS)
const group = 'latency'
const own = await createOwnTopics(place, group)
const bundle = join(root, MODEL)
await initBundle({ preset: 'small', directory: bundle, seed: 1, id: MODEL, createdMs: 0 })
await declareQuestion(place, own)

const server = QDRANT_URL === undefined ? null : await benchServer()
const vectorPlace: VectorPlace =
  server === null ? { path: join(root, 'vectors.db') } : { server, prefix: uniqueName('bench') }
const vectors = await openVectors(vectorPlace)
const writer = await EventWriter.open(place)
const names = new Set<UserId>()
for (const record of worldEvents(WINDOW_EVENTS * USERS, USERS + 1)) {
  names.add(record.user)
  await writer.add(record)
}
await writer.close()
const users = [...names].map((user) => ({ user, id: pointId(userKey(DEFAULT_TENANT, user)) }))
const member = startMember(
  {
    place,
    group,
    own,
    folder: root,
    vectors: vectorPlace,
    bundle,
    kafka: {},
    // At once: a service would wait quietMs or for minEvents, and that is added.
    settings: { minEvents: 1, quietMs: 0 },
  },
  () => {},
)
let watchAll: Watch
do {
  await sleep(500)
  watchAll = new Watch(vectors)
  // Before its first batch there is no collection.
  await watchAll.learn(users.map(({ id }) => id)).catch(() => {})
} while (watchAll.known < users.length)

const producer = await SafeProducer.open(kafkaSettingsOf(place, 'bench-arrivals'), systemClock)
const bench = { users, vectors, arrivals: new Arrivals(place, producer) }
await capacity(bench)
const capacities = [await capacity(bench), await capacity(bench), await capacity(bench)]
const eventsPerSecond = capacities.toSorted((a, b) => a - b)[1]!
process.stderr.write(`capacity ${eventsPerSecond.toFixed(1)} events/s\n`)

const PERCENTILES = { p50: 0.5, p95: 0.95, p99: 0.99 } as const
const samples = new Map<string, number[]>()
let leftOut = 0
let measured = 0
for (let repetition = 0; repetition < REPETITIONS; repetition++) {
  for (const share of repetition % 2 === 0 ? SHARES : SHARES.toReversed()) {
    const { sorted, left } = await atRate(bench, share * eventsPerSecond)
    leftOut += left
    measured += sorted.length
    for (const [name, at] of Object.entries(PERCENTILES)) {
      const what = `${name} at ${share * 100} %`
      samples.set(what, [...(samples.get(what) ?? []), percentile(sorted, at)])
    }
    process.stderr.write(`${share}: ${sorted.length} events, p50 ${percentile(sorted, 0.5).toFixed(0)} ms\n`)
  }
}
const measurements: Measurement[] = [measurement('capacity: one event a user', 'events/s', capacities)]
for (const [what, each] of samples) measurements.push(measurement(`event to vector, ${what}`, 'ms', each))
const file = writeResult({
  bench: 'kafka-latency',
  question: 'How long does it take from an event’s time to a vector that knows of it, one worker, open loop?',
  conditions: measuredUnder,
  settings: {
    model: 'small',
    threads: 1,
    vectors: server?.what ?? 'SQLite',
    users: users.length,
    windowEvents: WINDOW_EVENTS,
    instructions: 2,
    partitions: PARTITIONS,
    quietMs: 0,
    minEvents: 1,
    runMs: RUN_MS,
    eventsMeasured: measured,
    eventsLeftOut: leftOut,
  },
  measurements,
  ratios: [
    ratio(
      'p50 at 90 % of capacity / p50 at 10 %',
      samples.get('p50 at 90 %')!,
      samples.get('p50 at 10 %')!,
      null,
    ),
    ratio(
      'p99 at 90 % of capacity / p99 at 10 %',
      samples.get('p99 at 90 %')!,
      samples.get('p99 at 10 %')!,
      null,
    ),
  ],
})
await member.stop()
await producer.close()
await vectors.close()
server?.close()
rmSync(root, { recursive: true, force: true })
process.stdout.write(`${file}\n`)
process.exit()
