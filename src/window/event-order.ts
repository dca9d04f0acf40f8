/** The total order of events on which the join rests (S1), and the canonical text of what an event says. */

import type { BehaviorEvent, FieldsOf, TabularSnapshot, TextModality } from '../events/behavior-event.ts'

/** Every field by name; the compiler refuses a list that misses one, so a new field can't stay out of the hash. */
const FIELD_NAMES: { readonly [M in TextModality]: Readonly<Record<keyof FieldsOf[M], true>> } = {
  paybill: {
    status: true,
    direction: true,
    amountMinor: true,
    currency: true,
    merchantName: true,
    category: true,
    itemText: true,
    channel: true,
    installments: true,
  },
  miniprogram: {
    programId: true,
    programName: true,
    category: true,
    serviceName: true,
    page: true,
    action: true,
  },
  spm: { spmA: true, spmB: true, spmC: true, spmD: true, pageTitle: true, kind: true },
  app: { appId: true, appName: true, category: true, lifecycle: true },
  search: { query: true },
}

const FIELD_ORDER = Object.fromEntries(
  Object.entries(FIELD_NAMES).map(([modality, names]) => [modality, Object.keys(names).sort()]),
) as Record<TextModality, string[]>

/** @returns one JSON array of the event's fields, the same whatever the order in which they were set */
export function canonicalFields(event: BehaviorEvent): string {
  const fields = event.fields as unknown as Record<string, unknown>
  return JSON.stringify(FIELD_ORDER[event.modality].map((name) => fields[name] ?? null))
}

/** @returns one JSON array that says everything about the features; `null` for none */
export function canonicalTabular(snapshot: TabularSnapshot | null): string {
  if (snapshot === null) return 'null'
  return JSON.stringify([
    snapshot.featureSet,
    sortedEntries(snapshot.numeric),
    sortedEntries(snapshot.categorical),
  ])
}

function sortedEntries(record: Record<string, unknown>): [string, unknown][] {
  return Object.entries(record).sort(([a], [b]) => compareUtf8(a, b))
}

/**
 * Compares two strings as their UTF-8 bytes would compare, without making the bytes. `<` compares UTF-16 units, which
 * puts surrogate pairs below U+E000..U+FFFF; bytes put them above, and bytes are what other programs compare.
 */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    if (x >= 0xd800 && y >= 0xd800) return byteRank(x) - byteRank(y)
    return x - y
  }
  return a.length - b.length
}

/** Moves the surrogates D800..DFFF behind E000..FFFF. */
function byteRank(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** Order in a window: event time, then event id as bytes; of two sources that gave one id, the source decides. */
export function compareEvents(a: BehaviorEvent, b: BehaviorEvent): number {
  if (a.eventTimeMs !== b.eventTimeMs) return a.eventTimeMs < b.eventTimeMs ? -1 : 1
  return compareUtf8(a.eventId, b.eventId) || compareUtf8(a.source, b.source)
}

/** Which of two events of one name counts: the greater event time, then the greater content (S1). */
export function compareVersions(a: BehaviorEvent, b: BehaviorEvent): number {
  if (a.eventTimeMs !== b.eventTimeMs) return a.eventTimeMs < b.eventTimeMs ? -1 : 1
  return compareUtf8(canonicalFields(a), canonicalFields(b))
}
