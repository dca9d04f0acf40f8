/** The last minute in numbers, and totals since the start: for the status and for whoever watches a terminal. */

import { consumed, refreshed } from '../pipeline/channels.ts'
import type { Clock } from '../pipeline/clock.ts'

/** Long enough to be calm, short enough to follow. */
const WINDOW_SECONDS = 60

/** Freshness is counted in classes that grow by 2 %, so that a quantile is off by 1 % at most and memory has a bound. */
const CLASS_GROWTH = Math.log(1.02)

interface Second {
  /** Of the clock, seconds since the Unix epoch. */
  second: number
  events: number
  /** Class of freshness -> users. */
  freshness: Map<number, number>
}

export interface FreshnessMs {
  p50: number | null
  p95: number | null
  p99: number | null
}

export interface RecentEvents {
  /** Records read since the start. */
  read: number
  /** Over the last minute, or since the start if that is less long ago. */
  perSecond: number
  late: number
  deadLetters: number
}

export class Recent {
  private readonly clock: Clock
  private readonly seconds: Second[] = []
  private readonly startMs: number
  private readonly unsubscribe: (() => void)[]
  private read = 0
  private late = 0
  private deadLetters = 0

  constructor(clock: Clock) {
    this.clock = clock
    this.startMs = clock.nowMs()
    this.unsubscribe = [
      consumed.subscribe(({ outcomes }) => this.consumed(outcomes)),
      refreshed.subscribe(({ outcome, freshnessMs }) => {
        if (outcome === 'acknowledged') this.refreshed(freshnessMs)
      }),
    ]
  }

  get events(): RecentEvents {
    const { read, late, deadLetters } = this
    const elapsedSeconds = (this.clock.nowMs() - this.startMs) / 1000
    let events = 0
    for (const second of this.window()) events += second.events
    return {
      read,
      late,
      deadLetters,
      perSecond: events / Math.min(WINDOW_SECONDS, Math.max(1, elapsedSeconds)),
    }
  }

  /** Milliseconds from append to acknowledgement, by users, over the last minute. */
  get freshness(): FreshnessMs {
    const counts = new Map<number, number>()
    let total = 0
    for (const { freshness } of this.window()) {
      for (const [number, users] of freshness) {
        counts.set(number, (counts.get(number) ?? 0) + users)
        total += users
      }
    }
    const sorted = [...counts].sort(([a], [b]) => a - b)
    const quantile = (share: number) => {
      let seen = 0
      for (const [number, users] of sorted) {
        seen += users
        if (seen >= share * total) return middleOf(number)
      }
      return null
    }
    return { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) }
  }

  close(): void {
    for (const unsubscribe of this.unsubscribe) unsubscribe()
  }

  private consumed(outcomes: ReadonlyMap<string, number>): void {
    let records = 0
    for (const count of outcomes.values()) records += count
    this.read += records
    this.late += outcomes.get('late') ?? 0
    this.deadLetters += outcomes.get('dead-letter') ?? 0
    this.now().events += records
  }

  private refreshed(freshnessMs: readonly number[]): void {
    const { freshness } = this.now()
    for (const ms of freshnessMs) {
      const number = classOf(ms)
      freshness.set(number, (freshness.get(number) ?? 0) + 1)
    }
  }

  private now(): Second {
    const second = Math.floor(this.clock.nowMs() / 1000)
    const last = this.seconds.at(-1)
    // A clock that was set back keeps counting in the newest second it has shown.
    if (last !== undefined && last.second >= second) return last
    const next = { second, events: 0, freshness: new Map<number, number>() }
    this.seconds.push(next)
    this.window()
    return next
  }

  /** Those of the last minute; older ones are let go. */
  private window(): readonly Second[] {
    const first = Math.floor(this.clock.nowMs() / 1000) - WINDOW_SECONDS
    const kept = this.seconds.findIndex(({ second }) => second > first)
    this.seconds.splice(0, kept < 0 ? this.seconds.length : kept)
    return this.seconds
  }
}

function classOf(ms: number): number {
  return Math.floor(Math.log(Math.max(0, ms) + 1) / CLASS_GROWTH)
}

function middleOf(number: number): number {
  return Math.exp((number + 0.5) * CLASS_GROWTH) - 1
}
