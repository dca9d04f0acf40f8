/** What every store of vectors must be sure of before it writes or searches, whatever stands behind it. */

import { BugError, ConfigError, RequestError } from '../errors.ts'
import type { VectorName } from '../instructions/instruction.ts'
import { type CollectionName, K_MAX, type Point, type PointId, type SearchQuery } from './vector-store.ts'

/** What is known of a collection when a request comes. */
export interface CollectionShape {
  name: CollectionName
  dimensions: number
  hasVectorName(name: VectorName): boolean
}

/**
 * Checks a whole request before anything of it is written, and keeps the last of each id.
 *
 * @throws {ConfigError} `vector-name-unknown`, `vector-dimension`
 * @throws {BugError} `vector-not-finite`
 */
export function checkedPoints(shape: CollectionShape, points: readonly Point[]): Point[] {
  const byId = new Map<PointId, Point>()
  for (const point of points) {
    if (point.kind === 'vectors')
      for (const [name, vector] of point.vectors) checkVector(shape, point.id, name, vector)
    byId.set(point.id, point)
  }
  return [...byId.values()]
}

function checkVector(shape: CollectionShape, id: PointId, name: VectorName, vector: Float32Array): void {
  if (!shape.hasVectorName(name))
    throw new ConfigError(
      'vector-name-unknown',
      `expected a vector name of collection ${shape.name}, got ${name}: create it before it is written`,
    )
  if (vector.length !== shape.dimensions)
    throw new ConfigError(
      'vector-dimension',
      `expected vectors of ${shape.dimensions} dimensions in collection ${shape.name}, got ${vector.length} for ${name}: the model is another than the collection's`,
    )
  // A stored NaN or infinity would rank first, without a score, and hide the right answers.
  const at = vector.findIndex((value) => !Number.isFinite(value))
  if (at >= 0)
    throw new BugError(
      'vector-not-finite',
      `expected finite numbers in the vector ${name} of point ${id}, got ${vector[at]} at ${at}: report it, with the model`,
    )
}

/**
 * @throws {RequestError} `search-k`, `search-vector`, `search-vector-name`
 */
export function checkQuery(shape: CollectionShape, { k, vector, vectorName }: SearchQuery): void {
  if (!Number.isInteger(k) || k < 1 || k > K_MAX)
    throw new RequestError('search-k', `expected k from 1 to ${K_MAX}, got ${k}: ask for fewer neighbours`)
  if (vector.length !== shape.dimensions)
    throw new RequestError(
      'search-vector',
      `expected a vector of ${shape.dimensions} dimensions, got ${vector.length}: embed it with the model of ${shape.name}`,
    )
  let squares = 0
  for (const value of vector) squares += value * value
  if (!(squares > 0 && squares < Number.POSITIVE_INFINITY))
    throw new RequestError(
      'search-vector',
      `expected a finite vector with a direction, got norm ${Math.sqrt(squares)}`,
    )
  if (!shape.hasVectorName(vectorName))
    throw new RequestError(
      'search-vector-name',
      `expected a vector name of collection ${shape.name}, got ${vectorName}: look at its instructions`,
      { status: 404 },
    )
}
