/** The changelog of a partition: users' states and checkpoints by epoch, compacted by key (O5); and its local copy (O6). */

import type { UserKey } from '../events/ids.ts'
import type { Checkpoint } from './state-store.ts'

/** One record, its state as `encodeState` writes it; a null value deletes its key, and so what compaction keeps of it. */
export type ChangelogRecord =
  | { kind: 'state'; user: UserKey; epoch: number; state: Uint8Array | null }
  | { kind: 'checkpoint'; epoch: number; checkpoint: Checkpoint | null }
  /** A take-over began here: under a key of its own, so that compaction leaves it where it was appended. */
  | { kind: 'claim'; epoch: number }

export interface PositionedRecord {
  position: number
  record: ChangelogRecord
}

/** Records in order, and the position after all that was looked at: compaction leaves gaps, at the end, too. */
export interface ChangelogPage {
  records: readonly PositionedRecord[]
  next: number
  /** Position after the last record, as it was when the reading began. */
  end: number
}

export interface Changelog {
  /** Changes when the topic is created anew: local copies of the old one are worthless then (O6). */
  topicId(): Promise<string>
  /**
   * Records from a position on, as far as compaction left them, page by page to the end as it is when the reading begins.
   *
   * @throws {UnavailableError} between two pages, when no answer comes
   */
  read(partition: number, from: number, signal?: AbortSignal): AsyncIterable<ChangelogPage>
  /**
   * Appends in order. Resolves when all are durable.
   *
   * @returns position of the first record, the others behind it in a row; -1 where that isn't known
   * @throws {UnavailableError} when it is not known whether they are; they may still land
   */
  append(partition: number, records: readonly ChangelogRecord[]): Promise<number>
}

/** Where a partition's local copy stands, and what it holds beside states: all of it is the changelog's word (O6). */
export interface CopyHead {
  topicId: string
  /** Changelog position up to which the copy holds everything. */
  position: number
  /** Of each epoch, as far as they were not deleted. */
  checkpoints: readonly Checkpoint[]
  /** Of any record; 0: there is none. */
  highestEpoch: number
  highestClaim: number
}

/** What the local disk knows of a user. */
export interface LocalState {
  /** As `encodeState` writes it. */
  state: Uint8Array
  /** Under which epochs the changelog knows the user, too. */
  epochs: readonly number[]
  /** Acknowledgements of this epoch and older ones count for nothing (O5); 0: all count. */
  doubtedEpoch: number
}

/**
 * A partition's states on local disk, in two layers. The *copy* is what the changelog said up to a position: it spares
 * reading. On top lie *live* states, which the changelog isn't known to hold: what they say happened may be kept by a later
 * owner on this disk, what they say was acknowledged may not (O6).
 */
export interface LocalStates {
  head(partition: number): CopyHead | undefined
  /**
   * Writes what the copy came to be by one page, all of it or nothing; live states of the very same bytes go. What a crash
   * takes back, it takes back from the end.
   */
  writePage(partition: number, copied: ReadonlyMap<UserKey, LocalState>, head: CopyHead): void
  copied(partition: number, user: UserKey): LocalState | undefined
  live(partition: number, user: UserKey): LocalState | undefined
  /** Users who have a live state. */
  liveUsers(partition: number): UserKey[]
  writeLive(partition: number, user: UserKey, local: LocalState): void
  /** Users of either layer. */
  users(partition: number, after: UserKey | null, limit: number): UserKey[]
  clear(partition: number): void
}
