/** One micro-batch from snapshot to acknowledgement: embed, upsert whole points under one version, keep what was learnt. */

import { ConfigError, FreshetError, UnavailableError } from '../errors.ts'
import type { UserInput } from '../model/embedding-model.ts'
import { pointId } from '../vectors/names.ts'
import type { Point, RefusedPoint, VectorStore, WriteVersion } from '../vectors/vector-store.ts'
import { dayString } from '../window/day.ts'
import { expiresAtMs } from '../window/read-window.ts'
import type { UserState, WindowSnapshot } from '../window/user-state.ts'
import { parked, refreshed, unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Control } from './control.ts'
import type { Flusher } from './flusher.ts'
import { forgetTarget, markEverywhere, moveDue } from './marks.ts'
import type { Offsets } from './offsets.ts'
import type { Ownership } from './ownership.ts'
import type { Scheduler } from './scheduler.ts'
import { Sender } from './sender.ts'
import type { PipelineSettings } from './settings.ts'
import type { Snapshot, Snapshots } from './snapshot.ts'
import { Teller } from './teller.ts'
import type { UpdateSink } from './updates.ts'
import type { UserEntry } from './user-entry.ts'
import type { Target } from './view.ts'

/** One user in a micro-batch. */
interface Request {
  entry: UserEntry
  snapshot: Snapshot
  input: UserInput | null
  /** Records that the acknowledgement releases; null where the target acknowledges none. */
  first: Offsets | null
  oldestAppendMs: number
}

interface MicroBatch {
  target: Target
  /** Taken when the snapshots were (V1). */
  version: WriteVersion
  /** As of which their windows were read. */
  day: number
  requests: Request[]
}

/** Users that one step deals with at most without a batch (skipped, parked): a bound on how long it blocks. */
const SKIPS_MAX = 2_000

export interface RefresherParts {
  clock: Clock
  settings: PipelineSettings
  ownership: Ownership
  control: Control
  scheduler: Scheduler
  flusher: Flusher
  snapshots: Snapshots
  vectors: VectorStore
  /** Left out: nobody wants to know. */
  updates?: UpdateSink
  /** Turns a window into sentences and features, see user-input.ts. */
  render: (target: Target, window: WindowSnapshot) => UserInput
  stopping: AbortSignal
}

export class Refresher {
  private readonly parts: RefresherParts
  private readonly sender: Sender
  private readonly teller: Teller
  private inFlight = 0
  /** Micro-batches embedded so far: tells a user who can't be embedded from a model that embeds nobody. */
  private successes = 0

  constructor(parts: RefresherParts) {
    this.parts = parts
    this.sender = new Sender(parts)
    this.teller = new Teller(parts)
  }

  get idle(): boolean {
    return this.inFlight === 0
  }

  /**
   * Takes the next micro-batch and brings it to its acknowledgement.
   *
   * @param force who has anything to do counts as due
   * @returns false: there was nothing to do
   */
  async refreshOnce(force = false): Promise<boolean> {
    const { ownership, clock, flusher } = this.parts
    if (!ownership.maySend(clock.nowMs())) return false
    const batch: { current: MicroBatch | undefined } = { current: undefined }
    const took = this.take(batch, force)
    this.inFlight++
    try {
      // What was skipped or parked is flushed before its records count as acknowledged (E5).
      const skipped = flusher.run()
      if (batch.current !== undefined) await this.bring(batch.current)
      await skipped
    } finally {
      this.inFlight--
    }
    return took
  }

  private take(batch: { current: MicroBatch | undefined }, force: boolean): boolean {
    const { scheduler, control, clock, settings } = this.parts
    let positions = 0
    let skips = 0
    return scheduler.take(control.view, clock.nowMs(), force, (entry, target) => {
      const users = batch.current?.requests.length ?? 0
      if (users >= settings.batchUsersMax || skips >= SKIPS_MAX || (entry.alone && users > 0)) return false
      if (users > 0 && batch.current!.requests[0]!.entry.alone) return false
      const request = this.request(entry, target)
      if (request === undefined) {
        skips++
        return true
      }
      positions += this.positions(request, target)
      if (users > 0 && positions > settings.batchPositionsMax) return false
      this.start(batch, request, target)
      return true
    })
  }

  private positions({ input }: Request, target: Target): number {
    if (input === null) return 0
    return this.parts.snapshots.model(target.model).positions(input, [...target.texts.texts.values()])
  }

  /** Deals with a user at once where nothing has to be computed; else says what has to be. */
  private request(entry: UserEntry, target: Target): Request | undefined {
    const { ownership, snapshots } = this.parts
    const state = entry.partition.stateOf(entry)
    const { key } = target
    if (!target.inUse && state.tombstoneMs === null) {
      state.dueMs.delete(key)
      entry.swept.delete(key)
      return undefined
    }
    const snapshot = snapshots.of(entry, state, target, ownership.day)
    if (target.texts.group.paused && snapshot.window !== null) {
      entry.swept.delete(key)
      return undefined
    }
    if (state.parked !== null && !entry.retry && snapshot.window !== null) {
      this.park(entry, state.parked.reason)
      return undefined
    }
    // E2: an equal hash counts only if it was acknowledged in this epoch and nothing unknown has been sent since.
    const isFresh = state.acknowledged.get(key)?.inputHash === snapshot.inputHash
    if (isFresh && entry.acknowledgedIn.get(key) === ownership.epoch) {
      this.skip(entry, target)
      return undefined
    }
    const input = snapshot.window === null ? null : this.parts.render(target, snapshot.window)
    return { entry, snapshot, input, first: null, oldestAppendMs: Number.POSITIVE_INFINITY }
  }

  private skip(entry: UserEntry, target: Target): void {
    const { flusher, ownership } = this.parts
    entry.partition.stateOf(entry).dueMs.delete(target.key)
    entry.swept.delete(target.key)
    if (!target.acknowledges) return
    const first = entry.partition.take(entry)
    entry.oldestAppendMs = Number.POSITIVE_INFINITY
    if (entry.changed)
      flusher.add(entry, first, ownership.epoch) // E5
    else entry.partition.release(first)
  }

  /** Moves the user's marks into the batch: from here on they are this request's, until it is over. */
  private start(batch: { current: MicroBatch | undefined }, request: Request, target: Target): void {
    const { ownership } = this.parts
    const { entry } = request
    batch.current ??= {
      target,
      version: { epoch: ownership.epoch, write: ownership.nextWrite() },
      day: ownership.day,
      requests: [],
    }
    if (target.acknowledges) {
      request.first = entry.partition.take(entry)
      request.oldestAppendMs = entry.oldestAppendMs
      entry.oldestAppendMs = Number.POSITIVE_INFINITY
    }
    entry.swept.delete(target.key)
    entry.inFlight.add(target.key)
    batch.current.requests.push(request)
  }

  private async bring(batch: MicroBatch): Promise<void> {
    const { clock, flusher } = this.parts
    const startMs = clock.nowMs()
    let points: Point[]
    try {
      points = await this.embed(batch)
    } catch (error) {
      this.embedFailed(batch, error)
      await flusher.run()
      return
    }
    this.successes++
    const embeddedMs = clock.nowMs()
    const isOwned = () => batch.requests.some(({ entry }) => entry.partition.owned)
    const sent = await this.sender.send({ ...batch, points, isOwned })
    const { refused } = sent
    const sentMs = clock.nowMs()
    let { outcome } = sent
    if (outcome === 'acknowledged') {
      const written = batch.requests.flatMap(({ snapshot }, i) => {
        const point = points[i]!
        return refused.some(({ id }) => id === point.id) ? [] : [{ point, snapshot }]
      })
      if (!(await this.teller.tell({ ...batch, written, isOwned }))) outcome = 'unknown'
    }
    const nowMs = clock.nowMs()
    for (const [i, request] of batch.requests.entries()) {
      const why = refused.find(({ id }) => id === points[i]!.id)
      if (outcome === 'unknown') this.giveUp(batch, request)
      else if (why !== undefined) this.refused(batch, request, why)
      else this.acknowledge(batch, request)
    }
    refreshed.publish({
      target: batch.target.key,
      users: batch.requests.length,
      stubs: batch.requests.filter(({ input }) => input === null).length,
      outcome,
      freshnessMs: batch.requests
        .filter((r) => r.oldestAppendMs < nowMs)
        .map((r) => nowMs - r.oldestAppendMs),
      embedMs: embeddedMs - startMs,
      upsertMs: sentMs - embeddedMs,
    })
    await flusher.run()
  }

  private async embed({ target, requests, day }: MicroBatch): Promise<Point[]> {
    const { snapshots } = this.parts
    const model = snapshots.model(target.model)
    const inputs = requests.flatMap(({ input }) => (input === null ? [] : [input]))
    const names = [...target.texts.texts.keys()]
    const vectors =
      inputs.length === 0 ? [] : await model.embedUsers(inputs, [...target.texts.texts.values()])
    let next = 0
    return requests.map(({ entry, snapshot }): Point => {
      const { tenant: tenantId, user: userId } = entry.partition.stateOf(entry)
      const id = pointId(entry.key)
      const { window, inputHash } = snapshot
      if (window === null) return { kind: 'stub', id, userId, tenantId }
      const row = vectors[next++]!
      const payload = {
        userId,
        tenantId,
        segment: window.tabular?.categorical.segment ?? null,
        lastEventAtMs: window.lastEventMs,
        asOfDay: dayString(day),
        inputHash,
        model: target.model,
        expiresAtMs: expiresAtMs(window, snapshots.horizonOf(target.model)),
      }
      return { kind: 'vectors', id, payload, vectors: new Map(names.map((name, i) => [name, row[i]!])) }
    })
  }

  private acknowledge(batch: MicroBatch, request: Request): void {
    const { clock, control, flusher, ownership, scheduler, snapshots } = this.parts
    const { entry, snapshot } = request
    const { key } = batch.target
    entry.inFlight.delete(key)
    if (!entry.partition.owned) return
    const state = entry.partition.stateOf(entry)
    state.acknowledged.set(key, { inputHash: snapshot.inputHash, epoch: batch.version.epoch })
    entry.acknowledgedIn.set(key, batch.version.epoch)
    entry.attempts = 0
    entry.alone = false

    // E3: the marks go only if the hash would still be that of the snapshot.
    const target = control.view.targets.get(key)
    const isCurrent =
      target !== undefined &&
      snapshots.of(entry, state, target, ownership.day).inputHash === snapshot.inputHash
    if (target === undefined) forgetTarget(entry, state, batch.target)
    else if (isCurrent) state.dueMs.delete(key)
    else if (state.dueMs.has(key) || !target.acknowledges) moveDue(state, target, clock.nowMs())
    // Records that came meanwhile bring the user back by the debounce; else nothing would.
    else if (!entry.dirty) scheduler.mark(entry, key)

    if (entry.retry) {
      entry.retry = false
      state.parked = null
    } else if (snapshot.window === null && state.parked !== null) this.unpark(entry, state)
    flusher.add(entry, request.first, ownership.epoch)
    scheduler.schedule(entry, control.view, clock.nowMs())
  }

  /** The outcome is unknown: the write may still land, so nothing that was believed about the target holds (E2). */
  private giveUp(batch: MicroBatch, { entry, first, oldestAppendMs }: Request): void {
    const { key } = batch.target
    entry.inFlight.delete(key)
    if (!entry.partition.owned) return
    entry.partition.giveBack(entry, first)
    entry.partition.stateOf(entry).acknowledged.delete(key)
    entry.acknowledgedIn.delete(key)
    entry.oldestAppendMs = Math.min(entry.oldestAppendMs, oldestAppendMs)
    this.again(batch, entry, this.parts.settings.quietMs)
  }

  /** The store will never take this user's point: set aside, as if the model had refused it. */
  private refused(batch: MicroBatch, { entry, first }: Request, { error }: RefusedPoint): void {
    entry.inFlight.delete(batch.target.key)
    if (!entry.partition.owned) return
    entry.partition.giveBack(entry, first)
    this.park(entry, error.code)
  }

  private embedFailed(batch: MicroBatch, error: unknown): void {
    if (error instanceof ConfigError) throw error
    const { settings } = this.parts
    const reason = error instanceof FreshetError ? error.code : String(error)
    unavailable.publish({
      what: 'model',
      error: error instanceof Error ? error : new Error(reason),
      attempt: 1,
    })
    for (const { entry, first } of batch.requests) {
      entry.inFlight.delete(batch.target.key)
      if (!entry.partition.owned) continue
      entry.partition.giveBack(entry, first)
      // A model that is down for everybody is no fault of this user: then only time is lost.
      const isOwnFault = !(error instanceof UnavailableError) || entry.successesBefore < this.successes
      if ((entry.alone || batch.requests.length === 1) && isOwnFault) entry.attempts++
      entry.alone = true
      entry.successesBefore = this.successes
      if (entry.attempts >= settings.attemptsMax) this.park(entry, reason)
      else this.again(batch, entry, settings.quietMs)
    }
  }

  /** The user comes again for this target, not at once. */
  private again({ target }: MicroBatch, entry: UserEntry, delayMs: number): void {
    const { clock, scheduler } = this.parts
    const nowMs = clock.nowMs()
    if (target.acknowledges) entry.dirty = true
    else entry.partition.stateOf(entry).dueMs.set(target.key, nowMs + delayMs)
    scheduler.later(entry, nowMs + delayMs)
  }

  /** Sets the user aside, durably, so that the partition goes on; records that still come are flushed and acknowledged. */
  private park(entry: UserEntry, reason: string): void {
    const { clock, flusher, ownership } = this.parts
    const state = entry.partition.stateOf(entry)
    if (state.parked === null || entry.retry) {
      state.parked = { reason, sinceMs: clock.nowMs() }
      parked.publish({ tenant: state.tenant, user: state.user, reason })
    }
    entry.retry = false
    entry.attempts = 0
    entry.swept.clear()
    state.dueMs.clear()
    state.acknowledged.clear()
    entry.acknowledgedIn.clear()
    flusher.add(entry, entry.partition.take(entry), ownership.epoch) // E5
  }

  /** A parked user who has nothing to embed any more is well again; all other targets look at the user, too (E5). */
  private unpark(entry: UserEntry, state: UserState): void {
    state.parked = null
    const { clock, control, settings } = this.parts
    markEverywhere(entry, state, control.view, clock.nowMs(), true, settings.quietMs)
    entry.dirty = true
  }
}
