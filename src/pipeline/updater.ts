/**
 * The data path on one screen:
 *
 *   source → decode → window → trigger → encode once → backbone per instruction → upsert → flush state → checkpoint → commit
 *
 * `records` reads and marks, `refreshOnce` embeds and writes, `commitOnce` checkpoints and commits; `run` turns them.
 */

import { UnavailableError } from '../errors.ts'
import type { UserKey } from '../events/ids.ts'
import type { RecordDecoder, SourceRecord } from '../events/source-record.ts'
import type { UserInput } from '../model/embedding-model.ts'
import type { VectorStore } from '../vectors/vector-store.ts'
import type { WindowSnapshot } from '../window/user-state.ts'
import { unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import { Committer } from './committer.ts'
import { Consumer } from './consumer.ts'
import { Control } from './control.ts'
import type { ControlLog, DeadLetters } from './control-log.ts'
import type { Assignment, EventSource, SourceListener } from './event-source.ts'
import { Flusher } from './flusher.ts'
import { markEverywhere } from './marks.ts'
import { Ownership } from './ownership.ts'
import { Pauses } from './pauses.ts'
import { Refresher } from './refresher.ts'
import { Scheduler } from './scheduler.ts'
import type { PipelineSettings } from './settings.ts'
import { type ModelSet, Snapshots } from './snapshot.ts'
import type { StateStore } from './state-store.ts'
import { Sweep } from './sweep.ts'
import type { UpdateSink } from './updates.ts'
import type { Target } from './view.ts'
import { Waker } from './waker.ts'
import { windowCaps } from './window-caps.ts'

export interface UpdaterParts {
  source: EventSource
  decoder: RecordDecoder
  store: StateStore
  controlLog: ControlLog
  deadLetters: DeadLetters
  models: ModelSet
  render: (target: Target, window: WindowSnapshot) => UserInput
  vectors: VectorStore
  /** Told of each vector that changed, once at least; left out: nobody is. */
  updates?: UpdateSink
  clock: Clock
  settings: PipelineSettings
}

export class Updater implements SourceListener {
  readonly control: Control
  readonly ownership: Ownership
  readonly scheduler: Scheduler
  readonly snapshots: Snapshots
  readonly sweep: Sweep
  /** False: states move, nothing is embedded (an import until its end). */
  refreshing = true

  private readonly parts: UpdaterParts
  private readonly consumer: Consumer
  private readonly refresher: Refresher
  private readonly flusher: Flusher
  private readonly committer: Committer
  private readonly stopping = new AbortController()
  private failure: unknown
  private readonly waker: Waker

  constructor(parts: UpdaterParts) {
    const { source, store, controlLog, vectors, clock, settings } = parts
    this.parts = parts
    this.waker = new Waker(clock)
    const snapshots = new Snapshots(parts.models, settings.horizonDays, settings.renderedAs)
    const control = new Control(controlLog, vectors, snapshots)
    const scheduler = new Scheduler(settings)
    const flusher = new Flusher(store)
    const caps = () => windowCaps(control.view, parts.models, settings)
    const ownership = new Ownership({ clock, settings, source, store, control, controlLog, caps })
    this.snapshots = snapshots
    this.control = control
    this.scheduler = scheduler
    this.flusher = flusher
    this.ownership = ownership
    this.sweep = new Sweep(settings, ownership, control, scheduler, snapshots)
    const pauses = new Pauses(source)
    const { signal: stopping } = this.stopping
    this.refresher = new Refresher({ ...parts, ownership, control, scheduler, flusher, snapshots, stopping })
    this.consumer = new Consumer({ ...parts, pauses, ownership, control, scheduler, snapshots, stopping })
    this.committer = new Committer({ ...parts, pauses, ownership, isBounded: () => this.refreshing })
    ownership.taken = () => {
      this.committer.keepBounds()
      this.lookAtEverybody()
    }
    ownership.failed = (error) => this.fail(error)
    control.changed = () => {
      for (const partition of ownership.partitions.values()) partition.caps = caps()
      this.lookAtEverybody()
    }
    flusher.failed = (entries, retryAfterMs) => {
      for (const entry of entries) scheduler.later(entry, clock.nowMs() + retryAfterMs)
    }
  }

  assigned(assignment: Assignment): void {
    this.ownership.assigned(assignment)
  }

  revoked(): void {
    this.ownership.lost()
  }

  /** source → decode → window → trigger. */
  records(batch: readonly SourceRecord[]): void {
    this.consumer.records(batch)
    this.committer.keepBounds()
    this.waker.wake()
  }

  /** Encode once → backbone per instruction → upsert → flush state. @returns false: nobody was due */
  refreshOnce(force = false): Promise<boolean> {
    return this.refreshing ? this.refresher.refreshOnce(force) : Promise.resolve(false)
  }

  /** Checkpoint → commit offsets. */
  async commitOnce(): Promise<void> {
    await this.ownership.advanceDay()
    await this.committer.commitOnce()
  }

  /** Nothing waits: every record read is acknowledged, every user swept, every state flushed. */
  get idle(): boolean {
    const { ownership, scheduler } = this
    if (ownership.stage !== 'owner' || !this.refresher.idle || !this.flusher.idle || !this.sweep.idle)
      return false
    if (ownership.restoring.length > 0 || scheduler.readyCount > 0) return false
    return [...ownership.partitions.values()].every((partition) => partition.settled)
  }

  /** Tries a parked user again; all targets look at the user (E5). @returns false: not held here, or not parked */
  retryParked(key: UserKey): boolean {
    const { clock, settings } = this.parts
    for (const partition of this.ownership.partitions.values()) {
      if (!partition.knows(key)) continue
      const entry = partition.entry(key)
      const state = partition.stateOf(entry)
      if (state.parked === null) return false
      entry.retry = true
      entry.dirty = true
      markEverywhere(entry, state, this.control.view, clock.nowMs(), true, settings.quietMs)
      this.scheduler.later(entry, clock.nowMs())
      this.waker.wake()
      return true
    }
    return false
  }

  /** Runs until `stop`, or rejects with what only a restart mends. */
  async run(): Promise<void> {
    const { source, clock, settings } = this.parts
    await source.start(this)
    const { signal } = this.stopping
    const every = async (ms: number, what: () => Promise<unknown>) => {
      while (!signal.aborted) {
        await this.guarded(what)
        await clock.sleep(ms, signal)
      }
    }
    await Promise.all([
      this.refreshLoop(signal),
      this.refreshLoop(signal),
      every(settings.commitIntervalMs, () => this.commitOnce()),
      every(settings.controlIntervalMs, () => this.control.readToEnd()),
    ])
    if (this.failure !== undefined) throw this.failure
  }

  /** Stops reading, lets micro-batches end, commits, and gives up what is held; what can't be committed now is read again. */
  async stop(): Promise<void> {
    await this.parts.source.stop()
    this.stopping.abort()
    this.waker.wake()
    if (this.failure === undefined) await this.commitLast()
    await this.ownership.stop()
  }

  private async commitLast(): Promise<void> {
    try {
      await this.committer.commitAnew()
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      unavailable.publish({ what: 'source', error, attempt: 1 })
    }
  }

  private async refreshLoop(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.parts
    while (!signal.aborted) {
      const worked = await this.guarded(() => this.refreshOnce())
      const swept = this.sweep.step()
      if (worked === true || swept) continue
      const waitMs = Math.min(Math.max(this.scheduler.nextMs - clock.nowMs(), 5), settings.commitIntervalMs)
      await this.waker.sleep(waitMs, signal)
    }
  }

  /** What is unavailable is tried again by the loop; anything else stops everything before more is written. */
  private async guarded<T>(what: () => Promise<T>): Promise<T | undefined> {
    try {
      return await what()
    } catch (error) {
      if (error instanceof UnavailableError) {
        unavailable.publish({ what: 'source', error, attempt: 1 })
        await this.parts.clock.sleep(error.retryAfterMs, this.stopping.signal)
      } else this.fail(error)
      return undefined
    }
  }

  private lookAtEverybody(): void {
    if (this.ownership.stage === 'owner') this.sweep.restart()
    this.waker.wake()
  }

  private fail(error: unknown): void {
    this.failure ??= error
    this.stopping.abort()
    this.waker.wake()
  }
}
