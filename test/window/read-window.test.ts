import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TextModality } from '../../src/events/behavior-event.ts'
import { applyEvent, applyTabular, emptyState } from '../../src/window/apply.ts'
import { DAY_MS } from '../../src/window/day.ts'
import { expiresAtMs, oldestExpiryDay, readWindow, windowDigest } from '../../src/window/read-window.ts'
import { stateBytes } from '../../src/window/state-size.ts'
import { caps, records, search, stateOf, TENANT, USER } from './arbitraries.ts'

const SLOTS: Record<TextModality, number> = { paybill: 5, miniprogram: 5, spm: 5, app: 5, search: 2 }

function stateWithSearches(...timesMs: number[]) {
  const state = emptyState(TENANT, USER)
  for (const [i, timeMs] of timesMs.entries())
    applyEvent(state, search(`e${i}`, timeMs), { ...SLOTS, search: 9 })
  return state
}

test('a window starts at midnight UTC of its day less the horizon, to the millisecond', () => {
  const state = stateWithSearches(7 * DAY_MS - 1, 7 * DAY_MS)
  const read = readWindow(state, { asOfDay: 10, horizonDays: 3, slots: SLOTS })
  assert.deepEqual(
    read.events.search.map((event) => event.eventTimeMs),
    [7 * DAY_MS],
  )
  const whole = readWindow(state, { asOfDay: 10_000, horizonDays: null, slots: SLOTS })
  assert.equal(whole.events.search.length, 2)
})

test('a window holds the newest events that its slots admit', () => {
  const state = stateWithSearches(1, 2, 3)
  const read = readWindow(state, { asOfDay: 0, horizonDays: null, slots: SLOTS })
  assert.deepEqual(
    read.events.search.map((event) => event.eventTimeMs),
    [2, 3],
  )
  assert.equal(read.lastEventMs, 3)
})

test('a snapshot stays as it was when the state moves on', () => {
  const state = stateWithSearches(1)
  const read = readWindow(state, { asOfDay: 0, horizonDays: null, slots: SLOTS })
  const digest = windowDigest(read)
  applyEvent(state, search('later', 2), SLOTS)
  assert.equal(windowDigest(read), digest)
})

test('the expiry day is the first on which the reading shrinks', () => {
  const days = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(
      days,
      fc.integer({ min: 0, max: 35 }),
      fc.integer({ min: 0, max: 36 }).map((quarters) => quarters / 4),
      (eventDays, asOfDay, horizonDays) => {
        const state = stateWithSearches(...eventDays.map((day) => day * DAY_MS + 5))
        const countOn = (day: number) =>
          readWindow(state, { asOfDay: day, horizonDays, slots: SLOTS }).events.search.length
        const expiry = oldestExpiryDay(state, { asOfDay, horizonDays, slots: SLOTS })
        const shrinksOn = Array.from({ length: 50 }, (_, i) => asOfDay + 1 + i).find(
          (day) => countOn(day) < countOn(asOfDay),
        )
        assert.equal(expiry, shrinksOn ?? null)
      },
    ),
    { seed: 20261126, numRuns: 400 },
  )
})

test('a window is empty at the moment it says, and not a day before', () => {
  const state = stateWithSearches(3 * DAY_MS + 17)
  const read = readWindow(state, { asOfDay: 3, horizonDays: 2, slots: SLOTS })
  const atMs = expiresAtMs(read, 2)
  assert.equal(atMs, 6 * DAY_MS)
  assert.equal(readWindow(state, { asOfDay: 5, horizonDays: 2, slots: SLOTS }).events.search.length, 1)
  assert.equal(readWindow(state, { asOfDay: 6, horizonDays: 2, slots: SLOTS }).events.search.length, 0)
  assert.equal(expiresAtMs(read, null), null)
})

test('equal snapshots have one digest, and anything that is said changes it', () => {
  fc.assert(
    fc.property(records, records, caps, (given, others, limits) => {
      const reading = { asOfDay: 0, horizonDays: null, slots: limits }
      const a = readWindow(stateOf(given, limits), reading)
      const b = readWindow(stateOf(others, limits), reading)
      const saidOf = (snapshot: typeof a) => structuredClone([snapshot.events, snapshot.tabular])
      const isEqual = (() => {
        try {
          assert.deepEqual(saidOf(a), saidOf(b))
          return true
        } catch {
          return false
        }
      })()
      assert.equal(windowDigest(a) === windowDigest(b), isEqual)
      assert.equal(windowDigest(structuredClone(a)), windowDigest(a))
    }),
    { seed: 20261127, numRuns: 500 },
  )
})

test('the digest does not depend on the order in which features or fields were set', () => {
  const reading = { asOfDay: 0, horizonDays: null, slots: SLOTS }
  const digestOf = (numeric: Record<string, number>) => {
    const state = emptyState(TENANT, USER)
    applyTabular(state, { offset: 1, asOfMs: 1, snapshot: { featureSet: 'f@1', numeric, categorical: {} } })
    return windowDigest(readWindow(state, reading))
  }
  assert.equal(digestOf({ a: 1, b: 2 }), digestOf({ b: 2, a: 1 }))
  assert.notEqual(digestOf({ a: 1, b: 2 }), digestOf({ a: 2, b: 1 }))
})

test('the digest of a known snapshot is a known string, so that no release changes it unseen', () => {
  const state = stateWithSearches(1_700_000_000_000)
  const read = readWindow(state, { asOfDay: 19_675, horizonDays: 90, slots: SLOTS })
  // sha256 of: 'paybill 0\nminiprogram 0\nspm 0\napp 0\nsearch 1\n["/shop","e0",1700000000000] ["hotel"]\ntabular null\n'
  assert.equal(windowDigest(read), '9dd79d28d56cd57754631b6ab5d16bb5ccc9a0f77420c13467132558499f3150')
})

test('the size of a state grows with what it holds', () => {
  const one = stateBytes(stateWithSearches(1))
  const three = stateBytes(stateWithSearches(1, 2, 3))
  assert.ok(one > 1_000 && three > one + 300 && three < one + 1_000, `${one} and ${three} bytes`)
})
