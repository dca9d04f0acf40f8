import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BugError } from '../../src/errors.ts'
import type { UserId } from '../../src/events/ids.ts'
import { emptyState } from '../../src/window/apply.ts'
import { joinStates } from '../../src/window/join.ts'
import type { UserState } from '../../src/window/user-state.ts'
import { byTheRules, caps, records, stateOf, TENANT, USER, written } from './arbitraries.ts'

const RUNS = { seed: 20261125, numRuns: 1_000 }

const drawn = fc.tuple(records, written)

test('the join is associative', () => {
  fc.assert(
    fc.property(drawn, drawn, drawn, caps, (x, y, z, limits) => {
      const [a, b, c] = [x, y, z].map(([given, own]) => ({ ...stateOf(given, limits), ...own })) as [
        UserState,
        UserState,
        UserState,
      ]
      assert.deepEqual(
        joinStates(joinStates(a, b, limits), c, limits),
        joinStates(a, joinStates(b, c, limits), limits),
      )
    }),
    RUNS,
  )
})

test('the join is commutative and idempotent, and an empty state is its neutral element', () => {
  fc.assert(
    fc.property(drawn, drawn, caps, (x, y, limits) => {
      const a = { ...stateOf(x[0], limits), ...x[1] }
      const b = { ...stateOf(y[0], limits), ...y[1] }
      const joined = joinStates(a, b, limits)
      assert.deepEqual(joined, joinStates(b, a, limits))
      assert.deepEqual(joinStates(joined, a, limits), joined)
      assert.deepEqual(joinStates(joined, joined, limits), joined)
      assert.deepEqual(joinStates({ ...a, epoch: 1 }, emptyState(TENANT, USER), limits), { ...a, epoch: 1 })
    }),
    RUNS,
  )
})

test('records split over several states, joined, give the state of one who read them all', () => {
  const split = fc.tuple(fc.array(records, { minLength: 1, maxLength: 4 }), caps)
  fc.assert(
    fc.property(split, ([parts, limits]) => {
      const joined = parts
        .map((part) => stateOf(part, limits))
        .reduce((a, b) => joinStates(a, b, limits), emptyState(TENANT, USER))
      const { windows, tombstoneMs, tabular } = joined
      assert.deepEqual({ windows, tombstoneMs, tabular }, byTheRules(parts.flat(), limits))
    }),
    RUNS,
  )
})

test('what was acknowledged, due and parked is the word of the newest epoch, also where it says nothing', () => {
  const limits = { paybill: 1, miniprogram: 1, spm: 1, app: 1, search: 1 }
  const old = emptyState(TENANT, USER)
  old.epoch = 4
  old.acknowledged.set('main/tiny', { inputHash: 'old', epoch: 4 })
  old.dueMs.set('slow/tiny', 99)
  old.parked = { reason: 'poison', sinceMs: 1 }
  const young = { ...emptyState(TENANT, USER), epoch: 5 }
  const joined = joinStates(old, young, limits)
  assert.equal(joined.acknowledged.size, 0)
  assert.equal(joined.dueMs.size, 0)
  assert.equal(joined.parked, null)
  assert.equal(joined.epoch, 5)
})

test('joining changes neither of the two states', () => {
  fc.assert(
    fc.property(drawn, drawn, caps, (x, y, limits) => {
      const a = { ...stateOf(x[0], limits), ...x[1] }
      const b = { ...stateOf(y[0], limits), ...y[1] }
      const before = structuredClone([a, b])
      const joined = joinStates(a, b, limits)
      joined.acknowledged.set('main/other', { inputHash: 'h', epoch: 9 })
      joined.dueMs.clear()
      for (const window of Object.values(joined.windows)) window.length = 0
      assert.deepEqual([a, b], before)
    }),
    { ...RUNS, numRuns: 200 },
  )
})

test('two users are not joined', () => {
  const limits = { paybill: 1, miniprogram: 1, spm: 1, app: 1, search: 1 }
  const other = emptyState(TENANT, 'u2' as UserId)
  assert.throws(() => joinStates(emptyState(TENANT, USER), other, limits), BugError)
})
