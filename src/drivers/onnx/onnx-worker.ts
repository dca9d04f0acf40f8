/** Runs ONNX sessions on a thread of its own: the native call blocks whatever thread makes it. */

import { createRequire } from 'node:module'
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { move, transferableSymbol, valueSymbol, workerData } from 'piscina'
import type { Tensor, Tensors } from '../../model/tensor-session.ts'
import type { HeldTensors, SessionRecipe, WorkerReply, WorkerSettings, WorkerTask } from './onnx-messages.ts'

type Ort = typeof import('onnxruntime-node')

interface OpenSession {
  session: InferenceSession
  held: Record<string, OrtTensor>
}

const settings = workerData as WorkerSettings
const sessions = new Map<string, OpenSession>()
let loaded: Ort | null = null

/** Only errors: warnings about shapes that change between runs are normal for us. */
const LOG_SEVERITY_ERROR = 3

/** Piscina calls this once per task, one at a time. */
export default async function handle(task: WorkerTask): Promise<WorkerReply> {
  if (task.kind === 'release') {
    await sessions.get(task.id)?.session.release()
    sessions.delete(task.id)
    return { kind: 'released' }
  }
  let stage: 'load' | 'open' | 'run' = 'load'
  try {
    const ort = load()
    stage = 'open'
    const open = sessions.get(task.recipe.id) ?? (await openSession(ort, task.recipe))
    if (task.kind === 'open') return { kind: 'opened', inputNames: open.session.inputNames }
    stage = 'run'
    return await run(ort, open, task.feeds, task.outputs)
  } catch (error) {
    return { kind: 'failed', stage, message: error instanceof Error ? error.message : String(error) }
  }
}

/** Lazily and by require, so that a missing native library is a reply and not the death of the thread. */
function load(): Ort {
  loaded ??= createRequire(import.meta.url)('onnxruntime-node') as Ort
  return loaded
}

async function openSession(ort: Ort, recipe: SessionRecipe): Promise<OpenSession> {
  // A model's bytes must not lie in shared memory any more than a tensor's may.
  const graph = new Uint8Array(recipe.graph).slice()
  const { provider, deviceId } = settings
  const session = await ort.InferenceSession.create(graph, {
    executionProviders: [provider === 'cuda' ? { name: 'cuda', deviceId } : provider],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    logSeverityLevel: LOG_SEVERITY_ERROR,
    extra: {
      session: {
        model_external_initializers_file_folder_path: recipe.directory,
        // A waiting thread that spins takes the core from its neighbours: 1.6 times the CPU under contention.
        intra_op: { allow_spinning: '0' },
        disable_prepacking: recipe.prepack ? '0' : '1',
        disable_cpu_ep_fallback: provider === 'cpu' ? '0' : '1',
      },
    },
  })
  const open = { session, held: heldTensors(ort, recipe.held) }
  sessions.set(recipe.id, open)
  return open
}

function heldTensors(ort: Ort, { buffer, index }: HeldTensors): Record<string, OrtTensor> {
  const held: Record<string, OrtTensor> = {}
  for (const { name, offsetBytes, dims } of index) {
    const count = dims.reduce((product, size) => product * size, 1)
    // The runtime refuses shared memory: copy once.
    const values = new Float32Array(buffer, offsetBytes, count).slice()
    held[name] = new ort.Tensor('float32', values, dims)
  }
  return held
}

async function run(
  ort: Ort,
  { session, held }: OpenSession,
  feeds: Tensors,
  wanted: readonly string[],
): Promise<WorkerReply> {
  const fed: Record<string, OrtTensor> = { ...held }
  for (const [name, tensor] of Object.entries(feeds)) fed[name] = ortTensor(ort, tensor)
  const results = await session.run(fed, wanted)
  const outputs: Tensors = {}
  for (const name of wanted) {
    const result = results[name]!
    // The library may reuse or free its own memory: what leaves the thread is ours.
    outputs[name] = { data: (result.data as Float32Array).slice(), dims: result.dims }
    result.dispose()
  }
  return moved({ kind: 'outputs', outputs })
}

function ortTensor(ort: Ort, { data, dims }: Tensor): OrtTensor {
  if (data instanceof Float32Array) return new ort.Tensor('float32', data, dims)
  if (data instanceof Int32Array) return new ort.Tensor('int32', data, dims)
  return new ort.Tensor('int64', data, dims)
}

/** Hands the outputs' memory over instead of copying it. */
function moved(reply: Extract<WorkerReply, { kind: 'outputs' }>): WorkerReply {
  const wrapper = {
    [transferableSymbol]: Object.values(reply.outputs).map(({ data }) => data.buffer),
    [valueSymbol]: reply,
  }
  return move(wrapper as unknown as Parameters<typeof move>[0]) as unknown as WorkerReply
}
