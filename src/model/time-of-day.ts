/** The part of the day and the kind of day in a time zone: all that an event's sentence says about time. */

import { ConfigError } from '../errors.ts'

/** e.g. `on a weekday morning`, of a time in milliseconds since the Unix epoch. */
export type SayWhen = (timeMs: number) => string

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Offsets change at whole quarters of an hour UTC, in every zone since 1973. */
const BUCKET_MS = HOUR_MS / 4
/** Some 90 days of distinct quarters per entry of 16 bytes or so; beyond, the cache starts afresh. */
const BUCKETS_MAX = 50_000

const PARTS = ['night', 'morning', 'afternoon', 'evening'] as const

/**
 * Makes the function for one zone. It is called for every event, and Intl takes microseconds: so offsets are kept.
 *
 * @param timeZone IANA name, e.g. `Asia/Shanghai`
 * @throws {ConfigError} `time-zone-unknown`
 */
export function sayWhenIn(timeZone: string): SayWhen {
  const offsetMs = offsetsOf(timeZone)
  return (timeMs) => {
    const localMs = timeMs + offsetMs(timeMs)
    const day = Math.floor(localMs / DAY_MS)
    // The epoch was a Thursday: day 0 is 4 where Sunday is 0.
    const weekday = (((day + 4) % 7) + 7) % 7
    const part = PARTS[Math.floor((localMs - day * DAY_MS) / (6 * HOUR_MS))]!
    return `on a ${weekday === 0 || weekday === 6 ? 'weekend' : 'weekday'} ${part}`
  }
}

function offsetsOf(timeZone: string): (timeMs: number) => number {
  const formatter = formatterOf(timeZone)
  if (formatter.resolvedOptions().timeZone === 'UTC') return () => 0
  const offsets = new Map<number, number>()
  return (timeMs) => {
    const bucket = Math.floor(timeMs / BUCKET_MS)
    let offset = offsets.get(bucket)
    if (offset === undefined) {
      offset = offsetAt(formatter, bucket * BUCKET_MS)
      if (offsets.size >= BUCKETS_MAX) offsets.clear()
      offsets.set(bucket, offset)
    }
    return offset
  }
}

function offsetAt(formatter: Intl.DateTimeFormat, timeMs: number): number {
  const parts = new Map(formatter.formatToParts(timeMs).map(({ type, value }) => [type, Number(value)]))
  const at = (type: Intl.DateTimeFormatPartTypes) => parts.get(type)!
  const localMs = Date.UTC(at('year'), at('month') - 1, at('day'), at('hour'), at('minute'), at('second'))
  return localMs - Math.floor(timeMs / 1_000) * 1_000
}

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw new ConfigError(
      'time-zone-unknown',
      `expected an IANA time zone such as UTC or Asia/Shanghai, got ${JSON.stringify(timeZone)}: correct the time zone`,
      { cause },
    )
  }
}
