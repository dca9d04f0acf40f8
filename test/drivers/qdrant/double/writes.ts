/** Upserts and deletions of points, with the fence, as a real server applies them. */

import type { Collection } from './collection.ts'
import { passes, sameId } from './filter.ts'
import type { Filter } from './filter-schema.ts'
import type { DeleteBody, UpsertBody, UpsertColumns } from './point-schemas.ts'
import { asJudged } from './reads.ts'
import { Refusal } from './refusal.ts'
import type { Payload, PointId } from './request-schemas.ts'
import { stored } from './vectors.ts'

/** A point as it is given; over gRPC its numbers may be no numbers at all. */
export interface GivenPoint {
  id: PointId
  vectors: Map<string, ArrayLike<number>>
  payload: Payload
}

export interface Upsert {
  points: GivenPoint[]
  filter: Filter | null
  mode: 'upsert' | 'insert_only' | 'update_only'
}

export function upsertOf(body: UpsertBody): Upsert {
  const points = 'batch' in body ? fromColumns(body.batch) : body.points.map(fromRow)
  return { points, filter: body.update_filter ?? null, mode: body.update_mode ?? 'upsert' }
}

type Row = Extract<UpsertBody, { points: unknown }>['points'][number]

function fromRow({ id, vector, payload }: Row): GivenPoint {
  return { id: sameId(id), vectors: namedVectors(vector), payload: payload ?? {} }
}

function namedVectors(vector: Row['vector']): Map<string, ArrayLike<number>> {
  return new Map(Array.isArray(vector) ? [['', vector]] : Object.entries(vector))
}

function fromColumns({ ids, vectors, payloads }: UpsertColumns['batch']): GivenPoint[] {
  const columns = Array.isArray(vectors) ? { '': vectors } : vectors
  const lengths = [...Object.values(columns), ...(payloads == null ? [] : [payloads])].map((c) => c.length)
  if (lengths.some((length) => length !== ids.length))
    throw new Refusal(
      'invalid',
      `JSON body: [batch: number of ids and vectors must be equal (${ids.length})]`,
    )
  return ids.map((id, i) => ({
    id: sameId(id),
    vectors: new Map(Object.entries(columns).map(([name, column]) => [name, column[i]!])),
    payload: payloads?.[i] ?? {},
  }))
}

/**
 * Sizes are checked first: one wrong one fails the request, and nothing of it is stored. An unknown vector name is
 * found on the way: a server has then stored some of the points, we those before it.
 */
export function upsert(
  collection: Collection,
  wait: boolean,
  { points, filter, mode }: Upsert,
): { operation_id: number; status: string } {
  if (points.length === 0) throw new Refusal('bad-request', 'Empty update request')
  for (const point of points) checkSizes(collection, point)
  return collection.write(wait, (operation) => {
    // Of an id listed twice only the last counts; all are judged by what stood before the request.
    const byId = new Map(points.map((point) => [point.id, point]))
    const allowed = [...byId.values()].filter(({ id }) => {
      const existing = collection.points.get(id)
      if (existing === undefined) return mode !== 'update_only'
      if (mode === 'insert_only') return false
      return filter === null || passes(asJudged(existing), filter)
    })
    for (const { id, vectors, payload } of allowed) {
      const kept = [...vectors].map(
        ([name, values]) => [name, stored(values, collection.vector(name))] as const,
      )
      collection.points.set(id, { id, payload, vectors: new Map(kept), version: operation })
    }
  })
}

/** Sizes are checked even for a write that nobody waits for; an unknown name isn't. */
function checkSizes(collection: Collection, { vectors }: GivenPoint): void {
  for (const [name, values] of vectors) {
    if (values.length === 0)
      throw new Refusal('invalid', 'JSON body: [vector: dense vector must not be empty]')
    const size = collection.vectors.get(name)?.size
    if (size !== undefined && size !== values.length)
      throw new Refusal(
        'bad-input',
        `Vector dimension error: expected dim: ${size}, got ${values.length} for vector '${name}'`,
      )
  }
}

/** An empty filter is passed by every point. */
export function deletePoints(
  collection: Collection,
  wait: boolean,
  body: DeleteBody,
): { operation_id: number; status: string } {
  return collection.write(wait, () => {
    const ids =
      'points' in body
        ? body.points.map(sameId)
        : [...collection.points.values()]
            .filter((point) => passes(asJudged(point), body.filter))
            .map(({ id }) => id)
    for (const id of ids) collection.points.delete(id)
  })
}
