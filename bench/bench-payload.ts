/** The payload of a point that a bench writes: alike for all stores, one user in ten of the segment that is filtered by. */

import type { TenantId, UserId } from '../src/events/ids.ts'
import type { ModelId } from '../src/model/embedding-model.ts'
import type { PointPayload } from '../src/vectors/vector-store.ts'

export function benchPayload(user: number): PointPayload {
  return {
    userId: `user-${user}` as UserId,
    tenantId: 'default' as TenantId,
    segment: user % 10 === 0 ? 'gold' : 'other',
    lastEventAtMs: 1_700_000_000_000 + user,
    asOfDay: '2026-11-24',
    inputHash: 'a'.repeat(64),
    model: 'tiny' as ModelId,
    expiresAtMs: null,
  }
}
