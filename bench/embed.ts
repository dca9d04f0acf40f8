/** What does sharing the prefix save, how near does a packed pass come to the machine's peak, and how many users a second is that? */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openOnnxRuntime } from '../src/drivers/onnx/onnx-runtime.ts'
import { type Bundle, openBundle } from '../src/model/bundle.ts'
import { type BundleModel, openBundleModel } from '../src/model/bundle-model.ts'
import type { PassForm, UserInput } from '../src/model/embedding-model.ts'
import { initBundle } from '../src/model/init-bundle.ts'
import { OnnxGraph } from '../src/model/onnx-graph.ts'
import type { TensorRuntime } from '../src/model/tensor-session.ts'
import { conditions } from './conditions.ts'
import { usefulFlops } from './embed-flops.ts'
import {
  type BenchResult,
  interleaved,
  type Measurement,
  measurement,
  type Ratio,
  ratio,
  writeResult,
} from './result.ts'

const REPETITIONS = 15
const PREFIX_POSITIONS = 200
/** Of each instruction, `<USER>` included: 32 of them make (200 + 32 * 29) / (200 + 29) = 4.93 times the positions of one. */
const BLOCK_POSITIONS = 29
const SEED = 1
const PEAK_SIZE = 1_024
const PEAK_PRODUCTS = 6

/** CPU time of the whole process, all threads, milliseconds. */
async function cpuMs(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

/** Events of all kinds, distinct, as many as make the prefix `PREFIX_POSITIONS` long. */
function userOf(model: BundleModel): UserInput {
  const empty = model.positions({ events: {}, tabular: null }, [])
  const count = PREFIX_POSITIONS - empty
  const texts = Array.from(
    { length: count },
    (_, i) => `Paid tens of yuan at shop number ${i} by qr, on a weekday morning.`,
  )
  return {
    events: {
      paybill: texts.slice(0, 80),
      miniprogram: texts.slice(80, 120),
      app: texts.slice(120, 160),
      spm: texts.slice(160),
    },
    tabular: null,
  }
}

/** Distinct instructions of equal length. */
function instructionsOf(model: BundleModel, count: number): string[] {
  const user: UserInput = { events: {}, tabular: null }
  const empty = model.positions(user, [])
  const lengthOf = (text: string) => model.positions(user, [text]) - empty
  const words = 'what will this user need next week and why would they want to buy it from us again'.split(
    ' ',
  )
  return Array.from({ length: count }, (_, i) => {
    let text = `${i}:`
    for (let at = i; lengthOf(`${text} a`) <= BLOCK_POSITIONS; at++) {
      const longer = `${text} ${words[at % words.length]}`
      text = lengthOf(longer) <= BLOCK_POSITIONS ? longer : `${text} a`
    }
    if (lengthOf(text) !== BLOCK_POSITIONS) throw new RangeError(`${text} takes ${lengthOf(text)} positions`)
    return text
  })
}

/** GFLOP per CPU-second of a chain of large products over one prepacked weight: the most that the runtime gives here. */
async function openPeak(runtime: TensorRuntime, directory: string) {
  const weight = Float32Array.from({ length: PEAK_SIZE ** 2 }, (_, i) => Math.sin(i) / PEAK_SIZE)
  writeFileSync(join(directory, 'peak.bin'), new Uint8Array(weight.buffer))
  const graph = new OnnxGraph()
  const dims = [PEAK_SIZE, PEAK_SIZE]
  const w = graph.mapped('w', {
    path: 'peak.bin',
    offset: 0,
    lengthBytes: weight.byteLength,
    type: 'f32',
    dims,
  })
  let x = graph.input('x', 'f32', dims)
  for (let i = 0; i < PEAK_PRODUCTS; i++) x = graph.node('MatMul', [x, w])
  graph.output('y', graph.node('Gather', [x, graph.ints([0])]), 'f32', [1, PEAK_SIZE])
  const session = await runtime.open({ graph: graph.finish(), directory, held: {}, prepack: true })
  return async () => {
    const data = new Float32Array(PEAK_SIZE ** 2).fill(0.5)
    const ms = await cpuMs(() => session.run({ x: { data, dims } }, { outputs: ['y'] }))
    return (PEAK_PRODUCTS * 2 * PEAK_SIZE ** 3) / ms / 1e6
  }
}

async function measure(model: BundleModel, peak: () => Promise<number>) {
  const user = userOf(model)
  const instructions = instructionsOf(model, 32)
  const eight = instructions.slice(0, 8)
  const embed = (texts: readonly string[], form: PassForm) => () =>
    cpuMs(() => model.embedUsers([user], texts, { form }))
  const wallMs = (texts: readonly string[]) => async () => {
    const start = performance.now()
    await model.embedUsers([user], texts)
    return performance.now() - start
  }
  const passes = async () => {
    for (const text of eight) await model.embedUsers([user], [text], { form: 'separate' })
  }
  const variants = {
    packed1: embed(instructions.slice(0, 1), 'packed'),
    packed8: embed(eight, 'packed'),
    packed32: embed(instructions, 'packed'),
    suffix8: embed(eight, 'prefix-suffix'),
    passes8: () => cpuMs(passes),
    batch8: embed(eight, 'separate'),
    wall1: wallMs(instructions.slice(0, 1)),
    wall8: wallMs(eight),
    wall32: wallMs(instructions),
    peak,
  }
  return await interleaved(variants, REPETITIONS)
}

type Samples = Awaited<ReturnType<typeof measure>>

function settingsOf({ backbone, lora }: Bundle): BenchResult['settings'] {
  const { config } = backbone
  return {
    model: 'small',
    hiddenSize: config.hiddenSize,
    layers: config.layerCount,
    heads: config.headCount,
    kvHeads: config.kvHeadCount,
    mlp: config.intermediateSize,
    loraRank: lora?.config.rank ?? 0,
    prefixPositions: PREFIX_POSITIONS,
    blockPositions: BLOCK_POSITIONS,
    threads: 1,
    provider: 'cpu',
    precision: 'fp32',
    eventVectors: 'cached',
  }
}

function ratiosOf(samples: Samples, bundle: Bundle, model: BundleModel): Ratio[] {
  const naive = samples.passes8.map((ms, i) => Math.min(ms, samples.batch8[i]!))
  const positions = (count: number) => PREFIX_POSITIONS + count * BLOCK_POSITIONS
  const tokenRatio = positions(32) / positions(1)
  const events = PREFIX_POSITIONS - model.positions({ events: {}, tabular: null }, [])
  // The best the machine gave in any repetition: one slow measurement of the peak must not flatter us.
  const peak = Math.max(...samples.peak)
  const share = (count: number, ms: readonly number[], target: Ratio['target']) => {
    const blocks = new Array<number>(count).fill(BLOCK_POSITIONS)
    const flops = usefulFlops(bundle, { prefix: PREFIX_POSITIONS, blocks, events })
    const reached = ms.map((value) => flops / value / 1e6)
    const plural = count === 1 ? '' : 's'
    return ratio(
      `share of sgemm peak, packed, ${count} instruction${plural}`,
      reached,
      ms.map(() => peak),
      target,
    )
  }
  return [
    ratio('8 passes or one batch of 8, the faster / packed', naive, samples.packed8, { atLeast: 3.3 }),
    ratio('8 separate passes / packed', samples.passes8, samples.packed8, null),
    ratio('one batch of 8 / packed', samples.batch8, samples.packed8, null),
    ratio('8 separate passes / prefix and suffixes', samples.passes8, samples.suffix8, null),
    ratio(
      `32 instructions / 1, over their ratio of positions (${tokenRatio.toFixed(2)})`,
      samples.packed32.map((ms) => ms / tokenRatio),
      samples.packed1,
      { atMost: 1.15 },
    ),
    share(1, samples.packed1, null),
    share(8, samples.packed8, { atLeast: 0.6 }),
    share(32, samples.packed32, null),
  ]
}

function measurementsOf(samples: Samples): Measurement[] {
  const perSecond = (ms: readonly number[]) => ms.map((value) => 1_000 / value)
  return [
    measurement('packed pass, 1 instruction', 'CPU-ms', samples.packed1),
    measurement('packed pass, 8 instructions', 'CPU-ms', samples.packed8),
    measurement('packed pass, 32 instructions', 'CPU-ms', samples.packed32),
    measurement('users, 1 instruction', 'users/s', perSecond(samples.wall1)),
    measurement('users, 8 instructions', 'users/s', perSecond(samples.wall8)),
    measurement('users, 32 instructions', 'users/s', perSecond(samples.wall32)),
    measurement('sgemm peak', 'GFLOP per CPU-second', samples.peak),
  ]
}

const residentMebibytes = () => process.memoryUsage().rss / 2 ** 20

async function main(directory: string): Promise<void> {
  const before = conditions(['onnxruntime-node'])
  const path = join(directory, 'small')
  await initBundle({ preset: 'small', directory: path, seed: SEED, createdMs: 0 })
  const bundle = await openBundle(path, { verify: false })
  const runtime = await openOnnxRuntime({ threads: 1 })
  const memory = [measurement('resident memory before the model', 'MiB', [residentMebibytes()])]
  const model = await openBundleModel(bundle, runtime, { batchTokensMax: 4_096 })
  memory.push(measurement('resident memory with the model open', 'MiB', [residentMebibytes()]))
  try {
    const samples = await measure(model, await openPeak(runtime, directory))
    memory.push(measurement('resident memory after all runs', 'MiB', [residentMebibytes()]))
    const file = writeResult({
      bench: 'embed',
      question:
        'What does sharing the prefix save, and how near does a packed pass come to the peak of the machine?',
      conditions: before,
      settings: settingsOf(bundle),
      measurements: [...measurementsOf(samples), ...memory],
      ratios: ratiosOf(samples, bundle, model),
    })
    process.stdout.write(`${file}\n`)
  } finally {
    await model.close()
    await runtime.close()
  }
}

const directory = mkdtempSync(join(tmpdir(), 'freshet-bench-'))
try {
  await main(directory)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
