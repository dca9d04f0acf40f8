/** A whole point as one row: its payload, and one blob of all its vectors. */

import type { TenantId, UserId } from '../../events/ids.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { Point, PointId, PointPayload, StoredPoint } from '../../vectors/vector-store.ts'

/**
 * One row a point, not one a vector: a point is written and read whole (V1), so this spares a key, a version and a
 * payload per vector. `layout` lists the vector numbers in the blob's order; a stub has none (V2).
 */
export function pointsTable(collection: number): string {
  const table = `points_${collection}`
  return `
    CREATE TABLE ${table} (
      point INTEGER PRIMARY KEY,
      id BLOB NOT NULL UNIQUE,
      epoch INTEGER NOT NULL,
      write INTEGER NOT NULL,
      written_at_ms INTEGER NOT NULL,
      tenant TEXT NOT NULL,
      user TEXT NOT NULL,
      payload TEXT,
      layout TEXT,
      vectors BLOB
    );
    CREATE INDEX stubs_${collection} ON ${table} (written_at_ms) WHERE layout IS NULL;`
}

/** V1: a point is replaced only if its epoch is lower, or equal with `write` not greater, or absent. */
export function upsertSql(collection: number): string {
  const table = `points_${collection}`
  return `
    INSERT INTO ${table} (id, epoch, write, written_at_ms, tenant, user, payload, layout, vectors)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, write = excluded.write,
      written_at_ms = excluded.written_at_ms, tenant = excluded.tenant, user = excluded.user,
      payload = excluded.payload, layout = excluded.layout, vectors = excluded.vectors
    WHERE ${table}.epoch < excluded.epoch
      OR (${table}.epoch = excluded.epoch AND ${table}.write <= excluded.write)`
}

export type PointRow = [
  id: Uint8Array,
  epoch: number,
  write: number,
  writtenAtMs: number,
  tenant: string,
  user: string,
  payload: string | null,
  layout: string | null,
  vectors: Uint8Array | null,
]

export const POINT_COLUMNS = 'id, epoch, write, written_at_ms, tenant, user, payload, layout, vectors'

type NewRow = [
  tenant: string,
  user: string,
  payload: string | null,
  layout: string | null,
  vectors: Uint8Array | null,
]

/** @param numbers of the collection's vector names */
export function toRow(point: Point, numbers: ReadonlyMap<VectorName, number>): NewRow {
  if (point.kind === 'stub') return [point.tenantId, point.userId, null, null, null]
  const { payload, vectors } = point
  const layout = [...vectors.keys()].map((name) => numbers.get(name)!)
  return [
    payload.tenantId,
    payload.userId,
    JSON.stringify(payload),
    JSON.stringify(layout),
    concatenate([...vectors.values()]),
  ]
}

/**
 * @param names of the collection, by number; a vector whose name was dropped is not read
 * @param wanted only these vectors; undefined: all
 */
export function fromRow(
  row: PointRow,
  names: ReadonlyMap<number, VectorName>,
  wanted: ReadonlySet<VectorName> | undefined,
): StoredPoint {
  const [idBytes, epoch, write, writtenAtMs, tenant, user, payload, layout, blob] = row
  const id = pointIdOf(idBytes)
  const version = { epoch, write }
  if (payload === null || layout === null || blob === null) {
    const point = { kind: 'stub', id, userId: user as UserId, tenantId: tenant as TenantId } as const
    return { version, writtenAtMs, point }
  }
  const vectors = new Map<VectorName, Float32Array>()
  const numbers = JSON.parse(layout) as number[]
  for (const [place, number] of numbers.entries()) {
    const name = names.get(number)
    if (name !== undefined && wanted?.has(name) !== false)
      vectors.set(name, vectorAt(blob, place, numbers.length))
  }
  const point = { kind: 'vectors', id, payload: JSON.parse(payload) as PointPayload, vectors } as const
  return { version, writtenAtMs, point }
}

/** @returns a copy of the place-th of `count` equally long vectors */
function vectorAt(blob: Uint8Array, place: number, count: number): Float32Array {
  const size = blob.length / count
  const vector = new Float32Array(size / Float32Array.BYTES_PER_ELEMENT)
  new Uint8Array(vector.buffer).set(blob.subarray(place * size, (place + 1) * size))
  return vector
}

export function idBytes(id: PointId): Uint8Array {
  return Buffer.from(id.replaceAll('-', ''), 'hex')
}

export function pointIdOf(bytes: Uint8Array): PointId {
  const hex = Buffer.from(bytes).toString('hex')
  const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
  return groups.join('-') as PointId
}

/** Little-endian, as every platform that Node runs on has it. */
function concatenate(vectors: readonly Float32Array[]): Uint8Array {
  const bytes = new Uint8Array(vectors.reduce((size, vector) => size + vector.byteLength, 0))
  let at = 0
  for (const vector of vectors) {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), at)
    at += vector.byteLength
  }
  return bytes
}
