/** Alive, ready, degraded: three questions with three answers, so that an outage of a neighbour restarts nobody. */

import { FreshetError, UnavailableError } from '../errors.ts'
import {
  consumed,
  type OwnerMessage,
  owner,
  refreshed,
  restoring,
  type UnavailableMessage,
  unavailable,
} from '../pipeline/channels.ts'
import type { Clock } from '../pipeline/clock.ts'

/** The beat of the event loop. */
const BEAT_MS = 1_000
/** A loop that missed this many seconds is stuck: nothing of ours blocks longer than a second. Guess. */
const STUCK_MS = 30_000
/** What was unavailable and was not heard of again for so long counts as back: longer than any pause between two attempts. */
const FORGIVEN_MS = 60_000

type Neighbour = UnavailableMessage['what']

interface Outage {
  sinceMs: number
  lastMs: number
  error: Error
}

/** A neighbour's state changed; told once for each change. */
export type HealthChange =
  | { kind: 'degraded'; what: Neighbour; error: Error }
  | {
      kind: 'recovered'
      what: Neighbour
      outageMs: number
      /** False: nobody asked it since; it may as well be that nothing is asked of it. */
      isHeard: boolean
    }

/** How far the restore of a partition has come that was assigned and is not ours yet. */
export interface RestoreProgress {
  partition: number
  /** Changelog records read so far. */
  records: number
  /** Positions that are to be read yet, at most; null: its turn has not come. */
  left: number | null
}

export interface HealthOptions {
  clock: Clock
  /** Told of each change, at the time of the message or of the beat that notices it. */
  changed?: (change: HealthChange) => void
}

export class Health {
  private readonly clock: Clock
  private readonly changed: (change: HealthChange) => void
  private readonly outages = new Map<Neighbour, Outage>()
  private readonly unsubscribe: (() => void)[]
  private readonly timer: NodeJS.Timeout
  private beatMs: number
  private failure: string | null = null
  private stageNow = 'idle'
  private generation = -1
  private readonly restores = new Map<number, RestoreProgress>()

  constructor({ clock, changed }: HealthOptions) {
    this.clock = clock
    this.changed = changed ?? (() => {})
    this.beatMs = clock.nowMs()
    this.timer = setInterval(() => this.beat(), BEAT_MS)
    this.timer.unref()
    this.unsubscribe = [
      unavailable.subscribe(({ what, error }) => this.down(what, error)),
      // Whoever answered is back at once; the others are when nobody complains any more.
      consumed.subscribe(() => this.up('source')),
      refreshed.subscribe(({ outcome, users, stubs }) => {
        if (outcome !== 'acknowledged') return
        this.up('vectors')
        if (users > stubs) this.up('model')
      }),
      restoring.subscribe(({ partition, records, left }) =>
        this.restores.set(partition, { partition, records, left }),
      ),
      owner.subscribe((message) => this.owned(message)),
    ]
  }

  /** The owner's stage: `idle`, `taking`, `owner`, `fenced`. */
  get stage(): string {
    return this.stageNow
  }

  /** Partitions that are being restored, or wait for their turn, in order. */
  get restoring(): RestoreProgress[] {
    return [...this.restores.values()].sort((a, b) => a.partition - b.partition)
  }

  /** What is down or slow; vectors may be late, nothing is lost. */
  get degraded(): string[] {
    this.forgive()
    return [...this.outages].map(([what, { error }]) => `${what}: ${codeOf(error)}`)
  }

  /** Said by whoever ran the pipeline, when it ended with an error that only a restart mends. */
  failed(error: unknown): void {
    this.failure ??= codeOf(error)
  }

  /** Notes that the event loop turns, and who has recovered; called by a timer. */
  beat(): void {
    this.beatMs = this.clock.nowMs()
    this.forgive()
  }

  /** Not alive: a restart would help. An outage of a neighbour, or a take-over under way, is no reason. */
  live(): { live: boolean; why: string | null } {
    if (this.failure !== null) return { live: false, why: `the pipeline has stopped: ${this.failure}` }
    const lateMs = this.clock.nowMs() - this.beatMs
    if (lateMs > STUCK_MS) return { live: false, why: `the event loop has not turned for ${lateMs} ms` }
    return { live: true, why: null }
  }

  close(): void {
    clearInterval(this.timer)
    for (const unsubscribe of this.unsubscribe) unsubscribe()
  }

  /** What was under way is over or begins anew, unless the assignment is the same and says that it goes on. */
  private owned({ stage, generation, restoring: left }: OwnerMessage): void {
    this.stageNow = stage
    const isSame = generation === this.generation
    // Whoever assigns partitions answers: where topics are quiet, nothing else says so for a minute.
    if (!isSame && (stage === 'taking' || stage === 'owner')) this.up('source')
    this.generation = generation
    const before = new Map(this.restores)
    this.restores.clear()
    for (const partition of left) {
      const known = isSame ? before.get(partition) : undefined
      this.restores.set(partition, known ?? { partition, records: 0, left: null })
    }
  }

  private down(what: Neighbour, error: Error): void {
    const nowMs = this.clock.nowMs()
    const outage = this.outages.get(what)
    if (outage !== undefined) {
      outage.lastMs = nowMs
      outage.error = error
      return
    }
    this.outages.set(what, { sinceMs: nowMs, lastMs: nowMs, error })
    this.changed({ kind: 'degraded', what, error })
  }

  private up(what: Neighbour, isHeard = true): void {
    const outage = this.outages.get(what)
    if (outage === undefined) return
    this.outages.delete(what)
    this.changed({ kind: 'recovered', what, outageMs: this.clock.nowMs() - outage.sinceMs, isHeard })
  }

  private forgive(): void {
    const nowMs = this.clock.nowMs()
    for (const [what, { lastMs, error }] of this.outages) {
      const pauseMs = error instanceof UnavailableError ? error.retryAfterMs : 0
      if (nowMs - lastMs >= Math.max(FORGIVEN_MS, 2 * pauseMs)) this.up(what, false)
    }
  }
}

/** Health is open to everybody; a message may name a user. */
function codeOf(error: unknown): string {
  if (error instanceof FreshetError) return error.code
  return `${error instanceof Error ? error.name : 'an error'}, see the log`
}
