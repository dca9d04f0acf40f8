/** The neighbours that bench/qdrant.ts asks both stores for, over the same users. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { QdrantClient } from '@qdrant/js-client-rest'
import { openDataDirectory } from '../src/drivers/sqlite/data-directory.ts'
import { SqliteVectorStore } from '../src/drivers/sqlite/sqlite-vector-store.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import type { Point, PointId, VectorStore } from '../src/vectors/vector-store.ts'
import { points, specOf, vectorNames } from './qdrant-points.ts'
import { type BenchServer, benchSettings, openStore } from './qdrant-server.ts'

export const NEAREST = { users: 20_000, dimensions: 256, k: 10, queriesPerRepetition: 100, ef: 256 }

const INDEXED_WITHIN_MS = 300_000
const POLL_MS = 500

const WAYS = ['sqlite', 'exact', 'index', 'indexEf'] as const
type Way = (typeof WAYS)[number]

export interface NearestSamples {
  /** Milliseconds, one of each a repetition. */
  p50: Record<Way, number[]>
  p95: Record<Way, number[]>
  /** Share of the ten nearest that are found; SQLite's are the truth. */
  recall: Record<Way, number[]>
}

/** Nearest users of a user: her vector is read, then the ten nearest but her, as a query over HTTP does. */
export async function benchNearest(
  server: BenchServer,
  prefix: string,
  repetitions: number,
): Promise<NearestSamples> {
  const names = vectorNames(1)
  const spec = specOf('bench-nearest', NEAREST.dimensions)
  const all = points(NEAREST.users, names, NEAREST.dimensions)
  const path = mkdtempSync(join(tmpdir(), 'freshet-bench-qdrant-'))
  const directory = openDataDirectory({ path, access: 'write', nowMs: Date.now() })
  const { collection } = benchSettings(server, prefix)
  // Low enough that every segment gets its graph.
  const settings = benchSettings(server, prefix, {
    collection: { ...collection, indexingThresholdKb: 1_000 },
  })
  const plain = await openStore(settings)
  const wide = await openStore({ ...settings, searchEf: NEAREST.ef })
  const sqlite = new SqliteVectorStore(directory.vectors, systemClock)
  try {
    for (const store of [sqlite, plain]) await fill(store, all)
    await untilIndexed(server, `${prefix}${spec.name}`)
    const stores: Record<Way, VectorStore> = { sqlite, exact: plain, index: plain, indexEf: wide }
    const samples = emptySamples()
    for (let repetition = -1; repetition < repetitions; repetition++) {
      const users = Array.from(
        { length: NEAREST.queriesPerRepetition },
        (_, i) => all[(i * 197 + repetition + 1) % all.length]!,
      )
      const asked = await ask(users, (way, id) => nearest(stores[way], id, way === 'exact'))
      if (repetition < 0) continue
      for (const way of WAYS) {
        const sorted = asked.timesMs[way].sort((a, b) => a - b)
        samples.p50[way].push(sorted[Math.floor(sorted.length * 0.5)]!)
        samples.p95[way].push(sorted[Math.floor(sorted.length * 0.95)]!)
        samples.recall[way].push(asked.hits[way] / (users.length * NEAREST.k))
      }
    }
    return samples
  } finally {
    await plain.dropCollection(spec.name)
    await Promise.all([plain.close(), wide.close(), sqlite.close()])
    directory.close()
    rmSync(path, { recursive: true, force: true })
  }

  async function fill(store: VectorStore, users: readonly Point[]): Promise<void> {
    await store.ensureCollection(spec)
    await store.ensureVectorNames(spec.name, names)
    for (let i = 0; i < users.length; i += 256)
      await store.upsert(spec.name, { epoch: 1, write: 1 }, users.slice(i, i + 256))
  }

  async function nearest(store: VectorStore, id: PointId, exact: boolean): Promise<PointId[]> {
    const [vectorName] = names as [(typeof names)[number]]
    const stored = (await store.get(spec.name, [id], [vectorName])).get(id)
    const vector = stored?.point.kind === 'vectors' ? stored.point.vectors.get(vectorName) : undefined
    if (vector === undefined) throw new Error(`no vector of ${id}`)
    const query = { vectorName, vector, k: NEAREST.k, exclude: [id] }
    const hits = await store.search(spec.name, exact ? { ...query, exact } : query)
    return hits.map((hit) => hit.id)
  }
}

/** Each user every way, one after the other, so that what else the machine does falls on all ways alike. */
async function ask(
  users: readonly Point[],
  nearest: (way: Way, id: PointId) => Promise<readonly PointId[]>,
): Promise<{ timesMs: Record<Way, number[]>; hits: Record<Way, number> }> {
  const timesMs = byWay(() => [] as number[])
  const hits = byWay(() => 0)
  for (const { id } of users) {
    let truth = new Set<PointId>()
    for (const way of WAYS) {
      const startMs = performance.now()
      const found = await nearest(way, id)
      timesMs[way].push(performance.now() - startMs)
      if (way === 'sqlite') truth = new Set(found)
      hits[way] += found.filter((one) => truth.has(one)).length
    }
  }
  return { timesMs, hits }
}

function emptySamples(): NearestSamples {
  const empty = () => byWay(() => [] as number[])
  return { p50: empty(), p95: empty(), recall: empty() }
}

function byWay<Value>(make: () => Value): Record<Way, Value> {
  return Object.fromEntries(WAYS.map((way) => [way, make()])) as Record<Way, Value>
}

async function untilIndexed({ url, apiKey }: BenchServer, collection: string): Promise<void> {
  const headers: Record<string, string> = apiKey === null ? {} : { 'api-key': apiKey }
  const client = new QdrantClient({ url, headers, checkCompatibility: false })
  for (let waitedMs = 0; waitedMs < INDEXED_WITHIN_MS; waitedMs += POLL_MS) {
    const { status, indexed_vectors_count: indexed = 0 } = await client.getCollection(collection)
    if (status === 'green' && (indexed ?? 0) >= NEAREST.users) return
    await sleep(POLL_MS)
  }
  throw new Error(`expected ${NEAREST.users} indexed vectors within ${INDEXED_WITHIN_MS} ms`)
}
