import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { ConfigError } from '../../src/errors.ts'
import { avroType, encodeAvro } from '../../src/events/avro.ts'
import type { BehaviorEvent } from '../../src/events/behavior-event.ts'
import type { EventId } from '../../src/events/ids.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { singleObjectFrame } from '../../src/events/single-object.ts'
import { applyEvent, applyTombstone, emptyState } from '../../src/window/apply.ts'
import { toAvro } from '../../src/window/avro-state.ts'
import { decodeState, encodeState } from '../../src/window/state-codec.ts'
import type { UserState } from '../../src/window/user-state.ts'
import { caps, records, search, stateOf, TENANT, USER, written } from './arbitraries.ts'

/** One event of each modality with every field set, and everything that a state can remember. */
export function fullState(): UserState {
  const state = emptyState(TENANT, USER)
  const limits = { paybill: 5, miniprogram: 5, spm: 5, app: 5, search: 5 }
  const common = { source: '/shop', eventTimeMs: 1_700_000_000_000 }
  const events: BehaviorEvent[] = [
    {
      ...common,
      modality: 'paybill',
      eventId: 'p' as EventId,
      fields: {
        status: 'REFUNDED',
        direction: 'IN',
        amountMinor: -4_503_599_627_370_496,
        currency: 'JPY',
        merchantName: 'Café \u{1f375}',
        category: 'food',
        itemText: 'tea',
        channel: 'AUTO_DEBIT',
        installments: 12,
      },
    },
    {
      ...common,
      modality: 'miniprogram',
      eventId: 'm' as EventId,
      fields: {
        programId: 'rail',
        programName: 'Railway',
        category: 'travel',
        serviceName: 'tickets',
        page: 'buy',
        action: 'SUBMIT',
      },
    },
    {
      ...common,
      modality: 'spm',
      eventId: 's' as EventId,
      fields: { spmA: 'a', spmB: 'b', spmC: 'c', spmD: 'd', pageTitle: 'title', kind: 'LEAVE' },
    },
    {
      ...common,
      modality: 'app',
      eventId: 'a' as EventId,
      fields: { appId: 'maps', appName: 'Maps', category: 'travel', lifecycle: 'BACKGROUND' },
    },
    { ...common, modality: 'search', eventId: 'q' as EventId, fields: { query: 'hotel' } },
  ]
  for (const event of events) applyEvent(state, event, limits)
  applyTombstone(state, 77)
  state.tabular = {
    offset: 12,
    asOfMs: 99,
    snapshot: {
      featureSet: 'visits@3',
      numeric: { visits: 0.1, rate: -1e300 },
      categorical: { tier: 'gold' },
    },
  }
  state.acknowledged.set('main/tiny', { inputHash: 'ab'.repeat(32), epoch: 5 })
  state.dueMs.set('slow/tiny', 1_700_000_100_000)
  state.parked = { reason: 'instruction-control-token', sinceMs: 1_700_000_000_001 }
  state.epoch = 5
  return state
}

test('a state comes back as it was', () => {
  assert.deepEqual(decodeState(encodeState(fullState())), fullState())
  fc.assert(
    fc.property(records, caps, written, (given, limits, own) => {
      const state = { ...stateOf(given, limits), ...own }
      assert.deepEqual(decodeState(encodeState(state)), state)
    }),
    { seed: 20261201, numRuns: 200 },
  )
})

test('what version 1 wrote can be read for ever', () => {
  // Written once by encodeState(fullState()). When schemas/user-state.avsc changes, the old one moves to schemas/history.
  const bytes = readFileSync(new URL('./fixtures/user-state-1.bin', import.meta.url))
  assert.deepEqual(decodeState(bytes), fullState())
})

test('damaged bytes are refused, whichever byte it is, and never taken for another state', () => {
  const bytes = encodeState(fullState())
  assert.throws(() => decodeState(new Uint8Array()), { code: 'state-damaged' })
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = bytes.slice()
      damaged[at]! ^= flip
      try {
        // A few flips in zstd's own header change nothing.
        assert.deepEqual(decodeState(damaged), fullState())
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error))
      }
    }),
    { seed: 20261202, numRuns: 500 },
  )
  for (let length = 0; length < bytes.length; length += 7)
    assert.throws(() => decodeState(bytes.subarray(0, length)), { code: 'state-damaged' })
})

test('a state of a newer version is refused by name', () => {
  const bytes = encodeState(fullState())
  bytes[0] = 9
  assert.throws(() => decodeState(bytes), { code: 'state-newer', name: 'ConfigError' })
})

test('a state of a newer schema is refused by name, too, and not taken for damaged', () => {
  const schema = structuredClone(ownSchema('user-state')) as { fields: object[] }
  schema.fields.push({ name: 'mood', type: 'string', default: '' })
  const type = avroType(schema)
  const value = { ...toAvro(fullState()), mood: 'curious' }
  const bytes = Buffer.concat([
    Buffer.from([1]),
    zstdCompressSync(Buffer.concat([singleObjectFrame(type), encodeAvro(type, value)])),
  ])
  assert.throws(() => decodeState(bytes), { code: 'state-newer', message: /upgrade this freshet/ })
})

test('a state above its limit names the user and the settings to change', () => {
  const state = emptyState(TENANT, USER)
  for (let i = 0; i < 50; i++) state.windows.search.push(search(`e${i}`, i, `${Math.sin(i)}`.repeat(10)))
  assert.throws(
    () => encodeState(state, 300),
    (error: Error) =>
      /user u1 of tenant default/.test(error.message) && /windows\.userBytesMax/.test(error.message),
  )
})
