/** The bytes of a topic's values become fields: by format, by frame, and by the writer's schema. */

import { isUtf8 } from 'node:buffer'
import { ConfigError, RecordError } from '../errors.ts'
import { type AvroResolver, type AvroType, asBuffer, avroResolver, avroType, decodeAvro } from './avro.ts'
import { describe } from './field-readers.ts'
import { fingerprintOf, ownSchema, unknownFingerprint } from './own-schemas.ts'
import { type Projection, projectedFor, projectionOf } from './projection.ts'
import type { SchemaSource } from './schema-source.ts'
import { SINGLE_OBJECT_FRAME_BYTES } from './single-object.ts'
import { SCHEMA_ID_HEADER } from './source-record.ts'
import type { TopicSettings } from './topic.ts'

/**
 * From the value's bytes to its fields: in our names, or in the writer's where the topic is mapped.
 *
 * @param schemaId of a header; only `avro-confluent` looks at it
 */
export type ValueReader = (value: Buffer, schemaId?: Uint8Array) => unknown

/** A mapped topic is read with its writer's schema whole; ours is projected to the fields that are used. */
export function createValueReader(topic: TopicSettings, schemas: SchemaSource): ValueReader {
  if (topic.format === 'json') return readJson
  const reader = topic.fields === null ? projectionOf(topic.holds) : null
  if (topic.format === 'avro-raw') {
    const plan = rawPlan(topic, reader, schemas)
    return (value) => decodeAvro(plan.type, value, 0, plan.resolver)
  }
  return topic.format === 'avro-confluent'
    ? confluentReader(reader, schemas)
    : singleObjectReader(reader, schemas)
}

/** Here the writer's schema is known at start: if it doesn't fit, the operator must act, not the producer. */
function rawPlan(topic: TopicSettings, reader: Projection | null, schemas: SchemaSource): ReadPlan {
  const schema = rawSchema(topic, schemas)
  try {
    return readPlan(avroType(schema), reader, topic.schema ?? topic.holds)
  } catch (cause) {
    throw new ConfigError('topic-schema-incompatible', `topic ${topic.topic}: ${(cause as Error).message}`, {
      cause,
    })
  }
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

function readPlan(writer: AvroType, reader: Projection | null, writerName: string): ReadPlan {
  if (reader === null) return { type: writer, resolver: undefined }
  const type = projectedFor(reader, writer)
  return { type, resolver: avroResolver(type, writer, writerName) }
}

function singleObjectReader(reader: Projection | null, schemas: SchemaSource): ValueReader {
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

function confluentReader(reader: Projection | null, schemas: SchemaSource): ValueReader {
  const plans = new ReadPlans()
  return (value, schemaId) => {
    // Where there is a header, it counts, as for Confluent's own; the value is bare then.
    const frame = schemaId === undefined ? value : frameOf(schemaId)
    const framed = frame[0] === 0 && frame.length >= ID_FRAME_BYTES
    const framedByGuid = frame[0] === 1 && frame.length >= GUID_FRAME_BYTES
    if (!framed && !framedByGuid)
      throw new RecordError(
        'record-frame',
        `expected a Confluent frame (byte 0 and a 4-byte schema id, or byte 1 and a 16-byte GUID) in the value or in the header ${SCHEMA_ID_HEADER}, got ${value.length} bytes that start with ${value.length === 0 ? 'nothing' : `byte ${value[0]}`}: check the topic's format`,
      )
    const id = framed ? frame.readUInt32BE(1) : guidOf(frame)
    const plan = plans.get(id, () => {
      const schema = schemas.byId(id)
      if (schema === undefined)
        throw new RecordError(
          'record-schema-unknown',
          `expected the id of a known schema, got ${id}: add it to events.schemas.ids with its .avsc file, or register it`,
        )
      return readPlan(parsed(schema, id), reader, `of id ${id}`)
    })
    const frameBytes = framed ? ID_FRAME_BYTES : GUID_FRAME_BYTES
    return decodeAvro(plan.type, value, schemaId === undefined ? frameBytes : 0, plan.resolver)
  }
}

/** @throws {RecordError} `record-frame`, unless it is an id or a GUID and nothing else */
function frameOf(header: Uint8Array): Buffer {
  const bytes = asBuffer(header)
  if (bytes.length === [ID_FRAME_BYTES, GUID_FRAME_BYTES][bytes[0] ?? -1]) return bytes
  throw new RecordError(
    'record-frame',
    `expected the header ${SCHEMA_ID_HEADER} to be byte 1 and a 16-byte GUID, or byte 0 and a 4-byte schema id, got ${bytes.length} bytes that start with ${bytes.length === 0 ? 'nothing' : `byte ${bytes[0]}`}: correct the producer's serializer, or leave the header out`,
  )
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
  // Broken sequences would turn into replacement characters, and nobody would see it.
  if (!isUtf8(value))
    throw new RecordError(
      'record-json',
      `expected one JSON object in UTF-8, got ${value.length} bytes that are none: check the producer's encoding`,
    )
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
