import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { emptyState } from '../../src/window/apply.ts'
import { apply, byTheRules, type OneRecord, search, stateOf, TENANT, USER } from './arbitraries.ts'

const CAPS = { paybill: 0, miniprogram: 0, spm: 0, app: 0, search: 40 }

/** Enough events for the index to be in use, and enough of one name for it to matter. */
const manyRecords: fc.Arbitrary<OneRecord[]> = fc.array(
  fc.oneof(
    {
      weight: 60,
      arbitrary: fc
        .tuple(
          fc.integer({ min: 0, max: 90 }),
          fc.integer({ min: 0, max: 200 }),
          fc.constantFrom('/shop', '/till'),
        )
        .map(
          ([id, time, source]) =>
            ({ kind: 'event', event: search(`id-${id}`, time, 'hotel', source) }) as const,
        ),
    },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 0, max: 60 }).map((atMs) => ({ kind: 'tombstone', atMs }) as const),
    },
  ),
  { minLength: 150, maxLength: 400, size: 'max' },
)

test('full windows of many events follow the rules as small ones do', () => {
  fc.assert(
    fc.property(manyRecords, (given) => {
      assert.deepEqual(stateOf(given, CAPS).windows, byTheRules(given, CAPS).windows)
    }),
    { seed: 20261129, numRuns: 60 },
  )
})

test('a window that was replaced from outside is noticed', () => {
  fc.assert(
    fc.property(manyRecords, manyRecords, (before, after) => {
      const state = stateOf(before, CAPS)
      const copy = emptyState(TENANT, USER)
      copy.windows = structuredClone(state.windows)
      state.windows = structuredClone(state.windows)
      for (const one of after) {
        apply(state, one, CAPS)
        apply(copy, one, CAPS)
      }
      assert.deepEqual(state.windows, copy.windows)
    }),
    { seed: 20261130, numRuns: 20 },
  )
})
