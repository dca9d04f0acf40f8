/** Decides who is embedded next: what is due first, then what a sweep found; in micro-batches of one target. */

import type { TargetKey } from '../window/user-state.ts'
import { DueQueue } from './due-queue.ts'
import type { PipelineSettings } from './settings.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target, View } from './view.ts'

export class Scheduler {
  private readonly settings: PipelineSettings
  private readonly due = new DueQueue()
  /** Users whose time has come, by target. */
  private readonly ready = new Map<TargetKey, Set<UserEntry>>()
  /** Users that a sweep marked, by target: low priority. */
  private readonly swept = new Map<TargetKey, Set<UserEntry>>()
  private turn = 0

  constructor(settings: PipelineSettings) {
    this.settings = settings
  }

  /** When somebody is due, milliseconds; -Infinity: somebody is ready. */
  get nextMs(): number {
    return this.readyCount + this.sweptCount > 0 ? Number.NEGATIVE_INFINITY : this.due.nextMs
  }

  get readyCount(): number {
    return sizeOf(this.ready)
  }

  get sweptCount(): number {
    return sizeOf(this.swept)
  }

  /** One more record of a user. */
  recordRead(entry: UserEntry, view: View, nowMs: number, appendTimeMs: number): void {
    const isFirst = entry.pendingCount === 0
    if (isFirst) entry.firstPendingMs = nowMs
    entry.pendingCount++
    entry.lastPendingMs = nowMs
    if (appendTimeMs < entry.oldestAppendMs) entry.oldestAppendMs = appendTimeMs
    // Later records only move the time back; the queue finds that out when it gets there. The first may come long before
    // what is planned: another group's time.
    const { scheduledMs } = entry
    if (isFirst || scheduledMs === Number.POSITIVE_INFINITY || entry.pendingCount === this.settings.minEvents)
      this.schedule(entry, view, nowMs)
  }

  /** Plans the user's next look: when the debounce ends or a target falls due. */
  schedule(entry: UserEntry, view: View, nowMs: number): void {
    let atMs = Number.POSITIVE_INFINITY
    if (entry.dirty && !entry.inFlight.has(view.main.key)) atMs = Math.max(nowMs, this.debounced(entry))
    if (entry.state !== undefined)
      for (const [key, targetMs] of entry.state.dueMs)
        if (targetMs < atMs && this.isOpen(entry, view.targets.get(key))) atMs = Math.max(nowMs, targetMs)
    if (atMs < Number.POSITIVE_INFINITY) this.due.schedule(entry, atMs)
  }

  /** A sweep found that a target differs for this user. */
  mark(entry: UserEntry, key: TargetKey): void {
    entry.swept.add(key)
    add(this.swept, key, entry)
  }

  /** Looks at the user at the given time, whatever is due then. */
  later(entry: UserEntry, atMs: number): void {
    this.due.schedule(entry, atMs)
  }

  /**
   * Takes users of one target, due ones before swept ones.
   *
   * @param force everybody who has anything to do counts as due
   * @param accept embeds a user's snapshot into the batch, or deals with it at once; false: the batch is full without it
   */
  take(
    view: View,
    nowMs: number,
    force: boolean,
    accept: (entry: UserEntry, target: Target) => boolean,
  ): boolean {
    this.collect(view, nowMs, force)
    return this.takeFrom(this.ready, view, accept) || this.takeFrom(this.swept, view, accept)
  }

  /** The owner starts anew. */
  clear(): void {
    this.due.clear()
    this.ready.clear()
    this.swept.clear()
  }

  private debounced(entry: UserEntry): number {
    const { minEvents, quietMs, maxDelayMs } = this.settings
    if (entry.pendingCount >= minEvents || entry.retry) return Number.NEGATIVE_INFINITY
    return Math.min(entry.firstPendingMs + maxDelayMs, entry.lastPendingMs + quietMs)
  }

  /** A paused group is not embedded; its durable due times wait (only stubs are written, see sweep and tombstones). */
  private isOpen(entry: UserEntry, target: Target | undefined): target is Target {
    if (target === undefined || entry.inFlight.has(target.key)) return false
    return !target.texts.group.paused || entry.state?.tombstoneMs != null
  }

  private collect(view: View, nowMs: number, force: boolean): void {
    const horizonMs = force ? Number.MAX_VALUE : nowMs
    for (let entry = this.due.pop(horizonMs); entry !== undefined; entry = this.due.pop(horizonMs)) {
      let nextMs = Number.POSITIVE_INFINITY
      const look = (key: TargetKey, atMs: number): void => {
        if (atMs <= horizonMs) add(this.ready, key, entry)
        else if (atMs < nextMs) nextMs = atMs
      }
      if (entry.dirty && !entry.inFlight.has(view.main.key)) look(view.main.key, this.debounced(entry))
      const state = entry.partition.stateOf(entry)
      for (const [key, atMs] of state.dueMs) if (this.isOpen(entry, view.targets.get(key))) look(key, atMs)
      if (nextMs < Number.POSITIVE_INFINITY) this.due.schedule(entry, nextMs)
    }
  }

  private takeFrom(
    queue: Map<TargetKey, Set<UserEntry>>,
    view: View,
    accept: (entry: UserEntry, target: Target) => boolean,
  ): boolean {
    // Targets take turns, so that a backfill of one can't hold back another.
    const keys = [...queue.keys()]
    for (let i = 0; i < keys.length; i++) {
      const key = keys[(this.turn + i) % keys.length]!
      const entries = queue.get(key)!
      const target = view.targets.get(key)
      let took = false
      for (const entry of entries) {
        if (!entry.partition.owned || target === undefined) {
          entry.swept.delete(key)
          remove(entries, entry)
          continue
        }
        if (entry.inFlight.has(key)) {
          // E4: the end of the batch it is in compares hashes (E3) and schedules it again.
          entry.swept.delete(key)
          remove(entries, entry)
          continue
        }
        if (!accept(entry, target)) break
        remove(entries, entry)
        took = true
      }
      if (entries.size === 0) queue.delete(key)
      if (took) {
        this.turn++
        return true
      }
    }
    return false
  }
}

function add(queue: Map<TargetKey, Set<UserEntry>>, key: TargetKey, entry: UserEntry): void {
  let entries = queue.get(key)
  if (entries === undefined) {
    entries = new Set()
    queue.set(key, entries)
  }
  if (entries.has(entry)) return
  entries.add(entry)
  entry.queues++
}

function remove(entries: Set<UserEntry>, entry: UserEntry): void {
  if (entries.delete(entry)) entry.queues--
}

function sizeOf(queue: ReadonlyMap<TargetKey, ReadonlySet<UserEntry>>): number {
  let size = 0
  for (const entries of queue.values()) size += entries.size
  return size
}
