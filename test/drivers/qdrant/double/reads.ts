/** Retrieve, scroll and count. */

import type { Collection, StoredPoint } from './collection.ts'
import { type Judged, passes, sameId } from './filter.ts'
import type { Filter } from './filter-schema.ts'
import { valuesAt } from './payload-path.ts'
import type { RetrieveBody, ScrollBody } from './point-schemas.ts'
import type { Parts, Payload, PayloadSelector, PointId } from './request-schemas.ts'
import { shortest } from './vectors.ts'

const LIMIT_DEFAULT = 10

export interface PointRecord {
  id: PointId
  payload?: Payload
  vector?: Record<string, number[]>
}

export function asJudged(point: StoredPoint): Judged {
  return { id: point.id, payload: point.payload, hasVector: (name) => point.vectors.has(name) }
}

/** Absent ids are absent from the answer; payload and vectors come when they are asked for. */
export function retrieve(collection: Collection, { ids, ...parts }: RetrieveBody): PointRecord[] {
  const found = new Set(ids.map(sameId))
  return [...found].flatMap((id) => {
    const point = collection.points.get(id)
    return point === undefined ? [] : [recordOf(collection, point, parts, false)]
  })
}

/** By id, numbers before UUIDs; `offset` is the first id of the page. */
export function scroll(
  collection: Collection,
  { offset, limit, filter, ...parts }: ScrollBody,
): { points: PointRecord[]; next_page_offset: PointId | null } {
  const from = offset == null ? null : sameId(offset)
  const after = inOrder(collection, filter ?? null).filter(
    ({ id }) => from === null || compareIds(id, from) >= 0,
  )
  const size = limit ?? LIMIT_DEFAULT
  return {
    points: after.slice(0, size).map((point) => recordOf(collection, point, parts, true)),
    next_page_offset: after[size]?.id ?? null,
  }
}

export function selected(collection: Collection, filter: Filter | null): StoredPoint[] {
  const points = [...collection.points.values()]
  return filter === null ? points : points.filter((point) => passes(asJudged(point), filter))
}

/** Numbers before UUIDs, each ascending. */
export function inOrder(collection: Collection, filter: Filter | null): StoredPoint[] {
  return selected(collection, filter).sort((a, b) => compareIds(a.id, b.id))
}

function compareIds(a: PointId, b: PointId): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

export function recordOf(
  collection: Collection,
  { id, payload, vectors }: StoredPoint,
  { with_payload: withPayload, with_vector: withVector }: Parts,
  payloadDefault: boolean,
): PointRecord {
  const record: PointRecord = { id }
  const selector = withPayload ?? payloadDefault
  if (selector !== false) record.payload = selectedPayload(payload, selector)
  if (withVector === undefined || withVector === false) return record
  const names = withVector === true ? [...vectors.keys()] : withVector
  for (const name of names) collection.vector(name)
  const kept = names.flatMap((name) => {
    const vector = vectors.get(name)
    return vector === undefined ? [] : [[name, Array.from(vector, shortest)] as const]
  })
  record.vector = Object.fromEntries(kept)
  return record
}

function selectedPayload(payload: Payload, selector: PayloadSelector): Payload {
  if (typeof selector === 'boolean') return payload
  const included = Array.isArray(selector) ? selector : 'include' in selector ? selector.include : null
  const chosen = (key: string): boolean =>
    included !== null ? included.includes(key) : !(selector as { exclude: string[] }).exclude.includes(key)
  for (const key of included ?? []) valuesAt(payload, key)
  return Object.fromEntries(Object.entries(payload).filter(([key]) => chosen(key)))
}
