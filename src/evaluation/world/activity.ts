/** A user's activity counters, as a feature store would hold them: what the tabular modality of the world says. */

import { type BehaviorEvent, type TabularSnapshot, TEXT_MODALITIES } from '../../events/behavior-event.ts'
import { DAY_MS } from './user-day.ts'

export const ACTIVITY_FEATURE_SET = 'activity@1'
/** The longest counter's reach. */
export const ACTIVITY_DAYS = 30
const NIGHT_UNTIL_HOUR = 6

/** What one day adds to the counters. */
export interface DayActivity {
  byModality: readonly number[]
  events: number
  nightEvents: number
  /** Minor units paid out, whatever the currency. */
  spentMinor: number
}

/** @param events of one user and one UTC day */
export function dayActivity(events: readonly BehaviorEvent[]): DayActivity {
  const byModality = TEXT_MODALITIES.map(() => 0)
  let nightEvents = 0
  let spentMinor = 0
  for (const event of events) {
    byModality[TEXT_MODALITIES.indexOf(event.modality)]!++
    if (event.eventTimeMs % DAY_MS < NIGHT_UNTIL_HOUR * 3_600_000) nightEvents++
    if (event.modality === 'paybill' && event.fields.direction === 'OUT')
      spentMinor += event.fields.amountMinor ?? 0
  }
  return { byModality, events: events.length, nightEvents, spentMinor }
}

/**
 * @param days activity of the ACTIVITY_DAYS days before the snapshot's day, oldest first
 */
export function activitySnapshot(days: readonly DayActivity[]): TabularSnapshot {
  const sum = (of: (day: DayActivity) => number, last = days.length) =>
    days.slice(-last).reduce((total, day) => total + of(day), 0)
  const events = sum((day) => day.events)
  const numeric: Record<string, number> = {
    events_1d: sum((day) => day.events, 1),
    events_7d: sum((day) => day.events, 7),
    events_30d: events,
    active_days_30d: sum((day) => Math.min(1, day.events)),
    night_share_30d: events === 0 ? 0 : sum((day) => day.nightEvents) / events,
    spend_30d: sum((day) => day.spentMinor) / 100,
  }
  for (const [i, modality] of TEXT_MODALITIES.entries()) {
    numeric[`${modality}_30d`] = sum((day) => day.byModality[i]!)
  }
  return { featureSet: ACTIVITY_FEATURE_SET, numeric, categorical: {} }
}
