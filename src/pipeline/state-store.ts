/** Where users' states and checkpoints live: the truth of who acknowledged what, by partition and epoch (O3-O5). */

import type { TenantId, UserId, UserKey } from '../events/ids.ts'
import type { UserState } from '../window/user-state.ts'
import type { Positions } from './event-source.ts'

export interface Checkpoint {
  epoch: number
  /** Committable offsets: everything before them is acknowledged and flushed. */
  positions: Positions
  /** False: a claim whose ownership check has not passed; its positions are never used (O4). */
  confirmed: boolean
  /** The day as of which windows are read, days since the Unix epoch: it never goes back. */
  day: number
  /** A change of it is refused at start (O8). */
  partitionCount: number
}

export interface Restored {
  /** The confirmed checkpoint of the highest epoch; null: nobody ever owned this partition. */
  checkpoint: Checkpoint | null
  /** The highest epoch seen in any record, confirmed or not; 0 when there is none. */
  highestEpoch: number
}

export interface StateStore {
  /** Joins each user's records, over all epochs, into local reach (O1). May take long; `signal` interrupts it. */
  restore(partition: number, signal?: AbortSignal): Promise<Restored>
  /** The partition is no longer held: forget what is in local reach. */
  release(partition: number): void

  /** One user's joined state, from local reach; undefined when there is none. */
  read(partition: number, key: UserKey): UserState | undefined
  /** Users of the partition after `after` by key order, at most `limit`: how sweeps page through everybody. */
  users(partition: number, after: UserKey | null, limit: number): UserKey[]
  /** Keeps a state in local reach only (eviction of a user whose events are not acknowledged): a hint, not a promise. */
  spill(partition: number, state: UserState): void

  /**
   * Appends states, each under (tenant, user, epoch), and removes the user's keys of older epochs once they are durable
   * (O5). Resolves when all are durable; states of one partition land in the order of the calls.
   *
   * @throws {UnavailableError} when it is not known whether they are
   */
  appendStates(partition: number, states: readonly UserState[]): Promise<void>
  /** Appends a checkpoint under (reserved, epoch). Resolves when it is durable. */
  appendCheckpoint(partition: number, checkpoint: Checkpoint): Promise<void>
  close(): Promise<void>
}

/** A tombstone of a user, read to the end of its topic before the first write (O1). */
export interface Tombstone {
  tenant: TenantId
  user: UserId
  atMs: number
}
