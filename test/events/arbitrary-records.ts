/** Arbitrary records that say something, as producers would write them. */

import fc from 'fast-check'
import { type BehaviorEvent, TEXT_MODALITIES, type UserRecord } from '../../src/events/behavior-event.ts'
import { INTEGER_MAX, INTEGER_MIN } from '../../src/events/field-readers.ts'
import type { EventId, TenantId, UserId } from '../../src/events/ids.ts'
import { ID_LENGTH_MAX } from '../../src/events/ids.ts'

/** Objects as literals make them: fast-check's have no prototype. */
function plainRecord<Model>(model: { [K in keyof Model]: fc.Arbitrary<Model[K]> }) {
  return fc.record(model, { noNullPrototype: true })
}

const id = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => text.length <= ID_LENGTH_MAX && !text.includes('\0') && text.isWellFormed())
const text = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((given) => given.isWellFormed())
const optional = fc.option(text, { nil: null })
const timeMs = fc.integer({ min: 0, max: 4_102_444_800_000 })

const money = fc.oneof(
  fc.constant({ amountMinor: null, currency: null }),
  plainRecord({
    amountMinor: fc.integer({ min: INTEGER_MIN, max: INTEGER_MAX }),
    currency: fc.constantFrom('CNY', 'EUR', 'JPY'),
  }),
)

const FIELDS = {
  paybill: fc
    .tuple(
      money,
      plainRecord({
        status: fc.constantFrom('UNKNOWN', 'SETTLED', 'REFUNDED', 'CHARGED_BACK'),
        direction: fc.constantFrom('UNKNOWN', 'OUT', 'IN'),
        merchantName: optional,
        category: optional,
        itemText: optional,
        channel: fc.constantFrom('UNKNOWN', 'QR', 'POS', 'ONLINE', 'TRANSFER', 'AUTO_DEBIT'),
        installments: fc.nat(48),
      }),
    )
    .map(([amount, rest]) => ({ ...rest, ...amount })),
  miniprogram: plainRecord({
    programId: text,
    programName: optional,
    category: optional,
    serviceName: optional,
    page: optional,
    action: fc.constantFrom('UNKNOWN', 'OPEN', 'CLOSE', 'CLICK', 'SUBMIT', 'SHARE', 'FAVORITE'),
  }),
  spm: plainRecord({
    spmA: text,
    spmB: text,
    spmC: optional,
    spmD: optional,
    pageTitle: optional,
    kind: fc.constantFrom('UNKNOWN', 'EXPOSURE', 'CLICK', 'PAGE_VIEW', 'LEAVE'),
  }),
  app: plainRecord({
    appId: text,
    appName: optional,
    category: optional,
    lifecycle: fc.constantFrom('UNKNOWN', 'INSTALL', 'UNINSTALL', 'UPDATE', 'FOREGROUND', 'BACKGROUND'),
  }),
  search: plainRecord({ query: text.filter((query) => query.trim() !== '') }),
}

const owner = plainRecord({ tenant: id, user: id }) as fc.Arbitrary<{ tenant: TenantId; user: UserId }>

const event: fc.Arbitrary<BehaviorEvent> = fc.oneof(
  ...TEXT_MODALITIES.map((modality) =>
    plainRecord({
      source: id,
      eventId: id as fc.Arbitrary<EventId>,
      eventTimeMs: timeMs,
      fields: FIELDS[modality],
    }).map((given) => ({ modality, ...given }) as BehaviorEvent),
  ),
)

const featureName = fc.stringMatching(/^[a-z][a-z_]{0,11}$/)
const snapshot = plainRecord({
  featureSet: text,
  numeric: fc.dictionary(
    featureName,
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
    { noNullPrototype: true },
  ),
  categorical: fc.dictionary(featureName, text, { noNullPrototype: true }),
})

/** Events, tabular snapshots and tombstones, all with a value. */
export const arbitraryRecord: fc.Arbitrary<UserRecord> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(owner, event)
      .map(([who, given]) => ({ ...who, kind: 'event' as const, event: given })),
  },
  fc
    .tuple(owner, timeMs, snapshot)
    .map(([who, asOfMs, given]) => ({ ...who, kind: 'tabular' as const, asOfMs, snapshot: given })),
  fc.tuple(owner, timeMs).map(([who, atMs]) => ({ ...who, kind: 'tombstone' as const, atMs })),
)
