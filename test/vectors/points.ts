/** Points to write, questions to ask, and what an answer must be: float64, one by one, nothing clever. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type TenantId, type UserId, userKey } from '../../src/events/ids.ts'
import type { VectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { Point, PointId, SearchQuery } from '../../src/vectors/vector-store.ts'

export const DIMENSIONS = 6
export const A = 'general@00000000' as VectorName
export const B = 'repay@11111111' as VectorName
export const USERS_MAX = 30

/** Cosines are computed in float32 by the stores and in float64 here: 6 products of numbers up to 1. */
export const TOLERANCE = 1e-6

const coordinate = fc.integer({ min: -2, max: 2 })
const vector = fc
  .array(coordinate, { minLength: DIMENSIONS, maxLength: DIMENSIONS })
  .filter((v) => v.some((x) => x !== 0))
const drawnUser = fc.record({
  vector,
  hasB: fc.boolean(),
  tenant: fc.constantFrom('t1', 't2'),
  segment: fc.constantFrom(null, 'gold', 'silver'),
  lastEventAtMs: fc.constantFrom(null, 10, 20, 30),
})
const filters = fc.record(
  {
    tenantId: fc.constantFrom('t1' as TenantId, 't2' as TenantId),
    segment: fc.constantFrom('gold', 'silver'),
    lastEventSinceMs: fc.constantFrom(10, 15, 15.5, 30),
    lastEventBeforeMs: fc.constantFrom(10, 20, 20.5, 31),
  },
  { requiredKeys: [] },
)
/** Questions about the name `B`. */
export const drawnQueries = fc.record({
  vector,
  k: fc.constantFrom(1, 3, 100),
  offset: fc.constantFrom(0, 0, 1, 4, 40),
  exact: fc.boolean(),
  filter: filters,
  excluded: fc.boolean(),
  scoreThreshold: fc.option(fc.constantFrom(-0.4999, 0.0001, 0.30001), { nil: undefined }),
})

/** Users with and without the name `B`. */
export const drawnUsers = fc.array(drawnUser, { minLength: 1, maxLength: USERS_MAX, size: 'max' })

export function idOf(user: string): PointId {
  return pointId(userKey('default' as TenantId, user as UserId))
}

export function stubOf(user: string): Point {
  return { kind: 'stub', id: idOf(user), userId: user as UserId, tenantId: 'default' as TenantId }
}

export function pointOf(
  user: string,
  vectors: Record<string, readonly number[]>,
  payload: { segment?: string | null; tenant?: string; lastEventAtMs?: number | null } = {},
): Point {
  return {
    kind: 'vectors',
    id: idOf(user),
    payload: {
      userId: user as UserId,
      tenantId: (payload.tenant ?? 'default') as TenantId,
      segment: payload.segment ?? null,
      lastEventAtMs: payload.lastEventAtMs === undefined ? 1_700_000_000_000 : payload.lastEventAtMs,
      asOfDay: '2026-11-24',
      inputHash: `hash of ${user}`,
      model: 'tiny' as ModelId,
      expiresAtMs: 1_800_000_000_000,
    },
    vectors: new Map(Object.entries(vectors).map(([name, values]) => [name as VectorName, vectorOf(values)])),
  }
}

export function unit(axis: number): number[] {
  return Array.from({ length: DIMENSIONS }, (_, i) => (i === axis ? 1 : 0))
}

export function vectorOf(values: readonly number[]): Float32Array {
  return Float32Array.from(values)
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return ab / Math.sqrt(aa * bb)
}

export function assertClose(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) <= TOLERANCE, `expected ${expected}, got ${actual}`)
}

export function bruteForce(points: readonly Point[], query: SearchQuery): { id: PointId; score: number }[] {
  const { filter = {}, exclude = [], scoreThreshold = -2, offset = 0, k } = query
  return points
    .flatMap((point) => {
      const vector = point.kind === 'vectors' ? point.vectors.get(query.vectorName) : undefined
      if (point.kind !== 'vectors' || vector === undefined || exclude.includes(point.id)) return []
      const { tenantId, segment, lastEventAtMs } = point.payload
      if (filter.tenantId !== undefined && filter.tenantId !== tenantId) return []
      if (filter.segment !== undefined && filter.segment !== segment) return []
      const { lastEventSinceMs, lastEventBeforeMs } = filter
      if (lastEventSinceMs !== undefined && (lastEventAtMs === null || lastEventAtMs < lastEventSinceMs))
        return []
      if (lastEventBeforeMs !== undefined && (lastEventAtMs === null || lastEventAtMs >= lastEventBeforeMs))
        return []
      return [{ id: point.id, score: cosine(vector, query.vector) }]
    })
    .filter(({ score }) => score >= scoreThreshold)
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(offset, offset + k)
}
