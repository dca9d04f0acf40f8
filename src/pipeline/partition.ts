/** One partition as its owner holds it: users, read positions, and how far its offsets may be committed (O3). */

import { UnavailableError } from '../errors.ts'
import { splitUserKey, type UserKey } from '../events/ids.ts'
import { applyTombstone, emptyState } from '../window/apply.ts'
import { stateBytes } from '../window/state-size.ts'
import type { UserState, WindowCaps } from '../window/user-state.ts'
import type { Positions } from './event-source.ts'
import { earliest, noOffsets, type Offsets } from './offsets.ts'
import type { StateStore } from './state-store.ts'
import { UserEntry } from './user-entry.ts'

export class Partition {
  readonly number: number
  readonly entries = new Map<UserKey, UserEntry>()
  /** Entries with unacknowledged records. */
  readonly held = new Set<UserEntry>()
  /** Next offset to read, by topic index. */
  readonly read: Offsets
  /** Every user's latest tombstone as read at the take-over (O1). */
  readonly tombstones = new Map<UserKey, number>()
  /** Caps of the windows: slots of the largest bundle in use. */
  caps: WindowCaps
  /** False once the partition has moved on: requests that come back then change nothing. */
  owned = true

  private readonly topics: readonly string[]
  private readonly store: StateStore
  private readonly requests = new Set<Offsets>()
  private readonly committedOffsets: Offsets
  private bytes = 0
  private evictionHand: Iterator<UserEntry> | undefined

  constructor(
    number: number,
    topics: readonly string[],
    start: Positions,
    caps: WindowCaps,
    store: StateStore,
  ) {
    this.number = number
    this.topics = topics
    this.caps = caps
    this.store = store
    this.read = topics.map((topic) => start.get(topic) ?? 0)
    this.committedOffsets = this.read.slice()
  }

  get sizeBytes(): number {
    return this.bytes
  }

  /** The entry of a user, made if there is none. */
  entry(key: UserKey): UserEntry {
    let entry = this.entries.get(key)
    if (entry === undefined) {
      entry = new UserEntry(key, this)
      this.entries.set(key, entry)
    }
    entry.used = true
    return entry
  }

  /** The user's state: from memory, from local reach, or empty. Tombstones of the take-over are always joined in. */
  stateOf(entry: UserEntry): UserState {
    if (entry.state !== undefined) return entry.state
    const { tenant, user } = splitUserKey(entry.key)
    const state = this.store.read(this.number, entry.key) ?? emptyState(tenant, user)
    const tombstoneMs = this.tombstones.get(entry.key)
    if (tombstoneMs !== undefined) applyTombstone(state, tombstoneMs)
    entry.state = state
    this.measure(entry)
    return state
  }

  /** Users in local reach after `after`, in the store's order. */
  storedUsers(after: UserKey | null, limit: number): UserKey[] {
    return this.store.users(this.number, after, limit)
  }

  /** Adds what an event takes, roughly, on the hot path; `measure` puts it right. */
  grow(entry: UserEntry, bytes: number): void {
    this.bytes += bytes
    entry.sizeBytes += bytes
  }

  /** Estimates the state's bytes anew, after it changed. */
  measure(entry: UserEntry): void {
    const sizeBytes = entry.state === undefined ? 0 : stateBytes(entry.state)
    this.bytes += sizeBytes - entry.sizeBytes
    entry.sizeBytes = sizeBytes
  }

  /** Marks one record as read and unacknowledged. */
  hold(entry: UserEntry, topicIndex: number, offset: number): void {
    if (entry.first === null) {
      entry.first = noOffsets(this.topics.length)
      this.held.add(entry)
    }
    if (offset < entry.first[topicIndex]!) entry.first[topicIndex] = offset
  }

  /** Moves a user's unacknowledged records into the hands of a request. */
  take(entry: UserEntry): Offsets | null {
    const first = entry.takeFirst()
    this.held.delete(entry)
    if (first !== null) this.requests.add(first)
    return first
  }

  /** Keeps records back that no user stands for, e.g. while a dead letter is written. */
  holdRecord(topicIndex: number, offset: number): Offsets {
    const hold = noOffsets(this.topics.length)
    hold[topicIndex] = offset
    this.requests.add(hold)
    return hold
  }

  /** The request's records are acknowledged and flushed. */
  release(first: Offsets | null): void {
    if (first !== null) this.requests.delete(first)
  }

  /** The request is over without an acknowledgement: its records are the user's again. */
  giveBack(entry: UserEntry, first: Offsets | null): void {
    if (first === null) return
    this.requests.delete(first)
    entry.hold(first)
    this.held.add(entry)
  }

  /** Where reading goes on. */
  get readPositions(): Positions {
    return this.positions(this.read)
  }

  /** The smaller of the read position and the oldest unacknowledged record, by topic (O3). */
  committable(): Positions {
    const offsets = this.read.slice()
    for (const entry of this.held) earliest(offsets, entry.first!)
    for (const first of this.requests) earliest(offsets, first)
    return this.positions(offsets)
  }

  /** Every record read is acknowledged and flushed. */
  get settled(): boolean {
    return this.held.size === 0 && this.requests.size === 0
  }

  /** Records read since the committable offsets of the last commit; of the topic with the most: a bound on what is unacknowledged. */
  get readSinceCommit(): number {
    let records = 0
    for (let i = 0; i < this.read.length; i++)
      records = Math.max(records, this.read[i]! - this.committedOffsets[i]!)
    return records
  }

  /** These positions were handed to the group. */
  committed(positions: Positions): void {
    this.topics.forEach((topic, i) => {
      this.committedOffsets[i] = positions.get(topic) ?? 0
    })
  }

  /** Whether the user has a state or a tombstone in this partition. */
  knows(key: UserKey): boolean {
    return (
      this.entries.has(key) || this.tombstones.has(key) || this.store.read(this.number, key) !== undefined
    )
  }

  /** Frees about `bytes` of states that nothing waits for; a state with unacknowledged events is spilled first. */
  evict(bytes: number): void {
    const target = this.bytes - bytes
    let steps = 2 * this.entries.size
    while (this.bytes > target && steps-- > 0) {
      this.evictionHand ??= this.entries.values()
      const next = this.evictionHand.next()
      if (next.done) {
        this.evictionHand = undefined
        continue
      }
      const entry = next.value
      if (entry.used) {
        entry.used = false
        continue
      }
      if (entry.inFlight.size > 0) continue
      if (entry.idle && !entry.changed) this.entries.delete(entry.key)
      else if (entry.state !== undefined && !this.spill(entry.state)) return
      entry.state = undefined
      entry.reading = undefined
      this.measure(entry)
    }
  }

  private positions(offsets: Readonly<Offsets>): Positions {
    return new Map(this.topics.map((topic, index) => [topic, offsets[index]!]))
  }

  /** @returns false: the disk takes nothing now, and the state stays in memory */
  private spill(state: UserState): boolean {
    try {
      this.store.spill(this.number, state)
      return true
    } catch (error) {
      if (error instanceof UnavailableError) return false
      throw error
    }
  }
}
