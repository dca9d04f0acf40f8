/** Holds the sentences of renderer version 1, word for word, and what they promise whatever the fields hold. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../../src/errors.ts'
import type { BehaviorEvent, FieldsOf, TextModality } from '../../src/events/behavior-event.ts'
import type { EventId } from '../../src/events/ids.ts'
import { amountInWords } from '../../src/model/currency.ts'
import { rendererFor } from '../../src/model/renderer.ts'
import { sayWhenIn } from '../../src/model/time-of-day.ts'
import { codePoint } from '../tools/code-point.ts'

const render = rendererFor(1)
/** A Wednesday, 09:30 UTC. */
const WEDNESDAY_MORNING = Date.UTC(2026, 0, 14, 9, 30)
const WEEK_MS = 7 * 86_400_000

const DEFAULTS: FieldsOf = {
  paybill: {
    status: 'SETTLED',
    direction: 'OUT',
    amountMinor: 12_345,
    currency: 'CNY',
    merchantName: 'Blue Cup',
    category: 'coffee',
    itemText: 'latte',
    channel: 'QR',
    installments: 1,
  },
  miniprogram: {
    programId: 'mp2021001',
    programName: 'City Bus',
    category: 'travel',
    serviceName: 'Line 15 timetable',
    page: '/line/15',
    action: 'OPEN',
  },
  spm: { spmA: 'a310', spmB: 'b12', spmC: 'c7', spmD: 'd2', pageTitle: 'iPhone 15', kind: 'CLICK' },
  app: { appId: 'com.maps4', appName: 'Maps 4', category: 'navigation', lifecycle: 'INSTALL' },
  search: { query: 'iphone 15 case' },
}

function event<M extends TextModality>(modality: M, fields: Partial<FieldsOf[M]> = {}): BehaviorEvent {
  const id = { source: 's', eventId: 'e' as EventId, eventTimeMs: WEDNESDAY_MORNING }
  return { modality, fields: { ...DEFAULTS[modality], ...fields }, ...id } as BehaviorEvent
}

const sentences: [expected: string, event: BehaviorEvent][] = [
  ['Paid hundreds of yuan at Blue Cup (coffee) by QR code', event('paybill')],
  ['Received hundreds of yuan at Blue Cup (coffee) by QR code', event('paybill', { direction: 'IN' })],
  ['Got back hundreds of yuan at Blue Cup (coffee) by QR code', event('paybill', { status: 'REFUNDED' })],
  [
    'Got back hundreds of yuan at Blue Cup (coffee) by transfer',
    event('paybill', { status: 'CHARGED_BACK', channel: 'TRANSFER' }),
  ],
  [
    'Paid hundreds of yuan in 3 instalments at latte (coffee)',
    event('paybill', { installments: 3, merchantName: null, channel: 'UNKNOWN' }),
  ],
  [
    'Paid at coffee by QR code',
    event('paybill', { amountMinor: null, currency: null, merchantName: null, itemText: ' ' }),
  ],
  [
    'hundreds of yuan at someone by QR code',
    event('paybill', { direction: 'UNKNOWN', merchantName: null, itemText: null, category: null }),
  ],
  [
    'A payment',
    event('paybill', {
      direction: 'UNKNOWN',
      amountMinor: null,
      currency: null,
      merchantName: null,
      itemText: null,
      category: null,
      channel: 'UNKNOWN',
    }),
  ],
  ['Opened Line 15 timetable in City Bus (travel)', event('miniprogram')],
  [
    'Saved /line/# in mp#',
    event('miniprogram', { action: 'FAVORITE', serviceName: null, programName: null, category: null }),
  ],
  ['in City Bus (travel)', event('miniprogram', { action: 'UNKNOWN', serviceName: null, page: null })],
  [
    'A mini program',
    event('miniprogram', {
      action: 'UNKNOWN',
      serviceName: null,
      page: null,
      programName: null,
      programId: ' ',
      category: null,
    }),
  ],
  ['Clicked iPhone 15 > c# > d# of a#', event('spm')],
  ['Saw b# > d# of a#', event('spm', { kind: 'EXPOSURE', pageTitle: null, spmC: null })],
  ['Left iPhone 15 of a#', event('spm', { kind: 'LEAVE', spmC: null, spmD: null })],
  ['A page', event('spm', { kind: 'UNKNOWN', pageTitle: null, spmA: '', spmB: '', spmC: null, spmD: null })],
  ['Installed Maps 4 (navigation)', event('app')],
  ['Removed com.maps#', event('app', { lifecycle: 'UNINSTALL', appName: null, category: null })],
  ['An app', event('app', { lifecycle: 'UNKNOWN', appName: null, appId: '\u0000', category: null })],
  ['Searched for iphone 15 case', event('search')],
  ['Searched for iPhone 15 用户', event('search', { query: '\u0007 ｉＰｈｏｎｅ\u00a0\n\t１５\u3000用户 ' })],
  ['A search', event('search', { query: ' \n' })],
]
for (const [expected, given] of sentences) {
  test(`says: ${expected}, on a weekday morning.`, () => {
    assert.equal(render(given), `${expected}, on a weekday morning.`)
  })
}

test('amounts are said by powers of ten of major units, in the exponent of their currency', () => {
  const cases: [string, number, string][] = [
    ['small change', 0, 'CNY'],
    ['small change', 99, 'EUR'],
    ['a few euros', 100, 'EUR'],
    ['a few euros', 999, 'EUR'],
    ['tens of euros', 1_000, 'EUR'],
    ['hundreds of dollars', 99_999, 'USD'],
    ['thousands of dollars', 100_000, 'USD'],
    ['tens of thousands of yuan', 1_000_000, 'CNY'],
    ['tens of thousands of yuan', 1e15, 'CNY'],
    ['a few yen', 1, 'JPY'],
    ['thousands of yen', 1_000, 'JPY'],
    ['small change', 999, 'KWD'],
    ['a few Kuwaiti dinars', 1_000, 'KWD'],
    ['tens of XXX', 1_000, 'XXX'],
    ['tens of euros', -1_000, 'EUR'],
    ['a few toString', 100, 'toString'],
  ]
  for (const [expected, minor, currency] of cases) assert.equal(amountInWords(minor, currency), expected)
})

test('parts of the day and the week are those of the time zone', () => {
  const friday = Date.UTC(2026, 0, 16, 23, 30)
  assert.equal(sayWhenIn('UTC')(friday), 'on a weekday evening')
  assert.equal(sayWhenIn('Asia/Shanghai')(friday), 'on a weekend morning')
  assert.equal(sayWhenIn('Asia/Kathmandu')(Date.UTC(2026, 0, 16, 18, 14)), 'on a weekday evening')
  assert.equal(sayWhenIn('Asia/Kathmandu')(Date.UTC(2026, 0, 16, 18, 15)), 'on a weekend night')
  const hours = [0, 5, 6, 11, 12, 17, 18, 23].map((hour) => sayWhenIn('UTC')(Date.UTC(2026, 0, 14, hour, 59)))
  const parts = ['night', 'morning', 'afternoon', 'evening'].flatMap((part) => [part, part])
  assert.deepEqual(
    hours,
    parts.map((part) => `on a weekday ${part}`),
  )
})

test('offsets that are kept are those that Intl gives, across changes of the clock', () => {
  for (const timeZone of ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Shanghai']) {
    const kept = sayWhenIn(timeZone)
    const hour = new Intl.DateTimeFormat('en-US', { timeZone, hour: 'numeric', hourCycle: 'h23' })
    const weekday = new Intl.DateTimeFormat('en-US', { timeZone, weekday: 'short' })
    const time = fc.integer({ min: Date.UTC(1980, 0, 1), max: Date.UTC(2035, 0, 1) })
    fc.assert(
      fc.property(time, (timeMs) => {
        const part = ['night', 'morning', 'afternoon', 'evening'][Math.floor(Number(hour.format(timeMs)) / 6)]
        const day = weekday.format(timeMs).startsWith('S') ? 'weekend' : 'weekday'
        assert.equal(kept(timeMs), `on a ${day} ${part}`)
      }),
      { seed: 23, numRuns: 200 },
    )
  }
})

test('another version and an unknown zone are refused', () => {
  assert.throws(
    () => rendererFor(2),
    (error) => error instanceof ConfigError && error.code === 'renderer-version',
  )
  assert.throws(
    () => rendererFor(1, 'Mars/Olympus'),
    (error) => error instanceof ConfigError && error.code === 'time-zone-unknown',
  )
})

const text = fc.oneof(
  fc.string({ unit: codePoint }),
  fc.constantFrom('', ' ', '\ud800', '\u202e', 'ﷺ', 'a'.repeat(5_000), '\u0000'),
)
const maybe = fc.option(text)
const fieldsOf: { [M in TextModality]: fc.Arbitrary<FieldsOf[M]> } = {
  paybill: fc.record({
    status: fc.constantFrom('UNKNOWN', 'SETTLED', 'REFUNDED', 'CHARGED_BACK'),
    direction: fc.constantFrom('UNKNOWN', 'OUT', 'IN'),
    amountMinor: fc.option(fc.maxSafeInteger()),
    currency: fc.option(fc.constantFrom('CNY', 'JPY', 'XYZ')),
    merchantName: maybe,
    category: maybe,
    itemText: maybe,
    channel: fc.constantFrom('UNKNOWN', 'QR', 'AUTO_DEBIT'),
    installments: fc.nat(36),
  }),
  miniprogram: fc.record({
    programId: text,
    programName: maybe,
    category: maybe,
    serviceName: maybe,
    page: maybe,
    action: fc.constantFrom('UNKNOWN', 'OPEN', 'SHARE'),
  }),
  spm: fc.record({
    spmA: text,
    spmB: text,
    spmC: maybe,
    spmD: maybe,
    pageTitle: maybe,
    kind: fc.constantFrom('UNKNOWN', 'EXPOSURE', 'LEAVE'),
  }),
  app: fc.record({
    appId: text,
    appName: maybe,
    category: maybe,
    lifecycle: fc.constantFrom('UNKNOWN', 'UPDATE'),
  }),
  search: fc.record({ query: text }),
}
const events: fc.Arbitrary<BehaviorEvent> = fc
  .constantFrom<TextModality>('paybill', 'miniprogram', 'spm', 'app', 'search')
  .chain((modality) =>
    fc.tuple(
      fc.constant(modality),
      fieldsOf[modality] as fc.Arbitrary<object>,
      fc.integer({ min: 0, max: 4e12 }),
    ),
  )
  .map(
    ([modality, fields, eventTimeMs]) =>
      ({ modality, source: 's', eventId: 'e' as EventId, eventTimeMs, fields }) as BehaviorEvent,
  )

test('whatever the fields hold, a sentence is one well-formed line, says something, and is bounded', () => {
  fc.assert(
    fc.property(events, (given) => {
      const said = render(given)
      assert.match(said, /^\S.*, on a (weekday|weekend) (night|morning|afternoon|evening)\.$/u)
      assert.ok(said.isWellFormed())
      assert.doesNotMatch(said, /[\p{Cc}\n]| {2}/u)
      assert.ok(said.length < 50_000)
      assert.equal(rendererFor(1)(given), said)
    }),
    { seed: 29, numRuns: 500 },
  )
})

test('no date is in a sentence: a week later the same event gives the same text', () => {
  fc.assert(
    fc.property(events, fc.integer({ min: 1, max: 500 }), (given, weeks) => {
      assert.equal(render({ ...given, eventTimeMs: given.eventTimeMs + weeks * WEEK_MS }), render(given))
    }),
    { seed: 31, numRuns: 200 },
  )
})
