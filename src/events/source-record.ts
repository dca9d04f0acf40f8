/** A record as its source gives it: bytes with their place, before anybody has decoded them. */

import type { UserRecord } from './behavior-event.ts'

export interface SourceRecord {
  topic: string
  partition: number
  /** Rising within (topic, partition); gaps are allowed. */
  offset: number
  /** Milliseconds since the Unix epoch at which the record was appended: lateness is judged by it (S4). */
  appendTimeMs: number
  key: Uint8Array | null
  /** null: a delete on a compacted topic. */
  value: Uint8Array | null
  headers?: Readonly<Record<string, string>>
}

/** Turns a record into what it says. */
export interface RecordDecoder {
  /**
   * @throws {RecordError} when the bytes cannot be what their topic says; the caller sends them to the dead letters
   * @throws {UnavailableError} when a schema cannot be fetched now; the caller retries
   */
  decode(record: SourceRecord): UserRecord
}
