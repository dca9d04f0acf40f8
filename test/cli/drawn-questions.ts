/** Questions about neighbours, drawn at random: filters that hit some, all or nobody, thresholds, and exact or not. */

import fc from 'fast-check'
import type { TenantId } from '../../src/events/ids.ts'
import type { NearestRequest } from '../../src/server/service.ts'
import { NOW_MS } from './standalone-fixture.ts'

export const HOUR_MS = 3_600_000

const filters = fc.record(
  {
    tenantId: fc.constantFrom('default', 'acme', 'nobody').map((id) => id as TenantId),
    segment: fc.constantFrom('gold', 'silver'),
    lastEventSinceMs: fc.integer({ min: 0, max: 6 }).map((hours) => NOW_MS - hours * HOUR_MS),
    lastEventBeforeMs: fc.integer({ min: -1, max: 6 }).map((hours) => NOW_MS - hours * HOUR_MS),
  },
  { requiredKeys: [] },
)

/** @param from whom or what is searched for */
export function drawnQuestions(from: fc.Arbitrary<NearestRequest['from']>) {
  return fc.record(
    {
      from,
      filter: filters,
      scoreThreshold: fc.double({ min: -0.5, max: 0.9, noNaN: true }),
      exact: fc.boolean(),
    },
    { requiredKeys: ['from'] },
  )
}
