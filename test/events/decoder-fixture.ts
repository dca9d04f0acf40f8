/** Topics and records for the tests of the decoder. */

import { RecordError } from '../../src/errors.ts'
import { avroType, encodeAvro } from '../../src/events/avro.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { directorySchemas, type SchemaSource } from '../../src/events/schema-source.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import type { Holds, RecordFormat, TopicSettings } from '../../src/events/topic.ts'

export const HOLDS: readonly Holds[] = [
  'paybill',
  'miniprogram',
  'spm',
  'app',
  'search',
  'tabular',
  'userqa',
  'tombstone',
]
export const FORMATS: readonly RecordFormat[] = ['avro-confluent', 'avro-single-object', 'avro-raw', 'json']

export const SCHEMA_IDS = Object.fromEntries(HOLDS.map((holds, at) => [holds, at + 1])) as Record<
  Holds,
  number
>

export const SCHEMAS = directorySchemas(
  null,
  Object.fromEntries(HOLDS.map((holds) => [String(SCHEMA_IDS[holds]), `${holds}.avsc`])),
)

/** One topic for each thing a topic can hold, named like it, all of one format. */
export function decoderOf(format: RecordFormat, schemas: SchemaSource = SCHEMAS, valueBytesMax?: number) {
  const topics = HOLDS.map(
    (holds): TopicSettings => ({ topic: holds, holds, format, schema: null, fields: null }),
  )
  return createRecordDecoder({ topics, schemas, ...(valueBytesMax !== undefined && { valueBytesMax }) })
}

export function sourceRecord(
  topic: string,
  key: string | Uint8Array | null,
  value: Uint8Array | string | null,
): SourceRecord {
  return {
    topic,
    partition: 0,
    offset: 0,
    appendTimeMs: 1_700_000_000_000,
    key: typeof key === 'string' ? Buffer.from(key) : key,
    value: typeof value === 'string' ? Buffer.from(value) : value,
  }
}

export const HEADER = { event_id: 'e1', user_id: 'u1', event_time: 1_700_000_000_000, source: 'shop' }

/** In the shipped schema, unframed. */
export function raw(holds: Holds, value: unknown): Buffer {
  return encodeAvro(avroType(ownSchema(holds)), value)
}

/** For `assert.throws`. */
export function recordError(code: string, message?: RegExp) {
  return (error: unknown) =>
    error instanceof RecordError &&
    error.code === code &&
    (message === undefined || message.test(error.message))
}
