/** The inference runtime: what it refuses, what it survives, and that memory is moved, not shared. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OnnxRuntimeOptions, openOnnxRuntime } from '../../../src/drivers/onnx/onnx-runtime.ts'
import { UnavailableError } from '../../../src/errors.ts'
import { OnnxGraph } from '../../../src/model/onnx-graph.ts'
import type { SessionSource, Tensor, TensorRuntime } from '../../../src/model/tensor-session.ts'

const PATIENCE_MS = 60_000

const numbers = (...values: number[]): Tensor => ({ data: Float32Array.from(values), dims: [values.length] })

/** y = x + held */
function sumGraph(): SessionSource {
  const graph = new OnnxGraph()
  const sum = graph.node('Add', [graph.input('x', 'f32', ['n']), graph.input('held', 'f32', ['n'])])
  graph.output('y', sum, 'f32', ['n'])
  return { graph: graph.finish(), directory: tmpdir(), held: { held: numbers(10, 20) }, prepack: false }
}

/** Multiplies matrices for long enough to be caught at it: 7 GFLOP each. */
function slowGraph(products: number): SessionSource {
  const graph = new OnnxGraph()
  let x = graph.input('x', 'f32', [1_500, 1_500])
  for (let i = 0; i < products; i++) x = graph.node('MatMul', [x, x])
  graph.output('y', x, 'f32', [1_500, 1_500])
  return { graph: graph.finish(), directory: tmpdir(), held: {}, prepack: false }
}

/** y = the float32 [2] that lies in a file. */
function fileGraph(directory: string, lengthBytes: number): SessionSource {
  const graph = new OnnxGraph()
  const range = { path: 'weights.bin', offset: 4, lengthBytes, type: 'f32', dims: [lengthBytes / 4] } as const
  const x = graph.input('x', 'f32', [1])
  graph.output('y', graph.node('Add', [x, graph.mapped('w', range)]), 'f32', ['n'])
  return { graph: graph.finish(), directory, held: {}, prepack: false }
}

async function withRuntime(options: OnnxRuntimeOptions, use: (runtime: TensorRuntime) => Promise<void>) {
  const runtime = await openOnnxRuntime(options)
  try {
    await use(runtime)
  } finally {
    await runtime.close()
  }
}

describe('the ONNX runtime', () => {
  let directory = ''
  let runtime: TensorRuntime
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-onnx-'))
    writeFileSync(join(directory, 'weights.bin'), new Uint8Array(Float32Array.from([0, 1.5, -2]).buffer))
    runtime = await openOnnxRuntime({ threads: 1, workers: 2 })
  })
  after(async () => {
    await runtime.close()
    rmSync(directory, { recursive: true, force: true })
  })

  test('a session adds what is held to what is fed, on every worker, and many callers at once', async () => {
    const session = await runtime.open(sumGraph())
    const runs = Array.from({ length: 40 }, (_, i) => session.run({ x: numbers(i, -i) }, { outputs: ['y'] }))
    for (const [i, { y }] of (await Promise.all(runs)).entries()) {
      assert.deepEqual(y, { data: Float32Array.from([10 + i, 20 - i]), dims: [2] })
    }
    await session.release()
  })

  test('weights are read from their place in the file', async () => {
    const session = await runtime.open(fileGraph(directory, 8))
    const { y } = await session.run({ x: numbers(1) }, { outputs: ['y'] })
    assert.deepEqual(y!.data, Float32Array.from([2.5, -1]))
    await session.release()
  })

  test('weights beyond the end of their file are refused when the session opens', async () => {
    await assert.rejects(runtime.open(fileGraph(directory, 12)), {
      code: 'session-open',
      name: 'ConfigError',
    })
  })

  test('a fed array is moved: it is empty afterwards', async () => {
    const session = await runtime.open(sumGraph())
    const x = numbers(1, 2)
    await session.run({ x }, { outputs: ['y'] })
    assert.equal(x.data.length, 0)
    await session.release()
  })

  test('a misspelt, missing or superfluous key is refused before anything is computed', async () => {
    const session = await runtime.open(sumGraph())
    for (const feeds of [{ X: numbers(1, 2) }, {}, { x: numbers(1, 2), held: numbers(0, 0) }]) {
      await assert.rejects(session.run(feeds as Record<string, Tensor>, { outputs: ['y'] }), {
        code: 'feed-keys',
      })
    }
    await session.release()
    const source = sumGraph()
    await assert.rejects(runtime.open({ ...source, held: { ...source.held, other: numbers(1) } }), {
      code: 'feed-keys',
    })
  })

  test('shared memory, and a view into a larger buffer, are refused before anything is computed', async () => {
    const session = await runtime.open(sumGraph())
    const shared = new Float32Array(new SharedArrayBuffer(8)) as unknown as Tensor['data']
    await assert.rejects(session.run({ x: { data: shared, dims: [2] } }, { outputs: ['y'] }), {
      code: 'feed-shared-memory',
    })
    const view = new Float32Array(4).subarray(0, 2)
    await assert.rejects(session.run({ x: { data: view, dims: [2] } }, { outputs: ['y'] }), {
      code: 'feed-shape',
    })
    const short = { data: new Float32Array(2), dims: [3] }
    await assert.rejects(session.run({ x: short }, { outputs: ['y'] }), { code: 'feed-shape' })
    await session.release()
  })

  test('shapes that the graph refuses are a bug of ours, and the worker goes on', async () => {
    const session = await runtime.open(sumGraph())
    await assert.rejects(session.run({ x: numbers(1, 2, 3) }, { outputs: ['y'] }), {
      code: 'inference-failed',
    })
    assert.deepEqual(
      (await session.run({ x: numbers(1, 2) }, { outputs: ['y'] })).y!.data,
      Float32Array.from([11, 22]),
    )
    await session.release()
  })

  test('a caller that gave up while waiting costs no run', async () => {
    const session = await runtime.open(sumGraph())
    const gaveUp = AbortSignal.abort()
    await assert.rejects(session.run({ x: numbers(1, 2) }, { outputs: ['y'], signal: gaveUp }), {
      name: 'AbortError',
    })
    await session.release()
  })

  test('the event loop turns while a run computes', async () => {
    const session = await runtime.open(slowGraph(15))
    let turns = 0
    let isDone = false
    const matrix = { data: new Float32Array(1_500 * 1_500), dims: [1_500, 1_500] }
    const run = session.run({ x: matrix }, { outputs: ['y'] }).then(() => {
      isDone = true
    })
    while (!isDone && turns < 50) {
      turns++
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(isDone, false)
    await run
    await session.release()
  })
})

test('a stuck run is given up with an error that says to retry, and its thread is replaced', async () => {
  await withRuntime({ threads: 1, runLimitMs: 1_500 }, async (runtime) => {
    // A busy machine may take longer than that to open what is small.
    const slow = await patiently(() => runtime.open(slowGraph(60)))
    const sum = await patiently(() => runtime.open(sumGraph()))
    const matrix = { data: new Float32Array(1_500 * 1_500).fill(1e-4), dims: [1_500, 1_500] }
    await assert.rejects(slow.run({ x: matrix }, { outputs: ['y'] }), {
      code: 'inference-stuck',
      name: 'UnavailableError',
    })
    // The new thread opens the session again by itself, while the old one still computes.
    const { y } = await patiently(() => sum.run({ x: numbers(1, 2) }, { outputs: ['y'] }))
    assert.deepEqual(y!.data, Float32Array.from([11, 22]))
  })
})

/** Tries again what is given up, as the error says. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const endMs = performance.now() + PATIENCE_MS; ; ) {
    try {
      return await work()
    } catch (error) {
      const isStuck = error instanceof UnavailableError && error.code === 'inference-stuck'
      if (!isStuck || performance.now() > endMs) throw error
      await sleep(error.retryAfterMs)
    }
  }
}

test('a provider that we do not know is refused: the native library would compute on the CPU', async () => {
  const options = { provider: 'rocm' } as unknown as OnnxRuntimeOptions
  await assert.rejects(openOnnxRuntime(options), { code: 'provider-unknown', message: /cpu, webgpu, cuda/ })
})

test('a precision that the provider does not compute in is refused', async () => {
  await assert.rejects(openOnnxRuntime({ precision: 'int8' }), { code: 'precision-unsupported' })
  await assert.rejects(openOnnxRuntime({ precision: 'fp16' }), { code: 'precision-unsupported' })
})

test('a closed runtime refuses runs', async () => {
  const runtime = await openOnnxRuntime({ threads: 1 })
  const session = await runtime.open(sumGraph())
  await runtime.close()
  await runtime.close()
  await assert.rejects(session.run({ x: numbers(1, 2) }, { outputs: ['y'] }), { code: 'runtime-closed' })
})

test('closing lets the run under way end, and refuses those that wait', async () => {
  const runtime = await openOnnxRuntime({ threads: 1 })
  const [slow, sum] = [await runtime.open(slowGraph(2)), await runtime.open(sumGraph())]
  const matrix = { data: new Float32Array(1_500 * 1_500), dims: [1_500, 1_500] }
  const running = slow.run({ x: matrix }, { outputs: ['y'] })
  const waiting = assert.rejects(sum.run({ x: numbers(1, 2) }, { outputs: ['y'] }), {
    code: 'runtime-closed',
  })
  // The run reaches its thread in this turn of the event loop or the next.
  await new Promise((resolve) => setImmediate(resolve))
  await runtime.close()
  assert.deepEqual((await running).y!.dims, [1_500, 1_500])
  await waiting
})
