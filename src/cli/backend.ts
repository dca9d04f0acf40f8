/** Where a running freshet's events, control records and dead letters lie: a data directory of its own, or Kafka. */

import type { TenantId, UserId } from '../events/ids.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { SourceRecord } from '../events/source-record.ts'
import type { Group, Instruction } from '../instructions/instruction.ts'
import type { Letters } from '../pipeline/letters.ts'
import type { Tombstone } from '../pipeline/state-store.ts'
import type { ModelRecord } from '../vectors/model-registry.ts'

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
  /** Offset behind the last record, as far as is known without asking; null: nothing is. */
  endOf(topic: string, partition: number): number | null
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
