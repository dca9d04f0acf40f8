/** What the pipeline tells whoever watches: diagnostics channels, one message per batch or change, never per event. */

import { channel } from 'node:diagnostics_channel'
import type { TargetKey } from '../window/user-state.ts'

/** A record batch was applied; counts by outcome. */
export interface ConsumedMessage {
  topic: string
  partition: number
  /** `applied`, `duplicate`, `late`, `dead-letter`, an `ignored` reason, ... */
  outcomes: ReadonlyMap<string, number>
  /** Of the dead letters among them: how many by the code of their error. */
  deadLetters: ReadonlyMap<string, number>
}

/** A micro-batch was acknowledged, or not. */
export interface RefreshedMessage {
  target: TargetKey
  users: number
  stubs: number
  outcome: 'acknowledged' | 'unknown' | 'failed'
  /** Milliseconds: from append time to acknowledgement, of each user with records. */
  freshnessMs: readonly number[]
  embedMs: number
  upsertMs: number
}

export interface ParkedMessage {
  tenant: string
  user: string
  reason: string
}

/** The owner changed its state. */
export interface OwnerMessage {
  stage: string
  epoch: number
  generation: number
  partitions: readonly number[]
  /** Assigned, and not ours yet. */
  restoring: readonly number[]
  /** Milliseconds from the assignment to now, where a take-over has just ended. */
  takeOverMs?: number
}

/** A part of a partition's changelog was read. */
export interface RestoringMessage {
  partition: number
  /** Read so far in this restore. */
  records: number
  /** Positions that are to be read yet; compaction has emptied some of them. */
  left: number
}

export interface SweepMessage {
  stage: 'started' | 'finished'
  usersSeen: number
  usersMarked: number
}

/** Something outside did not answer; work goes on when it does. */
export interface UnavailableMessage {
  what: 'vectors' | 'state' | 'source' | 'schemas' | 'control' | 'dead-letters' | 'updates' | 'model'
  error: Error
  attempt: number
}

/** Something of ours was damaged or could not be kept, and work goes on without it; nothing is lost but time. */
export interface MendedMessage {
  what: 'event-vectors' | 'vectors'
  /** What was wrong, and what follows from it. */
  message: string
}

/** Records were passed over or read again, because the log does not hold what was to be read next: loud, never silent. */
export interface OutOfRangeMessage {
  topic: string
  partition: number
  /** What was to be read next, and what is read instead; equal to it where that is the end of the work (`fail`). */
  from: number
  to: number
  /** What the log holds. */
  start: number
  end: number
  policy: string
}

/** What a client library says of its connections: for whoever looks for a cause. */
export interface DriverLogMessage {
  driver: string
  level: 'warn' | 'error'
  message: string
  /** Whom it was connected to, if that is known. */
  peer: string | null
}

class Channel<Message> {
  private readonly inner

  constructor(name: string) {
    this.inner = channel(`freshet:${name}`)
  }

  publish(message: Message): void {
    if (this.inner.hasSubscribers) this.inner.publish(message)
  }

  subscribe(listener: (message: Message) => void): () => void {
    const untyped = (message: unknown) => listener(message as Message)
    this.inner.subscribe(untyped)
    return () => this.inner.unsubscribe(untyped)
  }
}

export const consumed = new Channel<ConsumedMessage>('consumed')
export const refreshed = new Channel<RefreshedMessage>('refreshed')
export const parked = new Channel<ParkedMessage>('parked')
export const owner = new Channel<OwnerMessage>('owner')
export const restoring = new Channel<RestoringMessage>('restoring')
export const swept = new Channel<SweepMessage>('sweep')
export const unavailable = new Channel<UnavailableMessage>('unavailable')
export const mended = new Channel<MendedMessage>('mended')
export const outOfRange = new Channel<OutOfRangeMessage>('out-of-range')
export const driverLog = new Channel<DriverLogMessage>('driver-log')
