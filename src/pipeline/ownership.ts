/** Takes over partitions: restore, one new epoch for all, the ownership check, and only then the right to write (O1-O8). */

import { ConfigError, invariant, UnavailableError } from '../errors.ts'
import { userKey } from '../events/ids.ts'
import { dayOf } from '../window/day.ts'
import type { WindowCaps } from '../window/user-state.ts'
import { owner, unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Control } from './control.ts'
import type { ControlLog } from './control-log.ts'
import type { Assignment, EventSource, Positions } from './event-source.ts'
import { Partition } from './partition.ts'
import type { PipelineSettings } from './settings.ts'
import type { Checkpoint, StateStore } from './state-store.ts'

/**
 * `idle`: nothing held · `taking`: restoring with nothing held, or claiming · `owner`: what is held is served, whatever is
 * being restored beside it · `fenced`: somebody newer was seen, stop.
 */
export type Stage = 'idle' | 'taking' | 'owner' | 'fenced'

export interface OwnershipParts {
  clock: Clock
  settings: PipelineSettings
  source: EventSource
  store: StateStore
  control: Control
  controlLog: ControlLog
  caps: () => WindowCaps
}

/** A partition restored, and what its changelog says of the owners before. */
interface Found {
  partition: Partition
  highestEpoch: number
  day: number
}

export class Ownership {
  /** The fencing token of all our writes; 0 before any take-over. */
  epoch = 0
  generation = -1
  readonly partitions = new Map<number, Partition>()
  /** V4: the first write of this epoch was read back. */
  readBackDone = false
  /** Called when partitions became ours: the closing sweep starts (O7). */
  taken: () => void = () => {}
  /** Called when something is wrong that only a restart mends. */
  failed: (error: unknown) => void = () => {}

  private readonly parts: OwnershipParts
  private stageNow: Stage = 'idle'
  private restoringNow: readonly number[] = []
  private interruption = new AbortController()
  private takeOver: Promise<void> = Promise.resolve()
  private writes = 0
  /** When the assignment came that is being taken over. */
  private takingMs = 0
  private acceptedMs = Number.NEGATIVE_INFINITY
  private dayNow = Number.NEGATIVE_INFINITY

  constructor(parts: OwnershipParts) {
    this.parts = parts
  }

  get stage(): Stage {
    return this.stageNow
  }

  /** Partitions that were assigned and are not ours yet: restored and claimed now. */
  get restoring(): readonly number[] {
    return this.restoringNow
  }

  /** No other worker holds any partition. */
  get ownsAll(): boolean {
    return this.stageNow === 'owner' && this.partitions.size === this.parts.source.partitionCount
  }

  /** The day as of which windows are read, days since the Unix epoch; it never goes back, whatever the clocks say. */
  get day(): number {
    return this.dayNow
  }

  /** A new day is made durable before anything is read as of it, so that no later owner goes back behind it. */
  async advanceDay(): Promise<void> {
    const { store } = this.parts
    const { epoch } = this
    const day = this.clockDay()
    if (this.stageNow !== 'owner' || day <= this.dayNow) return
    for (const partition of [...this.partitions.values()])
      await store.appendCheckpoint(partition.number, {
        ...this.checkpoint(partition.committable(), true),
        day,
      })
    if (this.epoch === epoch && this.stageNow === 'owner') this.dayNow = Math.max(this.dayNow, day)
  }

  nowMs(): number {
    return this.parts.clock.nowMs()
  }

  nextWrite(): number {
    return ++this.writes
  }

  /** V3: nothing is sent when the last accepted commit is older than the session time-out. */
  maySend(nowMs: number): boolean {
    return this.stageNow === 'owner' && nowMs - this.acceptedMs <= this.parts.settings.sessionTimeoutMs
  }

  /** A commit that was sent at the given time was accepted in our generation. */
  accepted(generation: number, sentMs: number): void {
    if (generation === this.generation) this.acceptedMs = Math.max(this.acceptedMs, sentMs)
  }

  /** The group has moved on: nothing is started until the next assignment. */
  lost(): void {
    if (this.stageNow === 'owner') this.acceptedMs = Number.NEGATIVE_INFINITY
  }

  /** A point bears a higher epoch than ours: somebody newer owns the partition (V4). */
  fenced(theirEpoch: number): void {
    this.enter('fenced')
    const message = `expected to own what we write, but a point bears epoch ${theirEpoch}, ours is ${this.epoch}`
    this.failed(new UnavailableError('fenced', `${message}: restart, the group will assign partitions anew`))
  }

  assigned(assignment: Assignment): void {
    if (this.stageNow === 'fenced') return
    this.interruption.abort()
    this.interruption = new AbortController()
    const { signal } = this.interruption
    // O2: what was kept goes on unrestored only if nobody can have owned it in between.
    const isNext = this.stageNow === 'owner' && assignment.generation === this.generation + 1
    this.generation = assignment.generation
    for (const partition of this.partitions.values())
      if (!isNext || !assignment.partitions.includes(partition.number)) this.drop(partition)
    const fresh = assignment.partitions.filter((number) => !this.partitions.has(number))
    this.restoringNow = fresh
    if (fresh.length === 0) {
      this.enter(this.partitions.size > 0 ? 'owner' : 'idle')
      return
    }
    // What was kept is ours under its epoch as before, and is served while the others are restored.
    this.enter(this.partitions.size > 0 ? 'owner' : 'taking')
    this.takingMs = this.nowMs()
    this.takeOver = this.takeOver
      .then(() => this.takeOverUntilDone(fresh, signal))
      .catch((e) => this.failed(e))
  }

  /** Resolves when the take-over under way, if any, is over. */
  async settled(): Promise<void> {
    await this.takeOver
  }

  async stop(): Promise<void> {
    this.interruption.abort()
    await this.takeOver
    for (const partition of this.partitions.values()) this.drop(partition)
    this.restoringNow = []
    if (this.stageNow !== 'fenced') this.enter('idle')
  }

  checkpoint(positions: Positions, confirmed: boolean, epoch = this.epoch): Checkpoint {
    return { epoch, positions, confirmed, day: this.day, partitionCount: this.parts.source.partitionCount }
  }

  private clockDay(): number {
    const { settings, clock } = this.parts
    return settings.asOfDay ?? dayOf(clock.nowMs())
  }

  private drop(partition: Partition): void {
    partition.owned = false
    this.partitions.delete(partition.number)
    this.parts.store.release(partition.number)
  }

  private enter(stage: Stage, took: { takeOverMs?: number } = {}): void {
    this.stageNow = stage
    const { epoch, generation, restoringNow: restoring } = this
    owner.publish({ stage, epoch, generation, partitions: [...this.partitions.keys()], restoring, ...took })
  }

  private async takeOverUntilDone(fresh: readonly number[], signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.takeOverOnce(fresh, signal)
        return
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof UnavailableError)) throw error
        unavailable.publish({ what: 'state', error, attempt })
        await this.parts.clock.sleep(error.retryAfterMs, signal)
      }
    }
  }

  private async takeOverOnce(fresh: readonly number[], signal: AbortSignal): Promise<void> {
    const { clock, source, store, control } = this.parts
    const { generation } = this
    await control.readToEnd()
    const restored = new Map<number, Partition>()
    let highestEpoch = this.epoch
    let { day } = this
    for (const number of fresh) {
      const found = await this.restore(number, signal)
      if (signal.aborted) return
      restored.set(number, found.partition)
      highestEpoch = Math.max(highestEpoch, found.highestEpoch)
      day = Math.max(day, found.day)
    }

    // From here until the claim is confirmed nothing new is sent, nor committed, of what was kept either.
    this.enter('taking')
    this.dayNow = Math.max(this.dayNow, day, this.clockDay())
    // One epoch for all partitions held, the kept ones, too; Unix time lifts it above that of any lost changelog (O1).
    const epoch = Math.max(highestEpoch + 1, Math.floor(clock.nowMs() / 1000))
    const held = [...this.partitions.values(), ...restored.values()]
    for (const partition of held) {
      // A claim: its positions count for nobody until the check has passed (O4).
      await store.appendCheckpoint(partition.number, this.checkpoint(partition.committable(), false, epoch))
      if (signal.aborted) return
    }
    const sentMs = clock.nowMs()
    const offsets = new Map(held.map((partition) => [partition.number, partition.committable()]))
    const isOurs = await source.commit(generation, offsets)
    if (signal.aborted) return
    if (!isOurs || generation !== this.generation) {
      // The group has moved on and will say what is ours now; until then nothing is.
      for (const partition of held) this.drop(partition)
      this.restoringNow = []
      this.enter('idle')
      return
    }
    for (const partition of held) {
      await store.appendCheckpoint(partition.number, this.checkpoint(partition.committable(), true, epoch))
      if (signal.aborted) return
    }
    this.own(epoch, restored, sentMs)
  }

  private own(epoch: number, restored: ReadonlyMap<number, Partition>, sentMs: number): void {
    this.epoch = epoch
    this.acceptedMs = sentMs
    this.readBackDone = false
    for (const partition of this.partitions.values())
      for (const entry of partition.entries.values()) entry.acknowledgedIn.clear() // E2: this epoch has written nothing
    for (const [number, partition] of restored) this.partitions.set(number, partition)
    this.restoringNow = []
    this.enter('owner', { takeOverMs: this.nowMs() - this.takingMs })
    for (const [number, partition] of restored) this.parts.source.seek(number, partition.readPositions)
    this.taken()
  }

  private async restore(number: number, signal: AbortSignal): Promise<Found> {
    const { source, store, controlLog, caps } = this.parts
    const { checkpoint, highestEpoch } = await store.restore(number, signal)
    if (checkpoint !== null && checkpoint.partitionCount !== source.partitionCount)
      throw new ConfigError(
        'partition-count-changed',
        `expected ${checkpoint.partitionCount} partitions, as the checkpoint of partition ${number} says, got ` +
          `${source.partitionCount}: users would move between partitions; re-create the state with the new count`,
      )
    const committed = await source.committed(number)
    const partition = new Partition(
      number,
      source.topics,
      startOf(checkpoint, committed, source.topics),
      caps(),
      store,
    )
    // O1: tombstones are read to their end, so that no forgotten user is embedded from events read before the tombstone.
    for (const { tenant, user, atMs } of await controlLog.tombstones(number)) {
      const key = userKey(tenant, user)
      partition.tombstones.set(key, Math.max(atMs, partition.tombstones.get(key) ?? atMs))
    }
    invariant(highestEpoch >= (checkpoint?.epoch ?? 0), 'expected the highest epoch to cover the checkpoint')
    return { partition, highestEpoch, day: checkpoint?.day ?? Number.NEGATIVE_INFINITY }
  }
}

/** O4: the smaller of the checkpoint, which is the truth, and the group offset; without a checkpoint the beginning. */
function startOf(checkpoint: Checkpoint | null, committed: Positions, topics: readonly string[]): Positions {
  return new Map(
    topics.map((topic) => {
      const position = checkpoint?.positions.get(topic) ?? 0
      return [topic, Math.min(position, committed.get(topic) ?? 0)]
    }),
  )
}
