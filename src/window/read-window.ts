/** A window as of a UTC day: what is rendered, embedded and hashed, and when it will next shrink by itself. */

import { createHash } from 'node:crypto'
import { type BehaviorEvent, TEXT_MODALITIES, type TextModality } from '../events/behavior-event.ts'
import { DAY_MS, windowStartMs } from './day.ts'
import { canonicalFields, canonicalTabular } from './event-order.ts'
import type { UserState, WindowSnapshot } from './user-state.ts'

/** How a window is read: as of which day, how far back, and how many events of each modality. */
export interface WindowReading {
  /** Days since the Unix epoch. */
  asOfDay: number
  /** Days; null: no horizon. */
  horizonDays: number | null
  /** Newest events kept per modality: the slots of the bundle that will embed them. */
  slots: Readonly<Record<TextModality, number>>
}

/** @returns a snapshot that later changes of the state leave alone; events from before the day less the horizon are out */
export function readWindow(state: UserState, reading: WindowReading): WindowSnapshot {
  const events = {} as Record<TextModality, BehaviorEvent[]>
  let lastEventMs: number | null = null
  for (const modality of TEXT_MODALITIES) {
    const window = state.windows[modality]
    const read = window.slice(firstVisible(window, modality, reading))
    events[modality] = read
    const newest = read.at(-1)
    if (newest !== undefined) lastEventMs = Math.max(newest.eventTimeMs, lastEventMs ?? newest.eventTimeMs)
  }
  return { events, tabular: state.tabular?.snapshot ?? null, lastEventMs }
}

/**
 * @returns the first day after `asOfDay` on which the same reading would show fewer events, days since the Unix epoch;
 *   null: time alone takes nothing away
 */
export function oldestExpiryDay(state: UserState, reading: WindowReading): number | null {
  if (reading.horizonDays === null) return null
  let oldestMs = Number.POSITIVE_INFINITY
  for (const modality of TEXT_MODALITIES) {
    const window = state.windows[modality]
    const oldest = window[firstVisible(window, modality, reading)]
    if (oldest !== undefined) oldestMs = Math.min(oldestMs, oldest.eventTimeMs)
  }
  return oldestMs === Number.POSITIVE_INFINITY ? null : lossDay(oldestMs, reading.horizonDays)
}

/** @returns milliseconds at which the horizon has passed the newest event; null: never */
export function expiresAtMs(snapshot: WindowSnapshot, horizonDays: number | null): number | null {
  if (horizonDays === null || snapshot.lastEventMs === null) return null
  return lossDay(snapshot.lastEventMs, horizonDays) * DAY_MS
}

/** The first day whose window starts after the time; horizons may be fractions of a day. */
function lossDay(eventTimeMs: number, horizonDays: number): number {
  return Math.floor(eventTimeMs / DAY_MS + horizonDays) + 1
}

/** @returns sha256, lower-case hex, of all that a snapshot says: names, times, fields and features (E1) */
export function windowDigest(snapshot: WindowSnapshot): string {
  const hash = createHash('sha256')
  for (const modality of TEXT_MODALITIES) {
    const events = snapshot.events[modality]
    hash.update(`${modality} ${events.length}\n`)
    for (const event of events) {
      // JSON strings hold no raw line feed, so no two snapshots give the same lines.
      const name = JSON.stringify([event.source, event.eventId, event.eventTimeMs])
      hash.update(`${name} ${canonicalFields(event)}\n`)
    }
  }
  return hash.update(`tabular ${canonicalTabular(snapshot.tabular)}\n`).digest('hex')
}

function firstVisible(
  window: readonly BehaviorEvent[],
  modality: TextModality,
  { asOfDay, horizonDays, slots }: WindowReading,
): number {
  const startMs = windowStartMs(asOfDay, horizonDays)
  let first = Math.max(0, window.length - slots[modality])
  while (first < window.length && window[first]!.eventTimeMs < startMs) first++
  return first
}
