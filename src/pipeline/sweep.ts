/** Looks at every user by input hash and marks what differs (O7): take-over, registry changes, a new day, expiry. */

import type { UserKey } from '../events/ids.ts'
import type { UserState } from '../window/user-state.ts'
import { swept } from './channels.ts'
import type { Control } from './control.ts'
import { refreshMs } from './marks.ts'
import type { Ownership } from './ownership.ts'
import type { Partition } from './partition.ts'
import type { Scheduler } from './scheduler.ts'
import type { PipelineSettings } from './settings.ts'
import { isAskedAlike, type Snapshots } from './snapshot.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target } from './view.ts'

export class Sweep {
  private readonly settings: PipelineSettings
  private readonly ownership: Ownership
  private readonly control: Control
  private readonly scheduler: Scheduler
  private readonly snapshots: Snapshots
  private walk: Iterator<void> | undefined
  private number = 0
  private day = Number.NaN
  private seen = 0
  private marked = 0
  /** Users that may be looked at now, and when that was reckoned last. */
  private allowance = 0
  private allowedMs = Number.NaN

  constructor(
    settings: PipelineSettings,
    ownership: Ownership,
    control: Control,
    scheduler: Scheduler,
    snapshots: Snapshots,
  ) {
    this.settings = settings
    this.ownership = ownership
    this.control = control
    this.scheduler = scheduler
    this.snapshots = snapshots
  }

  /** No sweep is under way, and no user waits because of one. */
  get idle(): boolean {
    return this.walk === undefined && this.scheduler.sweptCount === 0
  }

  /** Users seen and marked by the sweep under way, or by the last one. */
  get progress(): { usersSeen: number; usersMarked: number; underWay: boolean } {
    return { usersSeen: this.seen, usersMarked: this.marked, underWay: this.walk !== undefined }
  }

  /** Begins anew: what was seen before may differ now. */
  restart(): void {
    this.number++
    this.seen = 0
    this.marked = 0
    this.day = this.ownership.day
    this.walk = this.users()
    swept.publish({ stage: 'started', usersSeen: 0, usersMarked: 0 })
  }

  /**
   * Looks at the next users; it waits while those it marked are not refreshed yet, so that memory stays flat.
   *
   * @returns false: there is nothing to look at
   */
  step(): boolean {
    if (this.ownership.stage !== 'owner') return false
    if (this.ownership.day !== this.day) this.restart()
    if (this.walk === undefined || this.scheduler.sweptCount > this.settings.sweepUsersMax) return false
    const count = Math.min(this.settings.sweepUsersMax, this.allowed())
    if (count === 0) return false
    this.allowance -= count
    for (let i = 0; i < count; i++) {
      if (this.walk.next().done === true) {
        this.walk = undefined
        swept.publish({ stage: 'finished', usersSeen: this.seen, usersMarked: this.marked })
        break
      }
    }
    return true
  }

  /** Users of `sweepUsersPerSecondMax` that were not looked at yet; at most those of half a second, or of one step. */
  private allowed(): number {
    const { sweepUsersMax, sweepUsersPerSecondMax: rate } = this.settings
    if (rate === Number.POSITIVE_INFINITY) return sweepUsersMax
    const nowMs = this.ownership.nowMs()
    const most = Math.max(sweepUsersMax, rate / 2)
    const passedMs = Number.isNaN(this.allowedMs) ? 1_000 : Math.max(0, nowMs - this.allowedMs)
    this.allowedMs = nowMs
    this.allowance = Math.min(most, Math.max(0, this.allowance) + (rate * passedMs) / 1_000)
    return Math.floor(this.allowance)
  }

  private *users(): Generator<void> {
    for (const partition of [...this.ownership.partitions.values()]) {
      for (const key of this.keysOf(partition)) {
        if (!partition.owned) break
        const entry = partition.entry(key)
        if (entry.sweep === this.number) continue
        entry.sweep = this.number
        this.seen++
        if (this.look(entry)) this.marked++
        yield
      }
    }
  }

  /** Those in local reach by pages, then those in memory only, then those known only by a tombstone. */
  private *keysOf(partition: Partition): Generator<UserKey> {
    const pageSize = this.settings.sweepUsersMax
    let after: UserKey | null = null
    for (;;) {
      const page: UserKey[] = partition.storedUsers(after, pageSize)
      yield* page
      if (page.length < pageSize) break
      after = page.at(-1)!
    }
    yield* [...partition.entries.keys()]
    yield* partition.tombstones.keys()
  }

  private look(entry: UserEntry): boolean {
    const { control, scheduler, snapshots, ownership } = this
    const state = entry.partition.stateOf(entry)
    let differs = false
    for (const target of control.view.targets.values()) {
      // V2: collections kept for roll-back hold stubs of forgotten users, and nothing else is written there.
      if (!target.inUse && state.tombstoneMs === null) continue
      const { inputHash } = snapshots.of(entry, state, target, ownership.day)
      // What is in flight may land or not: it is looked at again once that is known.
      const isEqual = state.acknowledged.get(target.key)?.inputHash === inputHash
      if (isEqual && !entry.inFlight.has(target.key)) continue
      if (this.isPlanned(state, target, inputHash)) continue
      scheduler.mark(entry, target.key)
      differs = true
    }
    scheduler.schedule(entry, control.view, ownership.nowMs())
    return differs
  }

  /**
   * The user changed, and is due within the group's cadence, which outlives its owners: nothing to do before. Whatever else
   * differs can't wait: a new text, a model, a stub. Nor does a due time count that another clock or a former cadence set
   * too far away.
   */
  private isPlanned(state: UserState, target: Target, inputHash: string): boolean {
    const known = state.acknowledged.get(target.key)
    const dueMs = state.dueMs.get(target.key)
    if (known === undefined || dueMs === undefined || !isAskedAlike(known.inputHash, inputHash)) return false
    const leftMs = dueMs - this.ownership.nowMs()
    return leftMs > 0 && leftMs <= refreshMs(target, this.settings.quietMs)
  }
}
