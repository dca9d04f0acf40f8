/** Small worlds of one user's records: few names, few times, so that every kind of collision is drawn often. */

import fc from 'fast-check'
import type { BehaviorEvent, TextModality } from '../../src/events/behavior-event.ts'
import type { EventId, TenantId, UserId } from '../../src/events/ids.ts'
import { applyEvent, applyTabular, applyTombstone, emptyState } from '../../src/window/apply.ts'
import type { TabularState, UserState, WindowCaps } from '../../src/window/user-state.ts'

export const TENANT = 'default' as TenantId
export const USER = 'u1' as UserId

export type OneRecord =
  | { kind: 'event'; event: BehaviorEvent }
  | { kind: 'tabular'; tabular: TabularState }
  | { kind: 'tombstone'; atMs: number }

/** Ids whose order in UTF-16 units and in bytes differs are among them. */
const ids = fc.constantFrom('a', 'b', 'ab', 'é', '\uff5e', '\u{1f600}') as fc.Arbitrary<string>
const sources = fc.constantFrom('/shop', '/till')
const times = fc.integer({ min: 0, max: 12 })
const words = fc.constantFrom('hotel', 'train', '\u{1f689}', '')

export function search(
  eventId: string,
  eventTimeMs: number,
  query = 'hotel',
  source = '/shop',
): BehaviorEvent {
  return { modality: 'search', source, eventId: eventId as EventId, eventTimeMs, fields: { query } }
}

const searches: fc.Arbitrary<BehaviorEvent> = fc
  .tuple(ids, times, words, sources)
  .map(([id, time, query, source]) => search(id, time, query, source))

const apps: fc.Arbitrary<BehaviorEvent> = fc
  .tuple(ids, times, fc.option(words), sources)
  .map(([id, eventTimeMs, appName, source]) => ({
    modality: 'app',
    source,
    eventId: id as EventId,
    eventTimeMs,
    fields: { appId: 'app', appName, category: null, lifecycle: 'FOREGROUND' },
  }))

const payments: fc.Arbitrary<BehaviorEvent> = fc
  .tuple(ids, times, words)
  .map(([id, eventTimeMs, itemText]) => ({
    modality: 'paybill',
    source: '/till',
    eventId: id as EventId,
    eventTimeMs,
    fields: {
      status: 'SETTLED',
      direction: 'OUT',
      amountMinor: 1_250,
      currency: 'EUR',
      merchantName: null,
      category: 'travel',
      itemText,
      channel: 'QR',
      installments: 1,
    },
  }))

/** An offset is one record: its content follows from it. */
const tabulars: fc.Arbitrary<TabularState> = fc.integer({ min: 0, max: 6 }).map((offset) => ({
  offset,
  asOfMs: (offset * 5) % 13,
  snapshot:
    offset % 3 === 2
      ? null
      : { featureSet: 'visits@1', numeric: { visits: offset }, categorical: { tier: 'b' } },
}))

const record: fc.Arbitrary<OneRecord> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .oneof(searches, searches, apps, payments)
      .map((event) => ({ kind: 'event', event }) as const),
  },
  { weight: 2, arbitrary: tabulars.map((tabular) => ({ kind: 'tabular', tabular }) as const) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 9 }).map((atMs) => ({ kind: 'tombstone', atMs }) as const),
  },
)

export const records = fc.array(record, { maxLength: 40, size: 'max' })

export const caps: fc.Arbitrary<WindowCaps> = fc.record({
  paybill: fc.integer({ min: 0, max: 4 }),
  miniprogram: fc.constant(3),
  spm: fc.constant(3),
  app: fc.integer({ min: 1, max: 4 }),
  search: fc.integer({ min: 1, max: 5 }),
})

export function apply(state: UserState, given: OneRecord, limits: WindowCaps): void {
  if (given.kind === 'event') applyEvent(state, given.event, limits)
  else if (given.kind === 'tabular') applyTabular(state, given.tabular)
  else applyTombstone(state, given.atMs)
}

export function stateOf(given: readonly OneRecord[], limits: WindowCaps): UserState {
  const state = emptyState(TENANT, USER)
  for (const one of given) apply(state, one, limits)
  return state
}

/** What was written for the user, drawn with an epoch. */
export const written: fc.Arbitrary<Pick<UserState, 'acknowledged' | 'dueMs' | 'parked' | 'epoch'>> = fc
  .record({
    epoch: fc.integer({ min: 0, max: 3 }),
    hash: fc.constantFrom('h1', 'h2'),
    due: fc.option(times),
    parked: fc.option(fc.constantFrom('poison', 'too long')),
  })
  .map(({ epoch, hash, due, parked }) => ({
    epoch,
    acknowledged: new Map([['main/tiny' as const, { inputHash: hash, epoch }]]),
    dueMs: due === null ? new Map() : new Map([['slow/tiny' as const, due]]),
    parked: parked === null ? null : { reason: parked, sinceMs: 5 },
  }))

/**
 * S1-S3 as the page says them, with nothing clever: all records at once, bytes compared as bytes. What the quick code
 * is held against.
 */
export function byTheRules(given: readonly OneRecord[], limits: WindowCaps) {
  const tombstones = given.flatMap((one) => (one.kind === 'tombstone' ? [one.atMs] : []))
  const tombstoneMs = tombstones.length === 0 ? null : Math.max(...tombstones)
  const best = new Map<string, BehaviorEvent>()
  for (const one of given) {
    if (one.kind !== 'event' || one.event.eventTimeMs <= (tombstoneMs ?? -1)) continue
    const name = JSON.stringify([one.event.modality, one.event.source, one.event.eventId])
    const known = best.get(name)
    const isGreater =
      known === undefined ||
      one.event.eventTimeMs > known.eventTimeMs ||
      (one.event.eventTimeMs === known.eventTimeMs && bytesOf(one.event).compare(bytesOf(known)) > 0)
    if (isGreater) best.set(name, one.event)
  }
  const windows = {} as Record<TextModality, BehaviorEvent[]>
  for (const modality of ['paybill', 'miniprogram', 'spm', 'app', 'search'] as const) {
    const events = [...best.values()].filter((event) => event.modality === modality)
    events.sort(
      (a, b) =>
        a.eventTimeMs - b.eventTimeMs ||
        Buffer.from(a.eventId).compare(Buffer.from(b.eventId)) ||
        Buffer.from(a.source).compare(Buffer.from(b.source)),
    )
    windows[modality] = limits[modality] === 0 ? [] : events.slice(-limits[modality])
  }
  const tabular = given.reduce<TabularState | null>(
    (greatest, one) =>
      one.kind === 'tabular' && one.tabular.offset > (greatest?.offset ?? -1) ? one.tabular : greatest,
    null,
  )
  const isHidden = tabular !== null && tabular.asOfMs <= (tombstoneMs ?? -1)
  return { windows, tombstoneMs, tabular: tabular && isHidden ? { ...tabular, snapshot: null } : tabular }
}

function bytesOf(event: BehaviorEvent): Buffer {
  const entries = Object.entries(event.fields).sort(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.from(JSON.stringify(entries.map(([, value]) => value)))
}
