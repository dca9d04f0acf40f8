/** What the model needs of an inference runtime: open a graph, keep trained tensors in it, run it. */

import type { Precision, Provider } from './embedding-model.ts'
import type { GraphForm } from './graphs/tensor-ops.ts'

/** The element type follows from the array. */
export interface Tensor {
  data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>
  dims: readonly number[]
}
export type Tensors = Record<string, Tensor>

export interface SessionSource {
  /** Bytes of an ONNX model. */
  graph: Uint8Array
  /** Absolute; the model's mapped weights are files below it. */
  directory: string
  /** Inputs that change with the model's version, not with the run; kept beside the session. */
  held: Tensors
  /**
   * Copy the weights into the layout of the products: 5-8 % less CPU for a private copy in memory. Without it they stay
   * in the page cache, one copy for everybody.
   */
  prepack: boolean
}

export interface RunOptions {
  /** Names of the outputs wanted. */
  outputs: readonly string[]
  signal?: AbortSignal | undefined
}

export interface TensorSession {
  /**
   * Runs the graph. The arrays of `feeds` are moved to the runtime and are empty afterwards.
   *
   * @throws {BugError} `feed-keys`, when feeds and held tensors together aren't exactly the graph's inputs
   * @throws {UnavailableError} `inference-stuck`, when the run was ended by the watchdog; `inference-worker-lost`
   */
  run(feeds: Tensors, options: RunOptions): Promise<Tensors>
  /** Lets the runtime drop the session; runs that have begun end first. */
  release(): Promise<void>
}

export interface TensorRuntime {
  readonly provider: Provider
  readonly precision: Precision
  /** The form in which graphs must be written for this runtime. */
  readonly form: GraphForm
  /** Runs that compute at the same time; more wait. */
  readonly workers: number
  open(source: SessionSource): Promise<TensorSession>
  close(): Promise<void>
}
