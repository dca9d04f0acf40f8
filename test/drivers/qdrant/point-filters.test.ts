import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oldStubFilter, searchFilter, toDeleteBy } from '../../../src/drivers/qdrant/point-filters.ts'
import type { TenantId } from '../../../src/events/ids.ts'
import { idOf } from '../../vectors/points.ts'

test('a filter that would delete every point is never sent', () => {
  for (const filter of [{}, { must: [] }, { must_not: [{ has_id: ['x'] }] }, { should: [] }])
    assert.throws(() => toDeleteBy(filter), { code: 'invariant', name: 'BugError' })
  assert.deepEqual(toDeleteBy(oldStubFilter(0)), oldStubFilter(0))
})

test('what is asked for is all conditions at once, and nothing where nothing is asked', () => {
  assert.equal(searchFilter(), undefined)
  assert.equal(searchFilter({}, []), undefined)
  const since = { lastEventSinceMs: 0, lastEventBeforeMs: 1_000 }
  assert.deepEqual(searchFilter({ tenantId: 't' as TenantId, segment: '', ...since }, [idOf('u')]), {
    must: [
      { key: 'tenant_id', match: { value: 't' } },
      { key: 'segment', match: { value: '' } },
      { key: 'last_event_at', range: { gte: '1970-01-01T00:00:00.000Z', lt: '1970-01-01T00:00:01.000Z' } },
    ],
    must_not: [{ has_id: [idOf('u')] }],
  })
  assert.deepEqual(searchFilter({}, [idOf('u')]), { must_not: [{ has_id: [idOf('u')] }] })
})
