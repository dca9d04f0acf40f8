/** Points for bench/qdrant.ts: vectors of few degrees of freedom and some noise, as embeddings are, the same in every run. */

import { userKey } from '../src/events/ids.ts'
import { MAIN_GROUP, type VectorName } from '../src/instructions/instruction.ts'
import type { ModelId } from '../src/model/embedding-model.ts'
import { collectionName, pointId } from '../src/vectors/names.ts'
import type { CollectionSpec, Point } from '../src/vectors/vector-store.ts'
import { benchPayload } from './bench-payload.ts'

/** Directions of which each vector is a mixture. Independent numbers, the other extreme, have no neighbours worth the name. */
const FACTORS = 32
/** Length of the noise, against 1 of the mixture. */
const NOISE = 0.3

/** A linear congruence is random enough for places, and the same in every run. */
let drawn = 20_261_124
function draw(): number {
  drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) >>> 0
  return drawn / 2 ** 32
}

/** The sum of four draws is near enough to a normal one. */
function normal(): number {
  return draw() + draw() + draw() + draw() - 2
}

/** Of norm 1, in a direction that is as likely as any other. */
function direction(dimensions: number): Float32Array {
  return toUnit(Float32Array.from({ length: dimensions }, normal))
}

function toUnit(values: Float32Array): Float32Array {
  let squares = 0
  for (const x of values) squares += x * x
  const scale = 1 / Math.sqrt(squares)
  return values.map((x) => x * scale)
}

function mixture(factors: readonly Float32Array[], dimensions: number): Float32Array {
  const mixed = new Float32Array(dimensions)
  for (const factor of factors) {
    const weight = normal()
    for (let i = 0; i < dimensions; i++) mixed[i]! += weight * factor[i]!
  }
  const [signal, noise] = [toUnit(mixed), direction(dimensions)]
  return toUnit(signal.map((x, i) => x + NOISE * noise[i]!))
}

export function vectorNames(count: number): VectorName[] {
  return Array.from({ length: count }, (_, i) => `instruction-${i}@0000000${i}` as VectorName)
}

export function points(count: number, names: readonly VectorName[], dimensions: number): Point[] {
  const factors = Array.from({ length: FACTORS }, () => direction(dimensions))
  return Array.from({ length: count }, (_, i): Point => {
    const payload = benchPayload(i)
    return {
      kind: 'vectors',
      id: pointId(userKey(payload.tenantId, payload.userId)),
      payload,
      vectors: new Map(names.map((name) => [name, mixture(factors, dimensions)])),
    }
  })
}

export function specOf(model: string, dimensions: number): CollectionSpec {
  return {
    name: collectionName(MAIN_GROUP, model as ModelId),
    group: MAIN_GROUP,
    model: 'tiny' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions,
    horizonDays: 90,
  }
}
