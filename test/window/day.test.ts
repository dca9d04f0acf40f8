import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY_MS, dayOf, dayString, isLate, isTooFarAhead } from '../../src/window/day.ts'

test('days are those of UTC, before the epoch too', () => {
  assert.equal(dayOf(0), 0)
  assert.equal(dayOf(DAY_MS - 1), 0)
  assert.equal(dayOf(-1), -1)
  assert.equal(dayString(20_781), '2026-11-24')
  assert.equal(dayOf(Date.UTC(2026, 10, 24, 23, 59, 59, 999)), 20_781)
})

test('an event is late when it was older than the horizon at its append time, and never without a horizon', () => {
  const appendedMs = 100 * DAY_MS + 12_345
  assert.equal(isLate(10 * DAY_MS, appendedMs, 90), false)
  assert.equal(isLate(10 * DAY_MS - 1, appendedMs, 90), true)
  assert.equal(isLate(0, appendedMs, null), false)
})

test('an event may be ahead of its append time by the skew, and no further', () => {
  assert.equal(isTooFarAhead(1_300, 1_000, 300), false)
  assert.equal(isTooFarAhead(1_301, 1_000, 300), true)
})
