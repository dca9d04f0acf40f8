/** The last minute in numbers, on a clock of the test's own. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { Recent } from '../../src/observability/recent.ts'
import { consumed, refreshed } from '../../src/pipeline/channels.ts'
import { TestClock } from './test-clock.ts'

const NONE = new Map<string, number>()

let clock: TestClock
let recent: Recent

function read(outcomes: Record<string, number>): void {
  consumed.publish({
    topic: 't',
    partition: 0,
    outcomes: new Map(Object.entries(outcomes)),
    deadLetters: NONE,
  })
}

function acknowledge(
  freshnessMs: readonly number[],
  outcome: 'acknowledged' | 'unknown' = 'acknowledged',
): void {
  const users = freshnessMs.length
  refreshed.publish({ target: 'main/m', users, stubs: 0, outcome, freshnessMs, embedMs: 1, upsertMs: 1 })
}

describe('the last minute', () => {
  beforeEach(() => {
    clock = new TestClock()
    recent = new Recent(clock)
  })

  afterEach(() => recent.close())

  test('events a second are those of the last minute, and totals those since the start', () => {
    read({ applied: 7, late: 2, 'dead-letter': 1 })
    assert.deepEqual(recent.events, { read: 10, perSecond: 10, late: 2, deadLetters: 1 })
    clock.advance(20_000)
    read({ duplicate: 10 })
    assert.equal(recent.events.perSecond, 1, '20 events in 20 s')
    clock.advance(30_000)
    assert.equal(recent.events.perSecond, 20 / 50)
    clock.advance(11_000)
    assert.equal(recent.events.perSecond, 10 / 60, 'the first ten have left the minute')
    clock.advance(60_000)
    assert.deepEqual(recent.events, { read: 20, perSecond: 0, late: 2, deadLetters: 1 })
  })

  test('freshness counts users whose write was acknowledged, within the last minute', () => {
    assert.deepEqual(recent.freshness, { p50: null, p95: null, p99: null })
    acknowledge([5], 'unknown')
    assert.equal(recent.freshness.p50, null)
    acknowledge([1_000])
    clock.advance(61_000)
    assert.equal(recent.freshness.p50, null)
  })

  test('a quantile is within 1 % of the exact one, whatever the times', () => {
    const times = fc.array(fc.integer({ min: 100, max: 10_000_000 }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(times, (freshnessMs) => {
        clock.advance(61_000)
        acknowledge(freshnessMs)
        const sorted = freshnessMs.toSorted((a, b) => a - b)
        for (const [name, share] of [
          ['p50', 0.5],
          ['p95', 0.95],
          ['p99', 0.99],
        ] as const) {
          const exact = sorted[Math.ceil(share * sorted.length) - 1]!
          // Classes grow by 2 %, so their middle is 1 % from their ends; 1 ms is what log(x + 1) adds.
          assert.ok(Math.abs(recent.freshness[name]! - exact) <= exact * 0.01 + 1, `${name} of ${sorted}`)
        }
      }),
      { seed: 20261124 },
    )
  })

  test('a clock that is set back loses nothing', () => {
    read({ applied: 3 })
    clock.advance(-3_000)
    read({ applied: 4 })
    assert.equal(recent.events.perSecond, 7)
  })

  test('after it is closed nothing is counted', () => {
    recent.close()
    read({ applied: 3 })
    assert.equal(recent.events.read, 0)
  })
})
