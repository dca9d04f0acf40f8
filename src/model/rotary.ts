/** The angles of rotary position embedding, fed with each run so that no graph holds a table of all positions. */

import type { Qwen2Config } from './model-configs.ts'
import type { Tensors } from './tensor-session.ts'

/** Cosines and sines by position, computed once in float64 and grown as longer rows come. */
export class RotaryTable {
  readonly #half: number
  readonly #inverse: Float64Array
  #cos = new Float32Array(0)
  #sin = new Float32Array(0)
  #count = 0

  constructor({ headSize, ropeTheta }: Pick<Qwen2Config, 'headSize' | 'ropeTheta'>) {
    this.#half = headSize / 2
    this.#inverse = Float64Array.from({ length: this.#half }, (_, i) => ropeTheta ** (-i / this.#half))
  }

  /** @returns `cos` and `sin`, float32 [positions.length, headSize / 2] */
  feeds(positions: Int32Array): Tensors {
    this.#growTo(positions.reduce((max, position) => Math.max(max, position), 0) + 1)
    const half = this.#half
    const cos = new Float32Array(positions.length * half)
    const sin = new Float32Array(positions.length * half)
    for (const [i, position] of positions.entries()) {
      cos.set(this.#cos.subarray(position * half, (position + 1) * half), i * half)
      sin.set(this.#sin.subarray(position * half, (position + 1) * half), i * half)
    }
    const dims = [positions.length, half]
    return { cos: { data: cos, dims }, sin: { data: sin, dims } }
  }

  #growTo(count: number): void {
    if (count <= this.#count) return
    const size = Math.max(count, 2 * this.#count, 256)
    this.#cos = new Float32Array(size * this.#half)
    this.#sin = new Float32Array(size * this.#half)
    for (let position = 0; position < size; position++) {
      for (let i = 0; i < this.#half; i++) {
        const angle = position * this.#inverse[i]!
        this.#cos[position * this.#half + i] = Math.cos(angle)
        this.#sin[position * this.#half + i] = Math.sin(angle)
      }
    }
    this.#count = size
  }
}
