/** One record into one state, in place: the hot path of reading, a few hundred nanoseconds an event. */

import { type BehaviorEvent, TEXT_MODALITIES } from '../events/behavior-event.ts'
import type { TenantId, UserId } from '../events/ids.ts'
import { canonicalTabular, compareEvents, compareUtf8, compareVersions } from './event-order.ts'
import { dropIndex, indexOfName, renewIndex } from './name-index.ts'
import type { TabularState, UserState, WindowCaps } from './user-state.ts'

/**
 * What became of an event: `duplicate`, the same is there; `superseded`, one of its name that is greater is there;
 * `over-cap`, it is older than a full window; `hidden`, from before the tombstone. All but `applied` change nothing.
 */
export type Applied = 'applied' | 'duplicate' | 'superseded' | 'over-cap' | 'hidden'

export function emptyState(tenant: TenantId, user: UserId): UserState {
  return {
    tenant,
    user,
    windows: { paybill: [], miniprogram: [], spm: [], app: [], search: [] },
    tabular: null,
    tombstoneMs: null,
    acknowledged: new Map(),
    dueMs: new Map(),
    parked: null,
    epoch: 0,
  }
}

/**
 * Puts an event into its window (S1). Any order and any number of repetitions give the same window: names only ever
 * rise to greater versions, and what fell out of a full window is smaller than all that stayed.
 */
export function applyEvent(state: UserState, event: BehaviorEvent, caps: WindowCaps): Applied {
  if (state.tombstoneMs !== null && event.eventTimeMs <= state.tombstoneMs) return 'hidden'
  const window = state.windows[event.modality]
  const cap = caps[event.modality]
  if (window.length > cap) {
    window.splice(0, window.length - cap)
    dropIndex(state, event.modality)
  }
  if (cap === 0) return 'over-cap'

  const isFull = window.length === cap
  // Below the oldest of a full window nothing can change, whatever its name: spare the search for it.
  if (isFull && compareEvents(event, window[0]!) < 0) return 'over-cap'
  const known = indexOfName(state, event)
  let removed: BehaviorEvent | undefined
  if (known >= 0) {
    const order = compareVersions(event, window[known]!)
    if (order === 0) return 'duplicate'
    if (order < 0) return 'superseded'
    removed = window[known]
    window.splice(known, 1)
  } else if (isFull) removed = window.shift()
  insertOrdered(window, event)
  renewIndex(state, removed, event)
  return 'applied'
}

/** Keeps the record of the greatest offset (S2); of one that the tombstone hides only place and time stay (S3). */
export function applyTabular(state: UserState, record: TabularState): void {
  state.tabular = hideTabular(greaterTabular(state.tabular, record), state.tombstoneMs)
}

/** Hides what happened up to the time (S3): events go, and so do the features, but not the offset they came with. */
export function applyTombstone(state: UserState, atMs: number): void {
  if (state.tombstoneMs !== null && state.tombstoneMs >= atMs) return
  state.tombstoneMs = atMs
  for (const modality of TEXT_MODALITIES) {
    const window = state.windows[modality]
    let hidden = 0
    while (hidden < window.length && window[hidden]!.eventTimeMs <= atMs) hidden++
    if (hidden === 0) continue
    window.splice(0, hidden)
    dropIndex(state, modality)
  }
  state.tabular = hideTabular(state.tabular, atMs)
}

export function greaterTabular(a: TabularState | null, b: TabularState | null): TabularState | null {
  if (a === null || b === null) return a ?? b
  if (a.offset !== b.offset) return a.offset > b.offset ? a : b
  // One offset is one record; should a source break that, any fixed order keeps the join a join.
  if (a.asOfMs !== b.asOfMs) return a.asOfMs > b.asOfMs ? a : b
  if (a.snapshot === null || b.snapshot === null) return a.snapshot === null ? b : a
  return compareUtf8(canonicalTabular(a.snapshot), canonicalTabular(b.snapshot)) >= 0 ? a : b
}

export function hideTabular(tabular: TabularState | null, tombstoneMs: number | null): TabularState | null {
  if (tabular === null || tombstoneMs === null || tabular.asOfMs > tombstoneMs) return tabular
  return tabular.snapshot === null ? tabular : ({ ...tabular, snapshot: null } satisfies TabularState)
}

/** Most events arrive in order, so the search starts at the newest end. */
function insertOrdered(window: BehaviorEvent[], event: BehaviorEvent): void {
  let low = 0
  let high = window.length
  if (high === 0 || compareEvents(window[high - 1]!, event) < 0) {
    window.push(event)
    return
  }
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareEvents(window[middle]!, event) < 0) low = middle + 1
    else high = middle
  }
  window.splice(low, 0, event)
}
