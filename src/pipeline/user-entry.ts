/** What an owner keeps in memory about one user, beside the state: what is unacknowledged, due, marked or in flight. */

import type { UserKey } from '../events/ids.ts'
import type { TargetKey, UserState } from '../window/user-state.ts'
import { earliest, type Offsets } from './offsets.ts'
import type { Partition } from './partition.ts'
import type { WindowReadingCache } from './snapshot.ts'

export class UserEntry {
  readonly key: UserKey
  readonly partition: Partition
  /** undefined: evicted; `Partition.stateOf` brings it back. */
  state: UserState | undefined = undefined
  /** Counts changes of the state, for readings that are kept until the next. */
  revision = 0
  /** The last reading of the window, see snapshot.ts. */
  reading: WindowReadingCache | undefined = undefined
  /** Oldest unacknowledged record by topic index; null: every record read is acknowledged, in flight or being flushed. */
  first: Offsets | null = null
  /** Records were read since the acknowledging target was last embedded (S5). */
  dirty = false
  /** The state differs from what was last handed to the state store (E5). */
  changed = false

  /** Debounce of the acknowledging target: records since the last refresh, and when the first and last of them came. */
  pendingCount = 0
  firstPendingMs = 0
  lastPendingMs = 0
  /** Append time of the oldest unacknowledged record, for the freshness that operators see. */
  oldestAppendMs = Number.POSITIVE_INFINITY

  /** Targets that a sweep found to differ; served after everything that is due. */
  readonly swept = new Set<TargetKey>()
  /** Targets in a micro-batch now: a user is in one micro-batch a group at a time (E4). */
  readonly inFlight = new Set<TargetKey>()
  /** The epoch in which a target was acknowledged by us, with no attempt of unknown outcome since (E2). */
  readonly acknowledgedIn = new Map<TargetKey, number>()

  /** Failed attempts to embed the user alone. */
  attempts = 0
  /** Micro-batches that the owner had embedded when the user's last attempt failed. */
  successesBefore = Number.POSITIVE_INFINITY
  /** The last micro-batch with this user failed: embed alone, so that one bad user can't hold others back. */
  alone = false
  /** An operator asked to try a parked user again. */
  retry = false

  /** When the scheduler will look at the user, milliseconds; Infinity: not scheduled. */
  scheduledMs = Number.POSITIVE_INFINITY
  /** Queues of the scheduler that the user stands in. */
  queues = 0
  /** The sweep that looked at the user last. */
  sweep = 0
  /** Second chance of the eviction: set at each use. */
  used = true
  /** Bytes of the state as last estimated. */
  sizeBytes = 0

  constructor(key: UserKey, partition: Partition) {
    this.key = key
    this.partition = partition
  }

  /** Nothing but the state is kept here: the entry may be dropped. */
  get idle(): boolean {
    return (
      !this.dirty &&
      this.first === null &&
      this.swept.size === 0 &&
      this.inFlight.size === 0 &&
      !this.retry &&
      this.queues === 0 &&
      this.scheduledMs === Number.POSITIVE_INFINITY
    )
  }

  /** Adds records to those that are unacknowledged. */
  hold(offsets: Offsets): void {
    this.first = this.first === null ? offsets.slice() : earliest(this.first, offsets)
  }

  /** Hands the unacknowledged records over to a request, which releases them once it is acknowledged and flushed. */
  takeFirst(): Offsets | null {
    const { first } = this
    this.first = null
    this.dirty = false
    this.pendingCount = 0
    return first
  }
}
