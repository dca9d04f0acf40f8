/** The changelog of a partition: users' states and checkpoints by epoch, compacted by key (O5); and its local copy (O6). */

import type { UserKey } from '../events/ids.ts'
import type { UserState } from '../window/user-state.ts'
import type { Checkpoint } from './state-store.ts'

/** One record; a null value deletes its key, and so what compaction keeps of it. */
export type ChangelogRecord =
  | { kind: 'state'; user: UserKey; epoch: number; state: UserState | null }
  | { kind: 'checkpoint'; epoch: number; checkpoint: Checkpoint | null }
  /** A take-over began here: under a key of its own, so that compaction leaves it where it was appended. */
  | { kind: 'claim'; epoch: number }

export interface PositionedRecord {
  position: number
  record: ChangelogRecord
}

export interface Changelog {
  /** Changes when the topic is created anew: local copies of the old one are worthless then (O6). */
  topicId(): Promise<string>
  /** Records from a position on, in order, as far as compaction left them; and the position after the last. */
  read(partition: number, from: number): Promise<{ records: readonly PositionedRecord[]; end: number }>
  /**
   * Appends in order, encoding before it returns. Resolves when all are durable.
   *
   * @throws {UnavailableError} when it is not known whether they are; they may still land
   */
  append(partition: number, records: readonly ChangelogRecord[]): Promise<void>
}

/** Where a partition's local copy stands. */
interface CopyPosition {
  topicId: string
  /** Changelog position up to which the copy holds everything. */
  position: number
}

/** What the local disk knows of a user, and under which epochs the changelog does. */
export interface LocalState {
  state: UserState
  epochs: readonly number[]
}

/**
 * A partition's states on local disk, in two layers. The *copy* is what the changelog said up to a position: it spares
 * reading. On top lie *live* states, which went on from there: what they say happened may be kept by a later owner on
 * this disk, what they say was acknowledged may not (O6).
 */
export interface LocalStates {
  position(partition: number): CopyPosition | undefined
  /** Says that the copy holds everything up to the position. */
  advance(partition: number, position: CopyPosition): void
  copied(partition: number, user: UserKey): LocalState | undefined
  writeCopy(partition: number, user: UserKey, local: LocalState): void
  live(partition: number, user: UserKey): LocalState | undefined
  liveUsers(partition: number): UserKey[]
  writeLive(partition: number, user: UserKey, local: LocalState): void
  /** Users of either layer. */
  users(partition: number, after: UserKey | null, limit: number): UserKey[]
  clear(partition: number): void
}
