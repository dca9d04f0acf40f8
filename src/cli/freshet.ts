/** A running freshet: every part of it, working in the background until it is closed. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import { UnavailableError } from '../errors.ts'
import { mended, unavailable } from '../pipeline/channels.ts'
import type { Partition } from '../pipeline/partition.ts'
import { closeAll } from './close-all.ts'
import type { Parts } from './parts.ts'

/** How long a stop waits for users whose events were read: what is left is read again at the next start. */
const DRAIN_MS = 10_000
const POLL_MS = 10
/** A server that is away is looked for at least this often. */
const REACH_MS_MAX = 10_000

/** What is said when everybody is embedded anew without having been asked for. */
export const REBUILT: Record<Settings['vectors']['driver'], string> = {
  sqlite: 'vectors were gone, or of another time than the states: every user is embedded anew',
  qdrant: 'collections were gone, or of another time than the states: every user is embedded anew',
}

export interface FreshetOptions<Its extends Parts> {
  parts: Its
  /** In the order of opening; they are called in the other one. */
  closers: (() => unknown)[]
  /**
   * Nobody shares log and partitions: a start takes them over, and a stop reads the log to its end first. In a group others may
   * have them all, and go on with what is left.
   */
  isAlone: boolean
  /** Left out: what events and states lie in is on this machine, and answers. */
  neighbours?: Neighbours
}

/** Those who take the last commit of a stop. */
export interface Neighbours {
  /** How long a stop waits for them, milliseconds. */
  stopTimeoutMs: number
  /** Has everything fail that waits for them. */
  giveUp: () => Promise<unknown>
}

export class Freshet<Its extends Parts = Parts> {
  readonly parts: Its
  private readonly isAlone: boolean
  private readonly closers: (() => unknown)[]
  private readonly neighbours: Neighbours | undefined
  private readonly stopping = new AbortController()
  private readonly taken = Promise.withResolvers<void>()
  private running: Promise<void> | undefined
  private failure: unknown
  private isReached = false
  private rebuilt = false

  constructor({ parts, closers, isAlone, neighbours }: FreshetOptions<Its>) {
    this.parts = parts
    this.closers = closers
    this.isAlone = isAlone
    this.neighbours = neighbours
  }

  /** The vectors were gone, or of another time than the states, and everybody is embedded anew. */
  get isRebuilt(): boolean {
    return this.rebuilt
  }

  /** Finds the vectors as the states say, or has them embedded anew. @throws {UnavailableError} not now */
  async reach(): Promise<void> {
    this.rebuilt = await this.parts.opensVectors.reach()
    this.isReached = true
  }

  /**
   * Runs in the background, and takes over where it is alone.
   *
   * @returns false: the vectors can't be reached now; it goes on trying, see `takenOver`
   * @throws what keeps the take-over from ending
   */
  async start(): Promise<boolean> {
    const isReached = this.isReached || (await this.tryToReach(1)) === null
    this.running = isReached ? this.work() : this.workOnceReached()
    this.running.catch((error: unknown) => {
      this.failure = error
      this.stopping.abort()
    })
    if (isReached && this.isAlone) await this.takenOver()
    return isReached
  }

  /** Resolves when everything is taken over and runs, or was stopped before. @throws what keeps it from being so */
  async takenOver(): Promise<void> {
    await Promise.race([this.taken.promise, this.running])
  }

  /** Resolves when everything has stopped by itself; rejects with what only a restart mends. */
  async ended(): Promise<void> {
    await this.running
  }

  /** Records of the partitions held that were not read yet, as far as is known. */
  lag(): number {
    return this.lags().reduce((sum, { records }) => sum + records, 0)
  }

  /** The same by topic and partition. */
  lags(): { topic: string; partition: number; records: number }[] {
    const { updater } = this.parts
    return [...updater.ownership.partitions.values()].flatMap((partition) => this.lagsOf(partition))
  }

  /** Resolves when every record of the log has been read into the states. */
  async caughtUp(): Promise<void> {
    while (this.lag() > 0) await this.pause()
  }

  /** Embeds without waiting for any debounce until nothing is left to do, then commits. @param report called with users that still wait */
  async untilIdle(report: (waiting: number) => void = () => {}): Promise<void> {
    const { updater, housekeeping, pipelineSettings } = this.parts
    updater.refreshing = true
    const { sweepUsersPerSecondMax } = pipelineSettings
    // Somebody waits for it: there is nothing that a sweep should give way to.
    pipelineSettings.sweepUsersPerSecondMax = Number.POSITIVE_INFINITY
    while (!this.stopping.signal.aborted && (this.lag() > 0 || !updater.idle)) {
      const worked = await updater.refreshOnce(true)
      report(this.waiting)
      if (!worked) await this.pause()
    }
    pipelineSettings.sweepUsersPerSecondMax = sweepUsersPerSecondMax
    if (this.stopping.signal.aborted) return
    await updater.commitOnce()
    await housekeeping.tick()
  }

  /** Users with events that no vector shows yet, and those whom a sweep marked. */
  get waiting(): number {
    const { ownership, scheduler } = this.parts.updater
    let users = scheduler.sweptCount
    for (const partition of ownership.partitions.values()) users += partition.held.size
    return users
  }

  /**
   * Lets what was read be embedded, commits, and closes everything.
   *
   * @param drainMs how long at most; what hangs then is given up, and comes again at the next start
   */
  async close(drainMs = DRAIN_MS): Promise<void> {
    const { source, clock } = this.parts
    let drained: { ended: Promise<void> } | undefined
    if (this.running !== undefined && this.failure === undefined) {
      const deadlineMs = clock.nowMs() + drainMs
      while (this.isAlone && this.lag() > 0 && clock.nowMs() < deadlineMs && this.failure === undefined)
        await sleep(POLL_MS)
      await source.stop()
      drained = await this.drain(deadlineMs)
    }
    this.stopping.abort()
    if (this.running !== undefined) await this.endWork()
    await drained?.ended
    await closeAll(this.closers)
  }

  /** Commits once more, and waits until nothing runs; for neighbours that are away no longer than was agreed. */
  private async endWork(): Promise<void> {
    const { updater, clock } = this.parts
    const done = new AbortController()
    const ended = updater
      .stop()
      .then(() => this.running?.catch(() => {}))
      .finally(() => done.abort())
    if (this.neighbours !== undefined) {
      await Promise.race([ended, clock.sleep(this.neighbours.stopTimeoutMs, done.signal)])
      if (!done.signal.aborted) await this.neighbours.giveUp()
    }
    await ended
  }

  /**
   * Ends at the deadline, whatever hangs: a store of vectors that is silent would hold a stop for minutes.
   *
   * @returns resolves once what was given up has ended, which it does when the updater stops
   */
  private async drain(deadlineMs: number): Promise<{ ended: Promise<void> }> {
    const { updater, clock, opensVectors } = this.parts
    const isLate = () => clock.nowMs() >= deadlineMs || this.failure !== undefined
    let isDone = false
    const ended = (async () => {
      while (!this.settled && !isLate()) if (!(await updater.refreshOnce(true))) await sleep(POLL_MS)
    })().finally(() => {
      isDone = true
    })
    // Whoever closes looks at it, later.
    ended.catch(() => {})
    while (!isDone && !isLate()) await sleep(POLL_MS)
    if (!this.settled) await opensVectors.close()
    return { ended }
  }

  /** @returns milliseconds to wait before the next attempt; null: they were reached */
  private async tryToReach(attempt: number): Promise<number | null> {
    try {
      await this.reach()
      return null
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      unavailable.publish({ what: 'vectors', error, attempt })
      return Math.max(error.retryAfterMs, Math.min(error.retryAfterMs * 2 ** (attempt - 1), REACH_MS_MAX))
    }
  }

  /** Records are taken meanwhile: they wait in the log. */
  private async workOnceReached(): Promise<void> {
    const { signal } = this.stopping
    for (let attempt = 2; !signal.aborted; attempt++) {
      const waitMs = await this.tryToReach(attempt)
      if (waitMs === null) break
      await this.parts.clock.sleep(waitMs, signal)
    }
    if (!signal.aborted) await this.work()
  }

  private async work(): Promise<void> {
    const { updater, housekeeping, settings, backend, opened } = this.parts
    if (this.rebuilt) mended.publish({ what: 'vectors', message: REBUILT[settings.vectors.driver] })
    const running = Promise.all([updater.run(), housekeeping.run(this.stopping.signal)])
    // Looked at below; nobody must take it for unheard of until then.
    running.catch(() => {})
    await Promise.race([this.untilOwner(), running])
    if (updater.ownership.stage === 'owner') {
      backend.keepHorizon(updater.snapshots.horizonOf(opened.model.id))
      await this.keepHouse()
      this.taken.resolve()
    }
    await running
  }

  /** A group may take its time to give us partitions, and may have none for us. */
  private async untilOwner(): Promise<void> {
    const { ownership } = this.parts.updater
    await ownership.settled()
    while (ownership.stage !== 'owner' && !this.stopping.signal.aborted) await sleep(POLL_MS)
  }

  /** What is unavailable now is done by the loop. */
  private async keepHouse(): Promise<void> {
    try {
      await this.parts.housekeeping.tick()
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      unavailable.publish({ what: 'vectors', error, attempt: 1 })
    }
  }

  private get settled(): boolean {
    if (!this.parts.updater.refreshing) return true
    return [...this.parts.updater.ownership.partitions.values()].every(({ settled }) => settled)
  }

  private lagsOf(partition: Partition) {
    const { backend, source } = this.parts
    const { number } = partition
    return source.topics.map((topic, i) => {
      const end = backend.endOf(topic, number) ?? 0
      return { topic, partition: number, records: Math.max(0, end - partition.read[i]!) }
    })
  }

  private async pause(): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    await sleep(POLL_MS)
  }
}
