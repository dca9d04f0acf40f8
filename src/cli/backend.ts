/** Where a running freshet's events, control records and dead letters lie: a data directory of its own, or Kafka. */

import type { TenantId, UserId } from '../events/ids.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { SourceRecord } from '../events/source-record.ts'
import type { Group, Instruction } from '../instructions/instruction.ts'
import type { DeadLetter } from '../pipeline/control-log.ts'
import type { Tombstone } from '../pipeline/state-store.ts'
import type { ModelRecord } from '../vectors/model-registry.ts'

/** A dead letter, and what callers name it by. */
export interface NamedLetter {
  /** A number in a data directory; topic, partition and offset of the letter itself in Kafka. */
  id: string
  letter: DeadLetter
}

export interface LetterFilter {
  ids?: readonly string[] | undefined
  /** Code of the error. */
  reason?: string | undefined
}

/** What can be done with records that went to the dead letters. */
export interface Letters {
  /** Oldest first. @param after id of the last one that was shown */
  list(filter: LetterFilter, after: string | null, limit: number): Promise<NamedLetter[]>
  /** @returns null: there is none of that id */
  show(id: string): Promise<NamedLetter | null>
  /**
   * Puts letters back on their topics.
   *
   * @param again makes the record; null: it still is none, and stays a letter
   * @returns how many were put back
   */
  retry(filter: LetterFilter, again: (letter: DeadLetter) => NewRecord | null): Promise<number>
  /** Removes letters for good; who wants only some of them is told what can be removed. @returns how many */
  purge(filter: LetterFilter): Promise<number>
  /** null: nobody counts them. */
  count(): number | null
}

/** What a running freshet needs of the place where its events are, beyond what its pipeline does. */
export interface Backend {
  /** For people: a directory, or brokers and group. */
  readonly place: string
  readonly letters: Letters
  /** Resolves when all are durable. @throws {UnavailableError} when that isn't known */
  append(records: readonly NewRecord[]): Promise<void>
  appendInstruction(instruction: Instruction): Promise<unknown>
  appendGroup(group: Group): Promise<unknown>
  appendModel(record: Omit<ModelRecord, 'offset'>): Promise<unknown>
  /** The partition of the user's records. */
  partitionOf(user: UserId): number
  /** The latest that was appended, read or not. */
  tombstone(tenant: TenantId, user: UserId): Promise<Tombstone | undefined>
  /** Users whose state is stored here. */
  storedUsers(partition: number): number
  /** What the log still holds of a partition, each topic in order, up to its present end. */
  history(partition: number): AsyncIterable<readonly SourceRecord[]>
  /** Whether the log still begins with its first record: nothing was cut by retention or compaction. */
  isWhole(partition: number): Promise<boolean>
  /** Tells others on this machine where the API answers. */
  announce(url: string): void
  /** The horizon with which windows are read from now on, days; null: none. */
  keepHorizon(horizonDays: number | null): void
}
