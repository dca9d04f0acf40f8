/** A record as its source gives it: bytes with their place, before anybody has decoded them. */

import type { UserRecord } from './behavior-event.ts'

/** In it newer serializers of Confluent's name the schema of the value, which then has no frame. */
export const SCHEMA_ID_HEADER = '__value_schema_id'

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
  /** Bytes of the header `SCHEMA_ID_HEADER`, which text can't say; left out: there is none. */
  schemaId?: Uint8Array
}

/** Turns a record into what it says. */
export interface RecordDecoder {
  /**
   * @throws {RecordError} when the bytes cannot be what their topic says; the caller sends them to the dead letters
   * @throws {UnavailableError} when a schema cannot be fetched now; the caller retries
   */
  decode(record: SourceRecord): UserRecord
}
