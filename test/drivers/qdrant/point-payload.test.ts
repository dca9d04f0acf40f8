import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  fromServerPayload,
  fromServerPoint,
  toServerPayload,
  toTime,
} from '../../../src/drivers/qdrant/point-payload.ts'
import type { Point, PointPayload } from '../../../src/vectors/vector-store.ts'
import { A, idOf, pointOf, stubOf, unit } from '../../vectors/points.ts'

/** JSON gives back plain objects. */
const PLAIN = { noNullPrototype: true }
const timeMs = fc.option(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }))
const payloads = fc.record(
  {
    userId: fc.string({ minLength: 1 }),
    tenantId: fc.string({ minLength: 1 }),
    segment: fc.option(fc.string()),
    lastEventAtMs: timeMs,
    asOfDay: fc.constant('2026-11-24'),
    inputHash: fc.string(),
    model: fc.string(),
    expiresAtMs: timeMs,
  },
  PLAIN,
) as fc.Arbitrary<PointPayload>
const counters = fc.record({ epoch: fc.maxSafeNat(), write: fc.maxSafeNat() }, PLAIN)

test('a payload comes back from its JSON as it was, with version and time', () => {
  fc.assert(
    fc.property(payloads, counters, fc.integer({ min: 0, max: 4e12 }), (payload, version, writtenAtMs) => {
      const vectors = new Map([[A, Float32Array.from(unit(0))]])
      const point: Point = { kind: 'vectors', id: idOf('u'), payload, vectors }
      const json = JSON.stringify(toServerPayload(point, version, writtenAtMs))
      assert.deepEqual(fromServerPoint(point.id, JSON.parse(json), vectors), { version, writtenAtMs, point })
    }),
    { seed: 20261124 },
  )
})

test('what a recommendation service finds in a payload is named and written as documented', () => {
  const point = pointOf('u1', { [A]: unit(0) }, { segment: 'gold' })
  assert.deepEqual(toServerPayload(point, { epoch: 7, write: 3 }, 1_700_000_123_000), {
    user_id: 'u1',
    tenant_id: 'default',
    epoch: 7,
    write: 3,
    written_at: '2023-11-14T22:15:23.000Z',
    segment: 'gold',
    last_event_at: '2023-11-14T22:13:20.000Z',
    as_of_day: '2026-11-24',
    input_hash: 'hash of u1',
    model: 'tiny',
    expires_at: '2027-01-15T08:00:00.000Z',
  })
})

test('a stub says that it is one, and nothing of what the user did', () => {
  const payload = toServerPayload(stubOf('u1'), { epoch: 7, write: 3 }, 0)
  assert.deepEqual(Object.keys(payload).sort(), [
    'epoch',
    'stub',
    'tenant_id',
    'user_id',
    'write',
    'written_at',
  ])
  const stored = fromServerPoint(idOf('u1'), payload, new Map())
  assert.deepEqual(stored?.point, stubOf('u1'))
  assert.equal(fromServerPayload(payload), null)
})

test('a point that somebody else wrote is none of ours', () => {
  for (const payload of [
    null,
    undefined,
    {},
    { user_id: 'u' },
    { user_id: 'u', tenant_id: 't', epoch: '1', write: 2 },
  ]) {
    assert.equal(fromServerPoint(idOf('u'), payload, new Map()), null)
    assert.equal(fromServerPayload(payload), null)
  }
})

test('a bound between two milliseconds keeps its meaning, and one beyond all years is the last of them', () => {
  assert.equal(toTime(15.5), '1970-01-01T00:00:00.016Z')
  assert.equal(toTime(16), '1970-01-01T00:00:00.016Z')
  assert.equal(toTime(Number.MAX_SAFE_INTEGER), '9999-12-31T23:59:59.999Z')
  assert.equal(toTime(Number.NEGATIVE_INFINITY), '0001-01-01T00:00:00.000Z')
})
