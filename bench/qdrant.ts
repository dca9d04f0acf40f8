/**
 * What does a point cost on its way to Qdrant, over REST and over gRPC, and how long does it take to find neighbours there?
 * `QDRANT_URL=... QDRANT_GRPC_URL=... npm run bench:qdrant`; without them the tests' double stands in, and only the CPU counts.
 */

import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { PointBatch } from '../src/drivers/qdrant/point-writer.ts'
import { serverName } from '../src/drivers/qdrant/server-names.ts'
import { conditions } from './conditions.ts'
import { type FormName, openForms } from './qdrant-forms.ts'
import { benchNearest, NEAREST } from './qdrant-nearest.ts'
import { points, specOf, vectorNames } from './qdrant-points.ts'
import { type BenchServer, benchServer, benchSettings, openStore } from './qdrant-server.ts'
import { interleaved, type Measurement, measurement, type Ratio, ratio, writeResult } from './result.ts'

const REPETITIONS = 7
const IN_FLIGHT = 2
const SHAPES = [
  { names: 8, dimensions: 256, points: 2_048 },
  { names: 1, dimensions: 896, points: 4_096 },
] as const
const BATCHES = [64, 256] as const
const FORMS = {
  rest: 'REST',
  grpc: 'gRPC',
  restBare: 'REST without the fence',
  grpcBare: 'gRPC without the fence',
  restClient: "REST by Qdrant's client",
  grpcClient: "gRPC by Qdrant's client",
} as const satisfies Record<FormName, string>
/** In the README; the rest is in the result. */
const SHOWN: readonly FormName[] = ['rest', 'grpc']

interface Run {
  pointsPerSecond: number
  /** Of the whole process, its garbage collection included. */
  cpuMsPer1000: number
  /** The 99th percentile of how late the event loop was. */
  blockedMs: number
}

/** Runs by form, one a repetition. */
type Runs = Record<string, Run[]>

async function run(
  write: (batch: PointBatch) => Promise<void>,
  batches: readonly PointBatch[],
  inFlight: number,
): Promise<Run> {
  const count = batches.reduce((sum, batch) => sum + batch.points.length, 0)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  // What the form before this one has left is not this one's to clear away.
  globalThis.gc?.()
  let next = 0
  const lane = async () => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) await write(batch)
  }
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  delay.enable()
  await Promise.all(Array.from({ length: inFlight }, lane))
  delay.disable()
  const seconds = (performance.now() - startMs) / 1_000
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    pointsPerSecond: count / seconds,
    cpuMsPer1000: (user + system) / count,
    blockedMs: delay.percentile(99) / 1e6,
  }
}

/** Every form once a repetition, in alternating order; each run overwrites all points under a newer version. */
async function benchWrites(
  server: BenchServer,
  prefix: string,
  shape: (typeof SHAPES)[number],
  batchPoints: number,
  ways: readonly { form: FormName; inFlight: number; name: string }[],
): Promise<Runs> {
  const names = vectorNames(shape.names)
  const spec = specOf(`bench-${shape.names}x${shape.dimensions}`, shape.dimensions)
  const { collection } = benchSettings(server, prefix)
  // No graph is built meanwhile: what is asked is what a write costs.
  const unindexed = { ...collection, indexingThresholdKb: 10_000_000 }
  const store = await openStore(benchSettings(server, prefix, { collection: unindexed }))
  const { forms, close } = openForms(server)
  const all = points(shape.points, names, shape.dimensions)
  let write = 0
  const batches = (): PointBatch[] => {
    const version = { epoch: 1, write: ++write }
    const from = Array.from({ length: Math.ceil(all.length / batchPoints) }, (_, i) => i * batchPoints)
    return from.map((at) => ({
      collection: serverName(prefix, spec.name),
      version,
      writtenAtMs: Date.now(),
      points: all.slice(at, at + batchPoints),
    }))
  }
  try {
    await store.ensureCollection(spec)
    await store.ensureVectorNames(spec.name, names)
    const runs: Runs = Object.fromEntries(ways.map(({ name }) => [name, []]))
    const variants = ways.map(({ form, inFlight, name }) => [
      name,
      async () => {
        const done = await run(forms[form], batches(), inFlight)
        runs[name]!.push(done)
        return done.pointsPerSecond
      },
    ])
    await interleaved(Object.fromEntries(variants), REPETITIONS)
    // The first round of each only warmed up.
    for (const list of Object.values(runs)) list.shift()
    return runs
  } finally {
    await store.dropCollection(spec.name)
    await store.close()
    await close()
  }
}

const of = (runs: Runs, name: string, what: keyof Run) => runs[name]!.map((one) => one[what])

function measured(label: string, name: string, runs: Runs, isReal: boolean): Measurement[] {
  return [
    measurement(`${label}, ${name}`, 'CPU-ms/1,000 points', of(runs, name, 'cpuMsPer1000')),
    ...(isReal ? [measurement(`${label}, ${name}`, 'points/s', of(runs, name, 'pointsPerSecond'))] : []),
    measurement(`${label}, ${name}: event loop blocked, p99`, 'ms', of(runs, name, 'blockedMs')),
  ]
}

function ratiosOf(label: string, runs: Runs, isReal: boolean): Ratio[] {
  const between = (what: keyof Run, above: FormName, below: FormName, words: string) =>
    ratio(`${label}: ${words}`, of(runs, FORMS[above], what), of(runs, FORMS[below], what), null)
  const rates = [
    between('pointsPerSecond', 'grpc', 'rest', 'points/s, gRPC / REST'),
    between('pointsPerSecond', 'rest', 'restBare', 'points/s over REST, fenced / not'),
    between('pointsPerSecond', 'grpc', 'grpcBare', 'points/s over gRPC, fenced / not'),
  ]
  return [
    between('cpuMsPer1000', 'rest', 'grpc', 'CPU, REST / gRPC'),
    between('cpuMsPer1000', 'restClient', 'rest', "CPU over REST, Qdrant's client / ours"),
    between('cpuMsPer1000', 'grpcClient', 'grpc', "CPU over gRPC, Qdrant's client / ours"),
    ...(isReal ? rates : []),
  ]
}

const server = await benchServer()
const prefix = `bench${randomBytes(4).toString('hex')}-`
const measuredUnder = conditions(['@qdrant/js-client-rest', '@qdrant/js-client-grpc', 'undici'])
const shown: Measurement[] = []
const others: Measurement[] = []
const ratios: Ratio[] = []
try {
  for (const shape of SHAPES)
    for (const batchPoints of BATCHES) {
      const label = `${shape.names}x${shape.dimensions} by ${batchPoints}`
      process.stderr.write(`${label}\n`)
      const forms = Object.keys(FORMS) as FormName[]
      const ways = forms.map((form) => ({ form, inFlight: IN_FLIGHT, name: FORMS[form] as string }))
      if (batchPoints === BATCHES[0])
        for (const form of SHOWN)
          for (const inFlight of [1, 4])
            ways.push({ form, inFlight, name: `${FORMS[form]}, ${inFlight} in flight` })
      const runs = await benchWrites(server, prefix, shape, batchPoints, ways)
      for (const { form, name } of ways) {
        const isShown = SHOWN.includes(form) && name === FORMS[form] && batchPoints === BATCHES[0]
        ;(isShown ? shown : others).push(...measured(label, name, runs, server.isReal))
      }
      if (batchPoints === BATCHES[0]) ratios.push(...ratiosOf(label, runs, server.isReal))
    }
  if (server.isReal) {
    process.stderr.write('nearest\n')
    const { p50, p95, recall } = await benchNearest(server, prefix, REPETITIONS)
    const words = {
      sqlite: 'SQLite, exact',
      exact: 'Qdrant, exact',
      index: 'Qdrant, HNSW',
      indexEf: `Qdrant, HNSW, searchEf ${NEAREST.ef}`,
    }
    for (const [way, name] of Object.entries(words) as [keyof typeof words, string][]) {
      shown.push(measurement(`nearest users, ${name}: p50`, 'ms', p50[way]))
      shown.push(measurement(`nearest users, ${name}: p95`, 'ms', p95[way]))
      if (way !== 'sqlite')
        shown.push(measurement(`nearest users, ${name}: recall@${NEAREST.k}`, '', recall[way]))
    }
    ratios.push(ratio('nearest users, p50, Qdrant HNSW / SQLite', p50.index, p50.sqlite, null))
    ratios.push(ratio('nearest users, p50, Qdrant exact / SQLite', p50.exact, p50.sqlite, null))
  }
} finally {
  server.close()
}
const file = writeResult({
  bench: 'qdrant',
  question:
    'What does a point cost on its way to Qdrant, and how long does it take to find neighbours there?',
  conditions: measuredUnder,
  settings: {
    server: server.what,
    where: 'the same machine',
    pointsPerRun: SHAPES.map(({ points }) => points).join(' and '),
    inFlight: IN_FLIGHT,
    ...(server.isReal
      ? { nearestUsers: NEAREST.users, nearestDimensions: NEAREST.dimensions, k: NEAREST.k }
      : {}),
  },
  measurements: shown,
  others,
  ratios,
})
console.log(`wrote ${file}`)
