/** What is asked of the server as filters; every key here has a payload index, so that strict mode holds. */

import type { Schemas } from '@qdrant/js-client-rest'
import { invariant } from '../../errors.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { PointId, SearchFilter, WriteVersion } from '../../vectors/vector-store.ts'
import { toTime } from './point-payload.ts'

type Filter = Schemas['Filter']
type Condition = Schemas['Condition']

/** @returns undefined: nothing is left out */
export function searchFilter(
  filter: SearchFilter = {},
  exclude: readonly PointId[] = [],
): Filter | undefined {
  const must: Condition[] = []
  const { tenantId, segment, lastEventSinceMs, lastEventBeforeMs } = filter
  if (tenantId !== undefined) must.push({ key: 'tenant_id', match: { value: tenantId } })
  if (segment !== undefined) must.push({ key: 'segment', match: { value: segment } })
  if (lastEventSinceMs !== undefined || lastEventBeforeMs !== undefined)
    must.push({
      key: 'last_event_at',
      range: {
        ...(lastEventSinceMs === undefined ? {} : { gte: toTime(lastEventSinceMs) }),
        ...(lastEventBeforeMs === undefined ? {} : { lt: toTime(lastEventBeforeMs) }),
      },
    })
  if (must.length === 0 && exclude.length === 0) return undefined
  return {
    ...(must.length === 0 ? {} : { must }),
    ...(exclude.length === 0 ? {} : { must_not: [{ has_id: [...exclude] }] }),
  }
}

export function stubFilter(): Filter {
  return { must: [{ key: 'stub', match: { value: true } }] }
}

/** Points that have vectors, but not this one. @param vectorName null: no point has it */
export function lackingFilter(vectorName: VectorName | null): Filter {
  const stub = { key: 'stub', match: { value: true } }
  return { must_not: [stub, ...(vectorName === null ? [] : [{ has_vector: vectorName }])] }
}

/** Points of the version or a newer one. */
export function sinceFilter({ epoch, write }: WriteVersion): Filter {
  const sameEpoch = [
    { key: 'epoch', range: { gte: epoch, lte: epoch } },
    { key: 'write', range: { gte: write } },
  ]
  return { should: [{ key: 'epoch', range: { gt: epoch } }, { must: sameEpoch }] }
}

/** Stubs written before the time (V3). */
export function oldStubFilter(writtenBeforeMs: number): Filter {
  return {
    must: [
      { key: 'stub', match: { value: true } },
      { key: 'written_at', range: { lt: toTime(writtenBeforeMs) } },
    ],
  }
}

/**
 * A filter to delete by: an empty one deletes every point, and is answered with `completed`.
 *
 * @throws {BugError} `invariant`
 */
export function toDeleteBy(filter: Filter): Filter {
  const must = filter.must ?? []
  invariant(
    Array.isArray(must) && must.length > 0,
    'expected a filter with a condition to delete by, got none',
  )
  return filter
}
