/** Points for bench/qdrant.ts: vectors that lie in clusters, as users do, the same in every run. */

import type { TenantId, UserId } from '../src/events/ids.ts'
import { userKey } from '../src/events/ids.ts'
import { MAIN_GROUP, type VectorName } from '../src/instructions/instruction.ts'
import type { ModelId } from '../src/model/embedding-model.ts'
import { collectionName, pointId } from '../src/vectors/names.ts'
import type { CollectionSpec, Point } from '../src/vectors/vector-store.ts'

const TENANT = 'default' as TenantId
const CLUSTERS = 200
/** Length of what sets users of a cluster apart, against 1 of what they share. */
const SPREAD = 0.7

/** A linear congruence is random enough for places, and the same in every run. */
let drawn = 20_261_124
function draw(): number {
  drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) >>> 0
  return drawn / 2 ** 32
}

/** Of norm 1, in a direction that is as likely as any other. */
function direction(dimensions: number): Float32Array {
  // The sum of four draws is near enough to a normal one.
  const values = Float32Array.from({ length: dimensions }, () => draw() + draw() + draw() + draw() - 2)
  return toUnit(values)
}

function toUnit(values: Float32Array): Float32Array {
  const scale = 1 / Math.hypot(...values)
  return values.map((x) => x * scale)
}

export function vectorNames(count: number): VectorName[] {
  return Array.from({ length: count }, (_, i) => `instruction-${i}@0000000${i}` as VectorName)
}

export function points(count: number, names: readonly VectorName[], dimensions: number): Point[] {
  const centres = Array.from({ length: CLUSTERS }, () => direction(dimensions))
  return Array.from({ length: count }, (_, i): Point => {
    const userId = `user-${i}` as UserId
    const vector = () => {
      const centre = centres[Math.floor(draw() * CLUSTERS)]!
      const own = direction(dimensions)
      return toUnit(centre.map((x, at) => x + SPREAD * own[at]!))
    }
    return {
      kind: 'vectors',
      id: pointId(userKey(TENANT, userId)),
      payload: {
        userId,
        tenantId: TENANT,
        segment: i % 10 === 0 ? 'gold' : 'other',
        lastEventAtMs: 1_700_000_000_000 + i,
        asOfDay: '2026-11-24',
        inputHash: 'a'.repeat(64),
        model: 'tiny' as ModelId,
        expiresAtMs: null,
      },
      vectors: new Map(names.map((name) => [name, vector()])),
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
