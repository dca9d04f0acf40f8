/** Seeded draws: the same name gives the same numbers on every machine, whatever else was drawn before. */

import { createHash } from 'node:crypto'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'

/** One stream of draws. A stream is named by its parts, so that any of millions can be made alone and in any order. */
export class SeededRandom {
  private readonly generator: ReturnType<typeof xoroshiro128plusFromState>

  /** @param name parts of the stream's name, e.g. a seed, a user and a day; `(1, 23)` and `(12, 3)` are different */
  constructor(...name: readonly (string | number)[]) {
    const digest = createHash('sha256').update(JSON.stringify(name)).digest()
    // All four words zero would never leave zero; a hash that gives that won't be seen.
    const state = [0, 4, 8, 12].map((at) => digest.readInt32LE(at))
    this.generator = xoroshiro128plusFromState(state)
  }

  /** @returns a number in [0, 1) */
  uniform(): number {
    return uniformFloat64(this.generator)
  }

  /** @returns an integer from `least` to `most`, both included */
  integer(least: number, most: number): number {
    return uniformInt(this.generator, least, most)
  }

  /** @returns a normal deviate of mean 0 and variance 1 (Box and Muller) */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
  }

  /** @returns an exponential deviate of the mean given */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.uniform())
  }

  /** @returns a Poisson deviate; by counting exponential gaps, so for means of some tens at most */
  poisson(mean: number): number {
    let count = -1
    for (let sum = 0; sum < mean; count++) sum += this.exponential(1)
    return Math.max(0, count)
  }

  /** @returns one of the list, which must not be empty */
  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length - 1)]!
  }

  /** @returns an index, drawn in proportion to the weights, of which at least one is positive */
  weighted(weights: readonly number[]): number {
    let total = 0
    for (const weight of weights) total += weight
    let rest = this.uniform() * total
    let last = 0
    for (const [i, weight] of weights.entries()) {
      if (weight <= 0) continue
      last = i
      rest -= weight
      if (rest < 0) break
    }
    return last
  }
}
