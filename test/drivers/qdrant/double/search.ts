/** Nearest points by a vector or by a stored point, exact unless the double is told to be approximate. */

import type { Collection, StoredPoint } from './collection.ts'
import type { CollectionStore } from './collection-store.ts'
import { sameId } from './filter.ts'
import type { QueryBody } from './point-schemas.ts'
import { inOrder, type PointRecord, recordOf, selected } from './reads.ts'
import { Refusal } from './refusal.ts'
import type { PointId } from './request-schemas.ts'
import { prepared, shortest, similarity } from './vectors.ts'

const LIMIT_DEFAULT = 10

export interface ScoredRecord extends PointRecord {
  version: number
  score: number
}

/** Which points a search without `exact` misses. */
export type Misses = (id: PointId) => boolean

export function search(
  store: CollectionStore,
  collection: Collection,
  body: QueryBody,
  misses: Misses,
): { points: ScoredRecord[] } {
  const { limit, offset, score_threshold: threshold } = body
  const parts = { with_payload: body.with_payload, with_vector: body.with_vector ?? false }
  const from = offset ?? 0
  const to = from + (limit ?? LIMIT_DEFAULT)
  const ranked = body.query == null ? unranked(collection, body) : rank(store, collection, body, misses)
  // Only what is above the threshold passes. A score that is no number ranks first and ends what passes the threshold, as it does on a real server.
  const cut = threshold == null ? -1 : ranked.findIndex(({ score }) => !(score > threshold))
  const passing = cut < 0 ? ranked : ranked.slice(0, cut)
  return {
    points: passing.slice(from, to).map(({ point, score }) => ({
      version: point.version,
      score: shortest(score),
      ...recordOf(collection, point, parts, false),
    })),
  }
}

interface Ranked {
  point: StoredPoint
  score: number
}

/** Without a query it is a scroll in which all are alike. */
function unranked(collection: Collection, body: QueryBody): Ranked[] {
  if (body.score_threshold != null)
    throw new Refusal(
      'bad-request',
      "A query is needed to use the score_threshold. Can't have score_threshold without defining a query.",
    )
  return inOrder(collection, body.filter ?? null).map((point) => ({
    point: { ...point, version: 0 },
    score: 1,
  }))
}

function rank(store: CollectionStore, collection: Collection, body: QueryBody, misses: Misses): Ranked[] {
  const name = body.using ?? ''
  const { distance, size } = collection.vector(name)
  const { vector, exclude } = target(store, collection, body)
  if (vector.length !== size)
    throw new Refusal('bad-input', `Vector dimension error: expected dim: ${size}, got ${vector.length}`)
  const query = prepared(vector, distance)
  const exact = body.params?.exact === true
  const ranked: Ranked[] = []
  for (const point of selected(collection, body.filter ?? null)) {
    const against = point.vectors.get(name)
    if (against === undefined || point.id === exclude || (!exact && misses(point.id))) continue
    ranked.push({ point, score: similarity(query, against) })
  }
  const rankOf = (score: number): number => (Number.isNaN(score) ? Number.POSITIVE_INFINITY : score)
  return ranked.sort((a, b) =>
    rankOf(b.score) > rankOf(a.score) ? 1 : rankOf(b.score) < rankOf(a.score) ? -1 : 0,
  )
}

/** A point that is asked by its id is left out of the answer, unless it was looked up elsewhere. */
function target(
  store: CollectionStore,
  collection: Collection,
  { query, using, lookup_from: lookup }: QueryBody,
): { vector: Float32Array; exclude: PointId | null } {
  const given = typeof query === 'object' && query !== null && 'nearest' in query ? query.nearest : query
  if (Array.isArray(given)) return { vector: Float32Array.from(given), exclude: null }
  const id = sameId(given as PointId)
  const where = lookup == null ? collection : store.get(lookup.collection)
  const name = lookup?.vector ?? using ?? ''
  where.vector(name)
  const point = where.points.get(id)
  if (point === undefined) throw new Refusal('not-found', `No point with id ${id} found`)
  const vector = point.vectors.get(name)
  if (vector === undefined) throw new Refusal('not-found', `Vector with name "${name}" for point not found`)
  return { vector, exclude: lookup == null ? id : null }
}
