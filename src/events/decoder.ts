/** Bytes of a source become what they say: one decoder for all topics, each by its settings. */

import { isUtf8 } from 'node:buffer'
import { ConfigError, RecordError } from '../errors.ts'
import { asBuffer } from './avro.ts'
import type { UserRecord } from './behavior-event.ts'
import { describe, missing, type Plain, readTenant, readUserId } from './field-readers.ts'
import { TENANT_HEADER } from './ids.ts'
import { createMapper, isMapped, type Mapper } from './mapping.ts'
import { lintMapping } from './mapping-lint.ts'
import { readRecord } from './read-record.ts'
import type { SchemaSource } from './schema-source.ts'
import type { RecordDecoder, SourceRecord } from './source-record.ts'
import type { Holds, TopicSettings } from './topic.ts'
import { createValueReader, type ValueReader } from './value-reader.ts'

/** Bytes of one value, unless configured: far above any event, far below what would stall a batch. */
const VALUE_BYTES_MAX = 1024 * 1024

interface TopicDecoder {
  holds: Holds
  read: ValueReader
  mapper: Mapper | null
}

/**
 * @throws {ConfigError} `topic-duplicate`, `topic-mapping-invalid`, `topic-schema-unknown`,
 *   `topic-schema-incompatible`
 */
export function createRecordDecoder(options: {
  topics: readonly TopicSettings[]
  schemas: SchemaSource
  valueBytesMax?: number
}): RecordDecoder {
  const { topics, schemas, valueBytesMax = VALUE_BYTES_MAX } = options
  const decoders = new Map<string, TopicDecoder>()
  for (const topic of topics) {
    if (decoders.has(topic.topic))
      throw new ConfigError(
        'topic-duplicate',
        `each topic must be configured once, got ${topic.topic} twice: remove one from events.topics`,
      )
    decoders.set(topic.topic, topicDecoder(topic, schemas))
  }
  return {
    decode: (record) => {
      const decoder = decoders.get(record.topic)
      if (decoder === undefined)
        throw new RecordError(
          'record-topic-unknown',
          `expected one of ${[...decoders.keys()].join(', ')}, got a record of ${record.topic}: add the topic to events.topics`,
        )
      if (record.key === null)
        throw new RecordError(
          'record-key-missing',
          `expected the user id as the key of ${record.topic}, got no key: without it a user's records lie in many partitions; key the topic by user id`,
        )
      if (record.value === null) return deletion(decoder.holds, record, record.key)
      if (record.value.length > valueBytesMax)
        throw new RecordError(
          'record-value-too-large',
          `expected at most ${valueBytesMax} bytes, got a value of ${record.value.length}: send less, or raise events.valueBytesMax`,
        )
      const said = readRecord(decoder.holds, fieldsOf(decoder, asBuffer(record.value), record.schemaId))
      checkKey(record.key, said.user)
      return said
    },
  }
}

function fieldsOf(decoder: TopicDecoder, value: Buffer, schemaId: Uint8Array | undefined): Plain {
  const fields = decoder.read(value, schemaId)
  return decoder.mapper === null ? (fields as Plain) : decoder.mapper(fields)
}

function topicDecoder(topic: TopicSettings, schemas: SchemaSource): TopicDecoder {
  const errors = lintMapping(topic).filter((finding) => finding.severity === 'error')
  if (errors.length > 0)
    throw new ConfigError(
      'topic-mapping-invalid',
      `the fields of topic ${topic.topic} must map to ours, got: ${errors.map((e) => `${e.field}: ${e.message}`).join('; ')}`,
    )
  const mapper = isMapped(topic) ? createMapper(topic) : null
  return { holds: topic.holds, read: createValueReader(topic, schemas), mapper }
}

/** A record without value: the producer deletes what the topic keeps for this key. */
function deletion(holds: Holds, record: SourceRecord, key: Uint8Array): UserRecord {
  if (holds !== 'tabular')
    throw new RecordError(
      'record-value-missing',
      `expected a value in ${record.topic}, got none: only tabular records can be deleted; to forget a user, write a tombstone`,
    )
  // Every broken sequence would read as the same replacement character, and two users as one.
  if (!isUtf8(key))
    throw new RecordError(
      'record-id-characters',
      `the key of ${record.topic} must be the user id in UTF-8, got bytes that are none: encode binary ids as hex`,
    )
  return {
    tenant: readTenant(record.headers?.[TENANT_HEADER]),
    user: readUserId(asBuffer(key).toString('utf8')),
    kind: 'tabular',
    asOfMs: record.appendTimeMs,
    snapshot: null,
  }
}

/** The key decides the partition, and so the owner: a record under another user's key would be applied by two workers. */
function checkKey(key: Uint8Array, user: string): void {
  if (key.length === 0) throw missing('the key')
  if (equalsAscii(key, user)) return
  const given = asBuffer(key).toString('utf8')
  if (given === user) return
  throw new RecordError(
    'record-key-mismatch',
    `the key must equal user_id (${describe(user)}), got ${describe(given)}: key the topic by user id`,
  )
}

function equalsAscii(key: Uint8Array, user: string): boolean {
  if (key.length !== user.length) return false
  for (let at = 0; at < key.length; at++) {
    const unit = key[at]!
    if (unit > 127 || unit !== user.charCodeAt(at)) return false
  }
  return true
}
