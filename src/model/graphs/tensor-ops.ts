/** The operators our graphs are written with, each in the form that the provider runs. */

import { type FileRange, float, MICROSOFT, OnnxGraph } from '../onnx-graph.ts'
import type { Dimension, ElementType } from '../onnx-writer.ts'

/** `fused` uses operators that only the CPU and CUDA builds have; `portable` runs on WebGPU without falling back. */
export interface GraphForm {
  kind: 'fused' | 'portable'
  /** Arithmetic; stored weights of another type are cast when the session opens. */
  compute: 'f32' | 'f16'
}

/** Where a weight lies, by its name inside the model's part (`layers.0.mlp.up_proj.weight`). */
export type WeightLocation = (name: string) => FileRange

/** Masks add this times the distance beyond the visible range: enough for exp() to give an exact zero. */
const MASK_SLOPE = -1e30

export class TensorOps {
  readonly graph = new OnnxGraph()
  readonly form: GraphForm

  constructor(form: GraphForm) {
    this.form = form
  }

  /** A float32 input of the run, in the arithmetic's type from here on. */
  input(name: string, dims: readonly Dimension[]): string {
    return this.#computed(this.graph.input(name, 'f32', dims), 'f32')
  }

  /** Float32 whatever the arithmetic; only `mask` takes them. */
  coordinates(name: string, dims: readonly Dimension[]): string {
    return this.graph.input(name, 'f32', dims)
  }

  indices(name: string, dims: readonly Dimension[]): string {
    return this.graph.input(name, 'i32', dims)
  }

  /** A shape or a list of sizes that only the run knows. */
  sizes(name: string, count: number): string {
    return this.graph.input(name, 'i64', [count])
  }

  output(name: string, value: string, dims: readonly Dimension[]): void {
    const wide = this.form.compute === 'f32' ? value : this.graph.node('Cast', [value], { to: 1 })
    this.graph.output(name, wide, 'f32', dims)
  }

  weight(location: WeightLocation, name: string): string {
    const range = location(name)
    return this.#computed(this.graph.mapped(`${range.path}:${name}`, range), range.type)
  }

  /** Rows of a stored table; cast after the look-up where the provider can, so that a 16-bit table stays as it is. */
  embed(location: WeightLocation, name: string, indices: string): string {
    const range = location(name)
    if (this.form.kind === 'portable') return this.rows(this.weight(location, name), indices)
    return this.#computed(this.rows(this.graph.mapped(`${range.path}:${name}`, range), indices), range.type)
  }

  /** @returns x [n, in] · weight [out, in]ᵀ + bias [out] */
  linear(x: string, weight: string, bias?: string): string {
    return this.graph.node('Gemm', bias === undefined ? [x, weight] : [x, weight, bias], { transB: 1 })
  }

  /** @returns y [n, out] + shrunk [n, rank] · up [rank, out] */
  addLowRank(y: string, shrunk: string, up: string): string {
    return this.graph.node('Gemm', [shrunk, up, y])
  }

  matMul(a: string, b: string): string {
    return this.graph.node('MatMul', [a, b])
  }

  /**
   * @param rank number of dimensions of a and of b
   * @returns a [..., m, k] · b [..., n, k]ᵀ · scale; batch dimensions equal
   */
  scores(rank: number, a: string, b: string, scale: number): string {
    if (this.form.kind === 'fused') {
      return this.graph.node('FusedMatMul', [a, b], { transB: 1, alpha: float(scale) }, MICROSOFT)
    }
    const batch = Array.from({ length: rank - 2 }, (_, axis) => axis)
    const turned = this.graph.node('Transpose', [b], { perm: [...batch, rank - 1, rank - 2] })
    return this.matMul(this.multiply(a, this.constant(scale)), turned)
  }

  /**
   * 0 where col <= row, -1e30 or less (float16: -Infinity) elsewhere; broadcasts.
   *
   * @param row, col from `coordinates`: whole numbers beyond 2,048 are not exact in float16
   */
  mask(row: string, col: string): string {
    const beyond = this.relu(this.graph.node('Sub', [col, row]))
    return this.#computed(this.multiply(beyond, this.graph.floats([MASK_SLOPE])), 'f32')
  }

  add(a: string, b: string): string {
    return this.graph.node('Add', [a, b])
  }

  multiply(a: string, b: string): string {
    return this.graph.node('Mul', [a, b])
  }

  softmax(x: string): string {
    return this.graph.node('Softmax', [x], { axis: -1 })
  }

  relu(x: string): string {
    return this.graph.node('Relu', [x])
  }

  silu(x: string): string {
    if (this.form.kind === 'fused') return this.graph.node('QuickGelu', [x], { alpha: float(1) }, MICROSOFT)
    return this.graph.node('Mul', [x, this.graph.node('Sigmoid', [x])])
  }

  /** With erf, not the tanh approximation. */
  gelu(x: string): string {
    return this.graph.node('Gelu', [x])
  }

  rmsNorm(x: string, weight: string, epsilon: number): string {
    return this.graph.node('RMSNormalization', [x, weight], { axis: -1, epsilon: float(epsilon) })
  }

  layerNorm(x: string, weight: string, bias: string, epsilon: number): string {
    return this.graph.node('LayerNormalization', [x, weight, bias], { axis: -1, epsilon: float(epsilon) })
  }

  /** @returns rows of x by index: x [n, width], indices [...] -> [..., width] */
  rows(x: string, indices: string): string {
    return this.graph.node('Gather', [x, indices], { axis: 0 })
  }

  concat(values: readonly string[], axis: number): string {
    return values.length === 1 ? values[0]! : this.graph.node('Concat', values, { axis })
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.graph.node('Reshape', [x, this.graph.ints(dims)])
  }

  reshapeTo(x: string, sizes: string): string {
    return this.graph.node('Reshape', [x, sizes])
  }

  /** Turns the pairs (i, i + headSize/2) of each head. x [n, heads * headSize] -> [n * heads, headSize] */
  rotate(x: string, cos: string, sin: string, heads: number, headSize: number): string {
    const row = this.reshape(x, [1, -1, heads * headSize])
    const turned = this.graph.node('RotaryEmbedding', [row, cos, sin], { num_heads: heads })
    return this.reshape(turned, [-1, headSize])
  }

  constant(value: number): string {
    return this.#computed(this.graph.floats([value]), 'f32')
  }

  #computed(value: string, type: ElementType): string {
    if (type === this.form.compute) return value
    return this.graph.node('Cast', [value], { to: this.form.compute === 'f32' ? 1 : 10 })
  }
}
