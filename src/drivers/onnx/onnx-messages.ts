/** What the runtime and its worker threads say to each other. */

import type { Tensors } from '../../model/tensor-session.ts'

/** How a session is made; plain data, so that a worker that was replaced can make it again. */
export interface SessionRecipe {
  id: string
  /** A SharedArrayBuffer: it crosses to the worker without a copy, once per run. */
  graph: SharedArrayBuffer
  directory: string
  held: HeldTensors
  prepack: boolean
}

/** Tensors in one shared buffer; the worker copies them out once per session. */
export interface HeldTensors {
  buffer: SharedArrayBuffer
  index: readonly { name: string; offsetBytes: number; dims: readonly number[] }[]
}

export interface WorkerSettings {
  provider: 'cpu' | 'webgpu' | 'cuda'
  deviceId: number
  threads: number
}

export type WorkerTask =
  | { kind: 'open'; recipe: SessionRecipe }
  | { kind: 'run'; recipe: SessionRecipe; feeds: Tensors; outputs: readonly string[] }
  | { kind: 'release'; id: string }

/** Errors of the native library come as text: the class is decided where the provider is known. */
export type WorkerReply =
  | { kind: 'opened'; inputNames: readonly string[] }
  | { kind: 'outputs'; outputs: Tensors }
  | { kind: 'released' }
  | { kind: 'failed'; stage: 'load' | 'open' | 'run'; message: string }
