/** The inference runtime on ONNX Runtime: worker threads behind the model's TensorRuntime. */

import { availableParallelism } from 'node:os'
import { BugError, ConfigError, invariant } from '../../errors.ts'
import type { Precision, Provider } from '../../model/embedding-model.ts'
import { OnnxGraph } from '../../model/onnx-graph.ts'
import type {
  RunOptions,
  SessionSource,
  TensorRuntime,
  TensorSession,
  Tensors,
} from '../../model/tensor-session.ts'
import { OnnxLane } from './onnx-lane.ts'
import type { HeldTensors, SessionRecipe } from './onnx-messages.ts'
import { checkProvider, openingError } from './provider-check.ts'

export interface OnnxRuntimeOptions {
  provider?: Provider
  precision?: Precision
  /** Threads that compute inside one run; `auto`: one per core that this process may use, over all workers. */
  threads?: number | 'auto'
  /**
   * Worker threads, each with its own sessions; webgpu allows one. For models below a second a run, n workers of one thread
   * embed 20 % more users than one worker of n threads, and a single user waits longer.
   */
  workers?: number
  /** `portable` on a provider that doesn't need it: how its graphs are tested without a GPU. */
  graphs?: 'fused' | 'portable'
  /** Milliseconds after which a run is given up. */
  runLimitMs?: number
  /** Of cuda. */
  deviceId?: number
}

/** A run of 4,096 positions of a 0.5B model takes about 30 s on two cores; ten times that is stuck. */
const RUN_LIMIT_MS = 300_000

/** Two threads that open webgpu sessions at once end the process with a segmentation fault. */
let webgpuIsHeld = false
let sessionCount = 0

/**
 * Starts the workers and proves that the provider can be had.
 *
 * @throws {ConfigError} `provider-unknown`, `provider-unavailable`, `precision-unsupported`, `webgpu-held`
 */
export async function openOnnxRuntime(options: OnnxRuntimeOptions = {}): Promise<TensorRuntime> {
  const { provider = 'cpu', precision = 'fp32' } = options
  checkProvider(provider, precision)
  if (provider === 'webgpu') {
    if (webgpuIsHeld || (options.workers ?? 1) > 1) {
      throw new ConfigError(
        'webgpu-held',
        'expected one worker with webgpu sessions in a process, got a second: close the first model, or use one worker',
      )
    }
    webgpuIsHeld = true
  }
  const runtime = new OnnxRuntime(options)
  try {
    await runtime.probe()
    return runtime
  } catch (error) {
    await runtime.close()
    throw error
  }
}

class OnnxRuntime implements TensorRuntime {
  readonly provider: Provider
  readonly precision: Precision
  readonly form: TensorRuntime['form']
  readonly workers: number
  readonly #lanes: OnnxLane[]
  readonly #idle: OnnxLane[]
  readonly #waiting: ((lane: OnnxLane) => void)[] = []
  #isClosed = false

  constructor(options: OnnxRuntimeOptions) {
    const { provider = 'cpu', precision = 'fp32', workers = 1, threads = 'auto' } = options
    this.provider = provider
    this.precision = precision
    this.workers = workers
    this.form = {
      kind: options.graphs ?? (provider === 'webgpu' ? 'portable' : 'fused'),
      compute: precision === 'fp16' ? 'f16' : 'f32',
    }
    const settings = {
      provider,
      deviceId: options.deviceId ?? 0,
      threads: threads === 'auto' ? Math.max(1, Math.floor(availableParallelism() / workers)) : threads,
    }
    this.#lanes = Array.from(
      { length: workers },
      () => new OnnxLane(settings, options.runLimitMs ?? RUN_LIMIT_MS),
    )
    this.#idle = [...this.#lanes]
  }

  async probe(): Promise<void> {
    const graph = new OnnxGraph()
    const x = graph.input('x', 'f32', [1])
    graph.output('y', graph.node('Add', [x, x]), 'f32', [1])
    const session = await this.open({
      graph: graph.finish(),
      directory: process.cwd(),
      held: {},
      prepack: false,
    })
    await session.release()
  }

  async open({ graph, directory, held, prepack }: SessionSource): Promise<TensorSession> {
    const shared = new SharedArrayBuffer(graph.length)
    new Uint8Array(shared).set(graph)
    const id = `session-${sessionCount++}`
    const recipe = { id, graph: shared, directory, held: sharedTensors(held), prepack }
    // One worker opens it now, so that what is wrong is known now; the others when they first run it.
    const reply = await this.#onLane((lane) => lane.send({ kind: 'open', recipe }))
    if (reply.kind === 'failed')
      throw openingError(this.provider, reply.stage === 'load' ? 'load' : 'open', reply.message)
    invariant(reply.kind === 'opened', `a worker answered open with ${reply.kind}`)
    return new OnnxSession(this, recipe, reply.inputNames)
  }

  /** Runs `use` on the next idle lane; callers are served in the order of their calls. */
  async #onLane<T>(use: (lane: OnnxLane) => Promise<T>): Promise<T> {
    this.#checkOpen()
    const lane = this.#idle.pop() ?? (await new Promise<OnnxLane>((resolve) => this.#waiting.push(resolve)))
    try {
      this.#checkOpen()
      return await use(lane)
    } finally {
      const next = this.#waiting.shift()
      if (next) next(lane)
      else this.#idle.push(lane)
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new BugError('runtime-closed', 'a run was asked of a runtime that was closed')
  }

  async run(recipe: SessionRecipe, feeds: Tensors, options: RunOptions): Promise<Tensors> {
    return await this.#onLane(async (lane) => {
      // Whoever gave up while waiting must not cost a run.
      options.signal?.throwIfAborted()
      const transfer = Object.values(feeds).map(({ data }) => data.buffer)
      const task = { kind: 'run', recipe, feeds, outputs: options.outputs } as const
      const reply = await lane.send(task, transfer)
      if (reply.kind === 'failed') {
        if (reply.stage !== 'run') throw openingError(this.provider, reply.stage, reply.message)
        throw new BugError('inference-failed', `expected a run to end, got "${reply.message}": report it`)
      }
      invariant(reply.kind === 'outputs', `a worker answered run with ${reply.kind}`)
      return reply.outputs
    })
  }

  async release(id: string): Promise<void> {
    if (this.#isClosed) return
    await Promise.all(this.#lanes.map((lane) => lane.send({ kind: 'release', id })))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await Promise.all(this.#lanes.map((lane) => lane.close()))
    if (this.provider === 'webgpu') webgpuIsHeld = false
  }
}

class OnnxSession implements TensorSession {
  readonly #runtime: OnnxRuntime
  readonly #recipe: SessionRecipe
  /** Inputs that a run must feed: those that aren't held. */
  readonly #fed: ReadonlySet<string>

  constructor(runtime: OnnxRuntime, recipe: SessionRecipe, inputNames: readonly string[]) {
    this.#runtime = runtime
    this.#recipe = recipe
    const held = new Set(recipe.held.index.map(({ name }) => name))
    const inputs = new Set(inputNames)
    this.#fed = inputs.difference(held)
    checkKeys(held.difference(inputs), new Set(), 'held tensors')
  }

  async run(feeds: Tensors, options: RunOptions): Promise<Tensors> {
    const given = new Set(Object.keys(feeds))
    checkKeys(given.difference(this.#fed), this.#fed.difference(given), 'feeds')
    for (const [name, { data, dims }] of Object.entries(feeds)) checkTensor(name, data, dims)
    return await this.#runtime.run(this.#recipe, feeds, options)
  }

  async release(): Promise<void> {
    await this.#runtime.release(this.#recipe.id)
  }
}

/** The native library drops what it doesn't know without a word: a misspelt key would be a wrong vector. */
function checkKeys(extra: ReadonlySet<string>, missing: ReadonlySet<string>, what: string): void {
  if (extra.size === 0 && missing.size === 0) return
  throw new BugError(
    'feed-keys',
    `expected ${what} to be the graph's inputs, got ${[...extra].join(', ') || 'none'} too many and ${[...missing].join(', ') || 'none'} missing: report it`,
  )
}

function checkTensor(name: string, data: Tensors[string]['data'], dims: readonly number[]): void {
  if ((data.buffer as ArrayBufferLike) instanceof SharedArrayBuffer) {
    throw new BugError(
      'feed-shared-memory',
      `expected memory of its own for ${name}, got a SharedArrayBuffer: copy it before the run`,
    )
  }
  const count = dims.reduce((product, size) => product * size, 1)
  if (count !== data.length || data.byteLength !== data.buffer.byteLength) {
    throw new BugError(
      'feed-shape',
      `expected ${count} numbers in a buffer of their own for ${name} [${dims}], got ${data.length} of ${data.buffer.byteLength} bytes: report it`,
    )
  }
}

function sharedTensors(tensors: Tensors): HeldTensors {
  const entries = Object.entries(tensors)
  const sizeBytes = entries.reduce((sum, [, { data }]) => sum + data.byteLength, 0)
  const buffer = new SharedArrayBuffer(sizeBytes)
  const index: HeldTensors['index'][number][] = []
  let offsetBytes = 0
  for (const [name, { data, dims }] of entries) {
    invariant(data instanceof Float32Array, `held tensor ${name} is not float32`)
    new Float32Array(buffer, offsetBytes, data.length).set(data)
    index.push({ name, offsetBytes, dims })
    offsetBytes += data.byteLength
  }
  return { buffer, index }
}
