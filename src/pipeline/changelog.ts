/** The changelog of a partition: users' states and checkpoints by epoch, compacted by key (O5); and its local copy (O6). */

import type { UserKey } from '../events/ids.ts'
import type { UserState } from '../window/user-state.ts'
import type { Checkpoint } from './state-store.ts'

/** One record; a null value deletes its key, and so what compaction keeps of it. */
export type ChangelogRecord =
  | { kind: 'state'; user: UserKey; epoch: number; state: UserState | null }
  | { kind: 'checkpoint'; epoch: number; checkpoint: Checkpoint | null }

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
export interface CopyPosition {
  topicId: string
  /** Changelog position up to which the copy holds everything. */
  position: number
}

/** A partition's states on local disk: spares reading the changelog from its beginning, and holds what memory can't. */
export interface LocalStates {
  position(partition: number): CopyPosition | undefined
  /** Every copied user's state, with the epochs under which the changelog knows the user. */
  read(partition: number, user: UserKey): { state: UserState; epochs: readonly number[] } | undefined
  users(partition: number, after: UserKey | null, limit: number): UserKey[]
  write(partition: number, user: UserKey, state: UserState, epochs: readonly number[]): void
  /** Says that the copy holds everything up to the position. */
  advance(partition: number, position: CopyPosition): void
  clear(partition: number): void
}
