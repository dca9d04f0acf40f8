/** A point's payload on the server, there and back; recommendation services that query the server read it, too. */

import type { TenantId, UserId } from '../../events/ids.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { ModelId } from '../../model/embedding-model.ts'
import type { Point, PointId, PointPayload, StoredPoint, WriteVersion } from '../../vectors/vector-store.ts'

/** Times are RFC 3339, UTC; what is null with us is absent. A stub has the first six only. */
export interface ServerPayload {
  user_id: string
  tenant_id: string
  epoch: number
  write: number
  written_at: string
  stub?: true
  segment?: string
  last_event_at?: string
  as_of_day?: string
  input_hash?: string
  model?: string
  expires_at?: string
}

export function toServerPayload(
  point: Point,
  { epoch, write }: WriteVersion,
  writtenAtMs: number,
): ServerPayload {
  const written = { epoch, write, written_at: toTime(writtenAtMs) }
  if (point.kind === 'stub')
    return { user_id: point.userId, tenant_id: point.tenantId, ...written, stub: true }
  const { userId, tenantId, segment, lastEventAtMs, asOfDay, inputHash, model, expiresAtMs } = point.payload
  return {
    user_id: userId,
    tenant_id: tenantId,
    ...written,
    ...(segment === null ? {} : { segment }),
    ...(lastEventAtMs === null ? {} : { last_event_at: toTime(lastEventAtMs) }),
    as_of_day: asOfDay,
    input_hash: inputHash,
    model,
    ...(expiresAtMs === null ? {} : { expires_at: toTime(expiresAtMs) }),
  }
}

/** @returns null for a payload that isn't one of our points' */
export function fromServerPayload(payload: unknown): PointPayload | null {
  if (!isOurs(payload) || payload.stub === true) return null
  return {
    userId: payload.user_id as UserId,
    tenantId: payload.tenant_id as TenantId,
    segment: payload.segment ?? null,
    lastEventAtMs: fromTime(payload.last_event_at),
    asOfDay: payload.as_of_day ?? '',
    inputHash: payload.input_hash ?? '',
    model: (payload.model ?? '') as ModelId,
    expiresAtMs: fromTime(payload.expires_at),
  }
}

/** @returns null for a point that somebody else wrote */
export function fromServerPoint(
  id: PointId,
  payload: unknown,
  vectors: ReadonlyMap<VectorName, Float32Array>,
): StoredPoint | null {
  if (!isOurs(payload)) return null
  const { epoch, write } = payload
  const stored = { version: { epoch, write }, writtenAtMs: fromTime(payload.written_at) ?? 0 }
  const own = fromServerPayload(payload)
  if (own !== null) return { ...stored, point: { kind: 'vectors', id, payload: own, vectors } }
  const userId = payload.user_id as UserId
  return { ...stored, point: { kind: 'stub', id, userId, tenantId: payload.tenant_id as TenantId } }
}

function isOurs(payload: unknown): payload is ServerPayload {
  if (typeof payload !== 'object' || payload === null) return false
  const { user_id, tenant_id, epoch, write } = payload as Partial<ServerPayload>
  const isVersioned = typeof epoch === 'number' && typeof write === 'number'
  return typeof user_id === 'string' && typeof tenant_id === 'string' && isVersioned
}

/** The years that RFC 3339 knows; no event lies outside, a filter may. */
const TIME_MIN_MS = Date.parse('0001-01-01T00:00:00.000Z')
const TIME_MAX_MS = Date.parse('9999-12-31T23:59:59.999Z')

/** @param ms rounded up where it isn't whole, so that a bound keeps its meaning for whole milliseconds */
export function toTime(ms: number): string {
  return new Date(Math.min(Math.max(Math.ceil(ms), TIME_MIN_MS), TIME_MAX_MS)).toISOString()
}

function fromTime(time: string | undefined): number | null {
  const ms = time === undefined ? Number.NaN : Date.parse(time)
  return Number.isNaN(ms) ? null : ms
}
