/** Alive, ready, degraded, on a clock of the test's own. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { UnavailableError } from '../../src/errors.ts'
import { Health, type HealthChange } from '../../src/observability/health.ts'
import {
  consumed,
  owner,
  refreshed,
  restoring,
  type UnavailableMessage,
  unavailable,
} from '../../src/pipeline/channels.ts'
import { TestClock } from './test-clock.ts'

let clock: TestClock
let health: Health
let changes: string[]

function fail(what: UnavailableMessage['what'], retryAfterMs = 1_000): void {
  unavailable.publish({ what, error: new UnavailableError('disk-full', 'x', { retryAfterMs }), attempt: 1 })
}

function refresh(users: number, stubs: number, outcome: 'acknowledged' | 'unknown'): void {
  refreshed.publish({ target: 'main/m', users, stubs, outcome, freshnessMs: [], embedMs: 1, upsertMs: 1 })
}

describe('health', () => {
  beforeEach(() => {
    clock = new TestClock()
    changes = []
    const changed = (change: HealthChange) => {
      const how = change.kind === 'recovered' && !change.isHeard ? ' unheard' : ''
      changes.push(`${change.what} ${change.kind}${how}`)
    }
    health = new Health({ clock, changed })
  })

  afterEach(() => health.close())

  test('an outage degrades, keeps the process alive, and is told once however often it repeats', () => {
    for (let i = 0; i < 5; i++) fail('vectors')
    assert.deepEqual(health.degraded, ['vectors: disk-full'])
    assert.deepEqual(health.live(), { live: true, why: null })
    assert.deepEqual(changes, ['vectors degraded'])
  })

  test('vectors are back with the next acknowledgement, the model only if something was embedded', () => {
    fail('vectors')
    fail('model')
    refresh(2, 0, 'unknown')
    assert.equal(health.degraded.length, 2, 'an unknown outcome proves nothing')
    refresh(2, 2, 'acknowledged')
    assert.deepEqual(health.degraded, ['model: disk-full'], 'stubs are written without the model')
    refresh(2, 1, 'acknowledged')
    assert.deepEqual(health.degraded, [])
    assert.deepEqual(changes, ['vectors degraded', 'model degraded', 'vectors recovered', 'model recovered'])
  })

  test('the source is back with the next batch of records', () => {
    fail('source')
    consumed.publish({ topic: 't', partition: 0, outcomes: new Map(), deadLetters: new Map() })
    assert.deepEqual(health.degraded, [])
  })

  test('what gives no sign of life is back when nobody has complained for a minute, or for two pauses', () => {
    fail('state')
    fail('dead-letters', 50_000)
    clock.advance(59_000)
    health.beat()
    assert.equal(health.degraded.length, 2)
    clock.advance(1_000)
    health.beat()
    assert.deepEqual(changes.slice(2), ['state recovered unheard'])
    clock.advance(40_000)
    health.beat()
    assert.deepEqual(health.degraded, [])
    fail('state')
    assert.deepEqual(health.degraded, ['state: disk-full'], 'and it may go away again')
  })

  test('a loop that has not turned for half a minute, or a pipeline that failed, is not alive', () => {
    clock.advance(30_000)
    assert.equal(health.live().live, true)
    clock.advance(1)
    assert.match(health.live().why!, /event loop/)
    health.beat()
    assert.equal(health.live().live, true)
    health.failed(new UnavailableError('fenced', 'of user ada'))
    health.failed(new Error('what came of it'))
    assert.deepEqual(health.live(), { live: false, why: 'the pipeline has stopped: fenced' })
  })

  test('what everybody may read names codes and classes, never a message', () => {
    unavailable.publish({ what: 'model', error: new TypeError('user ada is odd'), attempt: 1 })
    assert.deepEqual(health.degraded, ['model: TypeError, see the log'])
    health.failed(new RangeError('user ada is odd'))
    assert.match(health.live().why!, /^the pipeline has stopped: RangeError, see the log$/)
  })

  test('a take-over is a stage, not an illness', () => {
    owner.publish({ stage: 'taking', epoch: 0, generation: 1, partitions: [], restoring: [] })
    assert.deepEqual([health.stage, health.live().live, health.degraded], ['taking', true, []])
  })

  test('partitions that are assigned anew say that the source is back; what changes under one assignment does not', () => {
    const of = { epoch: 1, partitions: [0], restoring: [] }
    owner.publish({ ...of, generation: 4, stage: 'owner' })
    fail('source')
    owner.publish({ ...of, generation: 4, stage: 'owner' })
    owner.publish({ ...of, generation: 5, stage: 'idle', partitions: [] })
    assert.equal(health.degraded.length, 1)
    owner.publish({ ...of, generation: 6, stage: 'owner' })
    assert.deepEqual(health.degraded, [])
  })

  test('a restore is told by partition, from the assignment on until the right to write', () => {
    const assigned = { epoch: 0, generation: 7, partitions: [] }
    owner.publish({ ...assigned, stage: 'taking', restoring: [1, 2] })
    const waits = { partition: 2, records: 0, left: null }
    assert.deepEqual(health.restoring, [{ partition: 1, records: 0, left: null }, waits])
    restoring.publish({ partition: 1, records: 10, left: 90 })
    restoring.publish({ partition: 1, records: 60, left: 40 })
    assert.deepEqual(health.restoring, [{ partition: 1, records: 60, left: 40 }, waits])
    // The stage changes, the assignment doesn't: what was read was read.
    owner.publish({ ...assigned, stage: 'owner', partitions: [0], restoring: [1, 2] })
    assert.deepEqual(health.restoring, [{ partition: 1, records: 60, left: 40 }, waits])
    // Another assignment begins anew.
    owner.publish({ ...assigned, generation: 8, stage: 'owner', partitions: [0], restoring: [2] })
    assert.deepEqual(health.restoring, [waits])
    restoring.publish({ partition: 2, records: 5, left: 0 })
    owner.publish({ ...assigned, generation: 8, stage: 'owner', partitions: [0, 2], restoring: [] })
    assert.deepEqual(health.restoring, [])
  })
})
