import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applyEvent, applyTabular, applyTombstone, emptyState } from '../../src/window/apply.ts'
import { byTheRules, caps, records, search, stateOf, TENANT, USER } from './arbitraries.ts'

const CAPS = { paybill: 3, miniprogram: 3, spm: 3, app: 3, search: 3 }
const RUNS = { seed: 20261124, numRuns: 1_500 }

test('records in any order, any number of times, give the state that the rules describe', () => {
  const shuffled = records.chain((given) =>
    fc.tuple(
      fc.constant(given),
      fc.shuffledSubarray([...given, ...given], { minLength: given.length * 2, maxLength: given.length * 2 }),
      caps,
    ),
  )
  fc.assert(
    fc.property(shuffled, ([given, replayed, limits]) => {
      const { windows, tombstoneMs, tabular } = stateOf(replayed, limits)
      assert.deepEqual({ windows, tombstoneMs, tabular }, byTheRules(given, limits))
    }),
    RUNS,
  )
})

test('only an event that is reported as applied changes the state', () => {
  fc.assert(
    fc.property(records, caps, (given, limits) => {
      const state = emptyState(TENANT, USER)
      for (const one of given) {
        if (one.kind === 'tombstone') applyTombstone(state, one.atMs)
        else if (one.kind === 'tabular') applyTabular(state, one.tabular)
        else {
          const before = structuredClone(state.windows)
          const applied = applyEvent(state, one.event, limits)
          if (applied === 'applied') assert.notDeepEqual(state.windows, before)
          else assert.deepEqual(state.windows, before)
        }
      }
    }),
    { ...RUNS, numRuns: 400 },
  )
})

test('what became of an event is said precisely', () => {
  const state = emptyState(TENANT, USER)
  assert.equal(applyEvent(state, search('a', 10), CAPS), 'applied')
  assert.equal(applyEvent(state, search('a', 10), CAPS), 'duplicate')
  assert.equal(applyEvent(state, search('a', 10, 'aardvark'), CAPS), 'superseded')
  assert.equal(applyEvent(state, search('a', 9, 'zebra'), CAPS), 'superseded')
  assert.equal(applyEvent(state, search('a', 10, 'zebra'), CAPS), 'applied')
  assert.equal(applyEvent(state, search('b', 11), CAPS), 'applied')
  assert.equal(applyEvent(state, search('c', 12), CAPS), 'applied')
  assert.equal(applyEvent(state, search('d', 1), CAPS), 'over-cap')
  assert.equal(applyEvent(state, search('d', 13), { ...CAPS, search: 0 }), 'over-cap')
  applyTombstone(state, 20)
  assert.equal(applyEvent(state, search('e', 20), CAPS), 'hidden')
  assert.equal(applyEvent(state, search('e', 21), CAPS), 'applied')
})

test('a name of two sources is two events', () => {
  const state = emptyState(TENANT, USER)
  applyEvent(state, search('a', 10, 'x', '/till'), CAPS)
  applyEvent(state, search('a', 10, 'x', '/shop'), CAPS)
  assert.deepEqual(
    state.windows.search.map((event) => event.source),
    ['/shop', '/till'],
  )
})

test('a tombstone leaves no feature behind, but remembers the offset that it hid', () => {
  const state = emptyState(TENANT, USER)
  applyTabular(state, {
    offset: 7,
    asOfMs: 5,
    snapshot: { featureSet: 'f@1', numeric: { x: 1 }, categorical: {} },
  })
  applyTombstone(state, 5)
  assert.deepEqual(state.tabular, { offset: 7, asOfMs: 5, snapshot: null })
  applyTabular(state, {
    offset: 6,
    asOfMs: 9,
    snapshot: { featureSet: 'f@1', numeric: { x: 2 }, categorical: {} },
  })
  assert.equal(
    state.tabular?.snapshot,
    null,
    'an older offset comes back although a newer record took its place',
  )
})
