/** A user's activity counters, as a feature store would hold them: what the tabular modality of the world says. */

import { type BehaviorEvent, type TabularSnapshot, TEXT_MODALITIES } from '../../events/behavior-event.ts'
import { DAY_MS, isWeekend } from './calendar.ts'

const ACTIVITY_FEATURE_SET = 'activity@1'
/** The longest counter's reach. */
export const ACTIVITY_DAYS = 30
const REACHES_DAYS = [1, 7, ACTIVITY_DAYS]
/** Night as the renderers have it: hours 0 to 5. */
const NIGHT_MS = 6 * 3_600_000

/** What one day adds to the counters. */
export interface DayActivity {
  /** In the order of TEXT_MODALITIES. */
  byModality: readonly number[]
  events: number
  nightEvents: number
  weekendEvents: number
  /** null: a day without events. */
  lastEventMs: number | null
}

/** @param events of one user and one UTC day, by time */
export function dayActivity(events: readonly BehaviorEvent[]): DayActivity {
  const byModality = TEXT_MODALITIES.map(() => 0)
  let nightEvents = 0
  let weekendEvents = 0
  for (const event of events) {
    byModality[TEXT_MODALITIES.indexOf(event.modality)]!++
    if (event.eventTimeMs % DAY_MS < NIGHT_MS) nightEvents++
    if (isWeekend(Math.floor(event.eventTimeMs / DAY_MS))) weekendEvents++
  }
  return {
    byModality,
    events: events.length,
    nightEvents,
    weekendEvents,
    lastEventMs: events.at(-1)?.eventTimeMs ?? null,
  }
}

/**
 * The counters that the built-in model reads; shares, and days since, are left out where there was no event.
 *
 * @param days activity of the ACTIVITY_DAYS days before the snapshot, oldest first
 * @param asOfMs end of the last of them, milliseconds since the Unix epoch
 */
export function activitySnapshot(days: readonly DayActivity[], asOfMs: number): TabularSnapshot {
  const sum = (of: (day: DayActivity) => number, reach = ACTIVITY_DAYS) =>
    days.slice(-reach).reduce((total, day) => total + of(day), 0)
  const numeric: Record<string, number> = {}
  for (const [i, modality] of TEXT_MODALITIES.entries()) {
    for (const reach of REACHES_DAYS)
      numeric[`${modality}_${reach}d`] = sum((day) => day.byModality[i]!, reach)
  }
  numeric.active_days_30d = sum((day) => Math.min(1, day.events))
  const events = sum((day) => day.events)
  const lastEventMs = days.findLast((day) => day.lastEventMs !== null)?.lastEventMs ?? null
  if (lastEventMs !== null) {
    numeric.days_since_last_event = (asOfMs - lastEventMs) / DAY_MS
    numeric.night_share_30d = sum((day) => day.nightEvents) / events
    numeric.weekend_share_30d = sum((day) => day.weekendEvents) / events
  }
  return { featureSet: ACTIVITY_FEATURE_SET, numeric, categorical: {} }
}
