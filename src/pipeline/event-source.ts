/** Where records come from: partitions that are assigned and revoked, positions, and commits bound to a generation. */

import type { SourceRecord } from '../events/source-record.ts'

/** One assignment of a consumer group: the partition numbers held, equal for all topics (co-partitioned). */
export interface Assignment {
  /** Rises with every rebalance; a commit is accepted only in the generation it was made for. */
  generation: number
  partitions: readonly number[]
}

/** Next offset to read, by topic, of one partition number. */
export type Positions = ReadonlyMap<string, number>

/** What the source tells its consumer; the calls never overlap. */
export interface SourceListener {
  /** Reading stops until `seek` was called for what is new. */
  assigned(assignment: Assignment): void
  /** The group moves on: nothing more will be committed in the old generation. */
  revoked(): void
  /** Records of one topic and partition in order. Synchronous: decode, apply, mark; milliseconds (design 2). */
  records(batch: readonly SourceRecord[]): void
}

export interface EventSource {
  /** Topics that are consumed, all with the same partition count. */
  readonly topics: readonly string[]
  readonly partitionCount: number
  start(listener: SourceListener): Promise<void>
  /** Reads on from here; the first call after an assignment starts the reading of that partition. */
  seek(partition: number, positions: Positions): void
  pause(partitions: readonly number[]): void
  resume(partitions: readonly number[]): void
  /**
   * Commits offsets of the group.
   *
   * @returns true when accepted in the very generation named; false when the group has moved on (O1)
   * @throws {UnavailableError} when no answer came
   */
  commit(generation: number, offsets: ReadonlyMap<number, Positions>): Promise<boolean>
  /** Group offsets of one partition; topics never committed are absent. */
  committed(partition: number): Promise<Positions>
  /** Offsets after the last record, by topic, for lag. */
  endOffsets(partition: number): Promise<Positions>
  stop(): Promise<void>
}
