/** Bytes of a source become what they say: one decoder for all topics, each by its settings. */

import { isUtf8 } from 'node:buffer'
import { ConfigError, RecordError } from '../errors.ts'
import {
  type AvroResolver,
  type AvroType,
  asBuffer,
  avroResolver,
  avroType,
  decodeAvro,
  SINGLE_OBJECT_FRAME_BYTES,
} from './avro.ts'
import type { UserRecord } from './behavior-event.ts'
import { describe, missing, readTenant, readUserId } from './field-readers.ts'
import { createMapper, isMapped, type Mapper } from './mapping.ts'
import { lintMapping } from './mapping-lint.ts'
import { fingerprintOf, ownSchema, unknownFingerprint } from './own-schemas.ts'
import { projectedType } from './projection.ts'
import { type Plain, readRecord } from './read-record.ts'
import type { SchemaSource } from './schema-source.ts'
import type { RecordDecoder, SourceRecord } from './source-record.ts'
import type { Holds, TopicSettings } from './topic.ts'

/** Bytes of one value, unless configured: far above any event, far below what would stall a batch. */
export const VALUE_BYTES_MAX = 1024 * 1024

/** The header that names the tenant where a record has no value to say it. */
const TENANT_HEADER = 'freshet.tenant'

/** From the value's bytes to fields in our names. */
type ValueReader = (value: Buffer) => unknown

interface TopicDecoder {
  holds: Holds
  read: ValueReader
  mapper: Mapper | null
}

/**
 * @throws {ConfigError} `topic-duplicate`, `topic-mapping-invalid`, `topic-schema-unknown`
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
      const said = readRecord(decoder.holds, fieldsOf(decoder, asBuffer(record.value)))
      checkKey(record.key, said.user)
      return said
    },
  }
}

function fieldsOf(decoder: TopicDecoder, value: Buffer): Plain {
  const fields = decoder.read(value)
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
  return { holds: topic.holds, read: valueReader(topic, schemas), mapper }
}

/** A mapped topic is read with its writer's schema whole; ours is projected to the fields that are used. */
function valueReader(topic: TopicSettings, schemas: SchemaSource): ValueReader {
  if (topic.format === 'json') return readJson
  const reader = topic.fields === null ? projectedType(topic.holds) : null
  if (topic.format === 'avro-raw') {
    const schema = rawSchema(topic, schemas)
    const plan = readPlan(avroType(schema), reader, topic.schema ?? topic.holds)
    return (value) => decodeAvro(plan.type, value, 0, plan.resolver)
  }
  return topic.format === 'avro-confluent'
    ? confluentReader(reader, schemas)
    : singleObjectReader(reader, schemas)
}

/** The schema with which the values of an `avro-raw` topic are written. */
export function rawSchema(topic: TopicSettings, schemas: SchemaSource): unknown {
  if (topic.schema === null) return ownSchema(topic.holds)
  const schema = schemas.byName(topic.schema)
  if (schema !== undefined) return schema
  throw new ConfigError(
    'topic-schema-unknown',
    `topic ${topic.topic} must name a known schema, got ${topic.schema}: put ${topic.schema}.avsc into events.schemas.directory`,
  )
}

/** How the bytes of one writer are read: built once, used for every record of it. */
interface ReadPlan {
  type: AvroType
  resolver: AvroResolver | undefined
}

/** Plans by the id that a frame names. A schema that can't be read is kept, too: finding that out costs milliseconds. */
class ReadPlans {
  readonly #plans = new Map<number | string, ReadPlan | RecordError>()

  /** @throws what `build` throws; a RecordError about the schema itself is thrown again for every record of it */
  get(id: number | string, build: () => ReadPlan): ReadPlan {
    let plan = this.#plans.get(id)
    if (plan === undefined) {
      try {
        plan = build()
      } catch (error) {
        // An unknown schema may become known.
        if (!(error instanceof RecordError) || error.code === 'record-schema-unknown') throw error
        plan = error
      }
      this.#plans.set(id, plan)
    }
    if (plan instanceof RecordError) throw plan
    return plan
  }
}

function readPlan(writer: AvroType, reader: AvroType | null, writerName: string): ReadPlan {
  if (reader === null) return { type: writer, resolver: undefined }
  return { type: reader, resolver: avroResolver(reader, writer, writerName) }
}

function singleObjectReader(reader: AvroType | null, schemas: SchemaSource): ValueReader {
  const plans = new ReadPlans()
  // Nearly every record of a topic has the same writer: its fingerprint is compared as two numbers, without a string.
  let last: { low: number; high: number; plan: ReadPlan } | undefined
  return (value) => {
    const framed = value.length >= SINGLE_OBJECT_FRAME_BYTES && value[0] === 0xc3 && value[1] === 0x01
    const low = framed ? value.readUInt32LE(2) : 0
    const high = framed ? value.readUInt32LE(6) : 0
    if (!framed || last === undefined || last.low !== low || last.high !== high) {
      const hex = fingerprintOf(value)
      const plan = plans.get(hex, () => {
        const schema = schemas.byFingerprint(hex)
        if (schema === undefined) throw unknownFingerprint(hex)
        return readPlan(parsed(schema, hex), reader, hex)
      })
      last = { low, high, plan }
    }
    return decodeAvro(last.plan.type, value, SINGLE_OBJECT_FRAME_BYTES, last.plan.resolver)
  }
}

const ID_FRAME_BYTES = 5
const GUID_FRAME_BYTES = 17

function confluentReader(reader: AvroType | null, schemas: SchemaSource): ValueReader {
  const plans = new ReadPlans()
  return (value) => {
    const framed = value[0] === 0 && value.length >= ID_FRAME_BYTES
    const framedByGuid = value[0] === 1 && value.length >= GUID_FRAME_BYTES
    if (!framed && !framedByGuid)
      throw new RecordError(
        'record-frame',
        `expected a Confluent frame (byte 0 and a 4-byte schema id, or byte 1 and a 16-byte GUID), got ${value.length} bytes that start with ${value.length === 0 ? 'nothing' : `byte ${value[0]}`}: check the topic's format`,
      )
    const id = framed ? value.readUInt32BE(1) : guidOf(value)
    const plan = plans.get(id, () => {
      const schema = schemas.byId(id)
      if (schema === undefined)
        throw new RecordError(
          'record-schema-unknown',
          `expected the id of a known schema, got ${id}: add it to events.schemas.ids with its .avsc file, or register it`,
        )
      return readPlan(parsed(schema, id), reader, `of id ${id}`)
    })
    return decodeAvro(plan.type, value, framed ? ID_FRAME_BYTES : GUID_FRAME_BYTES, plan.resolver)
  }
}

function guidOf(value: Buffer): string {
  const hex = value.toString('hex', 1, GUID_FRAME_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** A registry may hold what is no Avro schema (Protobuf, JSON Schema): then the record can't be what its topic says. */
function parsed(schema: unknown, id: number | string): AvroType {
  try {
    return avroType(schema)
  } catch (cause) {
    throw new RecordError(
      'record-schema-unknown',
      `expected an Avro schema under id ${id}, got something else (${(cause as Error).message}): check the registry`,
      { cause },
    )
  }
}

function readJson(value: Buffer): unknown {
  let parsedValue: unknown
  try {
    parsedValue = JSON.parse(value.toString('utf8'))
  } catch (cause) {
    throw new RecordError(
      'record-json',
      `expected one JSON object, got ${value.length} bytes that are no JSON (${(cause as Error).message}): check the topic's format`,
      { cause },
    )
  }
  if (typeof parsedValue === 'object' && parsedValue !== null && !Array.isArray(parsedValue))
    return parsedValue
  throw new RecordError(
    'record-json',
    `expected one JSON object, got ${describe(parsedValue)}: check the topic's format`,
  )
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
