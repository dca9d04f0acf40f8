/** What every store of vectors must be sure of before it writes or searches, whatever stands behind it. */

import { BugError, ConfigError, RecordError, RequestError } from '../errors.ts'
import type { VectorName } from '../instructions/instruction.ts'
import {
  type CollectionName,
  type CollectionSpec,
  DEPTH_MAX,
  K_MAX,
  type Point,
  type PointId,
  type RefusedPoint,
  type SearchQuery,
} from './vector-store.ts'

/** Bytes of one payload as JSON: ids have limits of their own, so only a feature that is no segment gets near. Guess. */
export const PAYLOAD_BYTES_MAX = 16_384

/** What is known of a collection when a request comes. */
export interface CollectionShape {
  name: CollectionName
  dimensions: number
  hasVectorName(name: VectorName): boolean
}

/**
 * Checks a whole request before anything of it is written, keeps the last of each id, and sets aside what is too large.
 *
 * @throws {ConfigError} `vector-name-unknown`, `vector-dimension`
 * @throws {BugError} `vector-not-finite`
 */
export function checkedPoints(
  shape: CollectionShape,
  points: readonly Point[],
): { points: Point[]; refused: RefusedPoint[] } {
  const byId = new Map<PointId, Point>()
  for (const point of points) {
    if (point.kind === 'vectors')
      for (const [name, vector] of point.vectors) checkVector(shape, point.id, name, vector)
    byId.set(point.id, point)
  }
  const refused: RefusedPoint[] = []
  for (const point of byId.values()) {
    const sizeBytes = payloadBytes(point)
    if (sizeBytes <= PAYLOAD_BYTES_MAX) continue
    byId.delete(point.id)
    const error = new RecordError(
      'point-too-large',
      `expected a payload of at most ${PAYLOAD_BYTES_MAX} bytes, got ${sizeBytes}: shorten the user's segment`,
    )
    refused.push({ id: point.id, error })
  }
  return { points: [...byId.values()], refused }
}

function payloadBytes(point: Point): number {
  const text = point.kind === 'stub' ? `${point.tenantId}${point.userId}` : JSON.stringify(point.payload)
  return Buffer.byteLength(text)
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

/** @throws {RequestError} `search-k` */
export function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 1 || k > K_MAX)
    throw new RequestError('search-k', `expected k from 1 to ${K_MAX}, got ${k}: ask for fewer neighbours`)
}

/**
 * @throws {RequestError} `search-k`, `search-depth`, `search-vector`, `search-vector-name`
 */
export function checkQuery(shape: CollectionShape, { k, offset = 0, vector, vectorName }: SearchQuery): void {
  checkK(k)
  if (!Number.isInteger(offset) || offset < 0 || offset + k > DEPTH_MAX)
    throw new RequestError(
      'search-depth',
      `expected offset + k of at most ${DEPTH_MAX}, got ${offset} + ${k}: filter, or raise the score threshold`,
    )
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

/** @throws {ConfigError} `collection-mismatch`: vectors of two kinds must not mix */
export function checkSameCollection(existing: CollectionSpec, spec: CollectionSpec): void {
  const fields = Object.keys(spec) as (keyof CollectionSpec)[]
  const different = fields.filter((field) => existing[field] !== spec[field])
  if (different.length === 0) return
  const say = (one: CollectionSpec) => different.map((field) => `${field} ${one[field]}`).join(', ')
  throw new ConfigError(
    'collection-mismatch',
    `expected collection ${spec.name} with ${say(spec)}, got ${say(existing)}: set these back (windows.horizonDays, model.provider, model.precision, model.bundle), or start anew: another data directory, or another vectors.qdrant.prefix`,
  )
}
