/** The arithmetic of a stored vector: what it is turned into when written, compared with, and read back as. */

import type { VectorParams } from './collection-schemas.ts'

/** float32's step at 1, below which a squared length counts as none. */
const EPSILON = 2 ** -23
/** Of the squared length: so close to 1 nothing is divided. */
const UNIT_TOLERANCE = 1e-6

/** What a vector is stored as: of length 1 under Cosine, and rounded to the datatype. */
export function stored(values: ArrayLike<number>, { distance, datatype }: VectorParams): Float32Array {
  const vector = prepared(Float32Array.from(values), distance)
  if (datatype === 'float16') for (let i = 0; i < vector.length; i++) vector[i] = roundedToHalf(vector[i]!)
  return vector
}

/** What a stored or asked vector is compared as. */
export function prepared(vector: Float32Array, distance: VectorParams['distance']): Float32Array {
  if (distance !== 'Cosine') return vector
  let squares = 0
  for (const value of vector) squares = Math.fround(squares + Math.fround(value * value))
  if (squares < EPSILON || Math.abs(squares - 1) <= UNIT_TOLERANCE) return vector
  const length = Math.fround(Math.sqrt(squares))
  return vector.map((value) => value / length)
}

/** Dot product: with vectors of length 1 it is the cosine. Summed in float64 and rounded once. */
export function similarity(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return Math.fround(sum)
}

/** @returns a float32 as a server prints it: the shortest decimal that reads back as the same float32 */
export function shortest(value: number): number {
  if (!Number.isFinite(value)) return value
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}

/** The nearest binary16, ties to even; beyond its range it is infinity. */
function roundedToHalf(value: number): number {
  const size = Math.abs(value)
  if (!Number.isFinite(value) || size === 0) return value
  if (size >= 65_520) return Math.sign(value) * Number.POSITIVE_INFINITY
  // Steps are 2^(exponent - 10); below 2^-14 they are all 2^-24.
  const step = 2 ** (Math.max(Math.floor(Math.log2(size)), -14) - 10)
  const steps = value / step
  const floor = Math.floor(steps)
  const rest = steps - floor
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0)
  return (up ? floor + 1 : floor) * step
}
