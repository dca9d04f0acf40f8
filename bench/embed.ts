/** What does sharing the prefix save, how near does a packed pass come to the machine's peak, and how many users a second is that? */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openOnnxRuntime } from '../src/drivers/onnx/onnx-runtime.ts'
import { openBundle } from '../src/model/bundle.ts'
import { type BundleModel, openBundleModel } from '../src/model/bundle-model.ts'
import type { UserInput } from '../src/model/embedding-model.ts'
import { initBundle } from '../src/model/init-bundle.ts'
import { OnnxGraph } from '../src/model/onnx-graph.ts'
import type { TensorRuntime } from '../src/model/tensor-session.ts'
import { conditions } from './conditions.ts'
import { usefulFlops } from './embed-flops.ts'
import { interleaved, measurement, ratio, writeResult } from './result.ts'

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

const mebibytes = () => process.memoryUsage().rss / 2 ** 20

async function main(): Promise<void> {
  const before = conditions(['onnxruntime-node'])
  const directory = mkdtempSync(join(tmpdir(), 'freshet-bench-'))
  const path = join(directory, 'small')
  await initBundle({ preset: 'small', directory: path, seed: SEED, createdMs: 0 })
  const bundle = await openBundle(path, { verify: false })
  const runtime = await openOnnxRuntime({ threads: 1 })
  const rssBefore = mebibytes()
  const model = await openBundleModel(bundle, runtime, { batchTokensMax: 4_096 })
  const rssOpen = mebibytes()
  try {
    const user = userOf(model)
    const instructions = instructionsOf(model, 32)
    const eight = instructions.slice(0, 8)
    const embed = (texts: readonly string[], form: 'packed' | 'prefix-suffix' | 'separate') => () =>
      cpuMs(() => model.embedUsers([user], texts, { form }))
    const wallMs = (texts: readonly string[]) => async () => {
      const start = performance.now()
      await model.embedUsers([user], texts)
      return performance.now() - start
    }
    const samples = await interleaved(
      {
        packed1: embed(instructions.slice(0, 1), 'packed'),
        packed8: embed(eight, 'packed'),
        packed32: embed(instructions, 'packed'),
        suffix8: embed(eight, 'prefix-suffix'),
        passes8: () =>
          cpuMs(async () => {
            for (const text of eight) await model.embedUsers([user], [text], { form: 'separate' })
          }),
        batch8: embed(eight, 'separate'),
        wall1: wallMs(instructions.slice(0, 1)),
        wall8: wallMs(eight),
        wall32: wallMs(instructions),
        peak: await openPeak(runtime, directory),
      },
      REPETITIONS,
    )
    const naive = samples.passes8.map((ms, i) => Math.min(ms, samples.batch8[i]!))
    const positions = (count: number) => PREFIX_POSITIONS + count * BLOCK_POSITIONS
    const events = PREFIX_POSITIONS - model.positions({ events: {}, tabular: null }, [])
    const flops = (count: number) =>
      usefulFlops(bundle, {
        prefix: PREFIX_POSITIONS,
        blocks: new Array(count).fill(BLOCK_POSITIONS),
        events,
      })
    // The best the machine gave in any repetition: one slow measurement of the peak must not flatter us.
    const peak = Math.max(...samples.peak)
    const share = (count: number, ms: readonly number[]) =>
      ms.map((value) => flops(count) / value / 1e6 / peak)
    const ones = samples.packed8.map(() => 1)
    const tokenRatio = positions(32) / positions(1)
    const { config } = bundle.backbone
    const result = {
      bench: 'embed',
      question:
        'What does sharing the prefix save, and how near does a packed pass come to the peak of the machine?',
      conditions: before,
      settings: {
        model: 'small',
        hiddenSize: config.hiddenSize,
        layers: config.layerCount,
        heads: config.headCount,
        kvHeads: config.kvHeadCount,
        mlp: config.intermediateSize,
        loraRank: bundle.lora?.config.rank ?? 0,
        prefixPositions: PREFIX_POSITIONS,
        blockPositions: BLOCK_POSITIONS,
        threads: 1,
        provider: 'cpu',
        precision: 'fp32',
        eventVectors: 'cached',
      },
      measurements: [
        measurement('packed pass, 1 instruction', 'CPU-ms', samples.packed1),
        measurement('packed pass, 8 instructions', 'CPU-ms', samples.packed8),
        measurement('packed pass, 32 instructions', 'CPU-ms', samples.packed32),
        measurement(
          'users, 1 instruction',
          'users/s',
          samples.wall1.map((ms) => 1_000 / ms),
        ),
        measurement(
          'users, 8 instructions',
          'users/s',
          samples.wall8.map((ms) => 1_000 / ms),
        ),
        measurement(
          'users, 32 instructions',
          'users/s',
          samples.wall32.map((ms) => 1_000 / ms),
        ),
        measurement('sgemm peak', 'GFLOP per CPU-second', samples.peak),
        measurement('resident memory before the model', 'MiB', [rssBefore]),
        measurement('resident memory with the model open', 'MiB', [rssOpen]),
        measurement('resident memory after all runs', 'MiB', [mebibytes()]),
      ],
      ratios: [
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
        ratio('share of sgemm peak, packed, 1 instruction', share(1, samples.packed1), ones, null),
        ratio('share of sgemm peak, packed, 8 instructions', share(8, samples.packed8), ones, {
          atLeast: 0.6,
        }),
        ratio('share of sgemm peak, packed, 32 instructions', share(32, samples.packed32), ones, null),
      ],
    }
    process.stdout.write(`${writeResult(result)}\n`)
  } finally {
    await model.close()
    await runtime.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
