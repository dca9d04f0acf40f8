/** UTC days, and what the append time of a record says about its event time (S4). */

export const DAY_MS = 86_400_000

/** @returns days since the Unix epoch of the UTC day that holds the time */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}

/** @returns `YYYY-MM-DD` of a day since the Unix epoch */
export function dayString(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/** @returns the first millisecond that a window read as of the day still holds; -Infinity without a horizon */
export function windowStartMs(asOfDay: number, horizonDays: number | null): number {
  return horizonDays === null ? Number.NEGATIVE_INFINITY : (asOfDay - horizonDays) * DAY_MS
}

/**
 * Whether an event was older than the horizon when it was appended. The clock of whoever reads it has no say: one that
 * runs ahead would drop events for good (S4).
 */
export function isLate(eventTimeMs: number, appendTimeMs: number, horizonDays: number | null): boolean {
  return eventTimeMs < windowStartMs(dayOf(appendTimeMs), horizonDays)
}

/** Whether an event claimed, when it was appended, to come from further in the future than clocks may differ (S4). */
export function isTooFarAhead(eventTimeMs: number, appendTimeMs: number, futureSkewMsMax: number): boolean {
  return eventTimeMs > appendTimeMs + futureSkewMsMax
}
