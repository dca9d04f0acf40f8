/** Avro's one home: schemas parsed with bounds, values in and out, every fault with its own error. */

import avsc from 'avsc'
import { BugError, RecordError } from '../errors.ts'
import { boundedTypes, PastEnd } from './avro-bounds.ts'

/** A parsed schema. Only this folder looks inside. */
export type AvroType = avsc.Type
export type AvroResolver = ReturnType<AvroType['createResolver']>

/**
 * Parses a schema.
 *
 * @param schema the JSON of an .avsc file, parsed
 * @throws {Error} of avsc, when it is no valid schema; the caller knows whose it is
 */
export function avroType(schema: unknown): AvroType {
  return avsc.Type.forSchema(schema as avsc.Schema, {
    wrapUnions: 'auto',
    typeHook: boundedTypes as never,
  })
}

/**
 * How bytes of `writer` become values of `reader`. Costs milliseconds: build it once per pair.
 *
 * @throws {RecordError} `record-schema-incompatible`
 */
export function avroResolver(reader: AvroType, writer: AvroType, writerName: string): AvroResolver {
  try {
    // A producer's namespace is its own business; the record's and the fields' names must be ours (or aliases).
    return reader.createResolver(writer, { ignoreNamespaces: true })
  } catch (cause) {
    throw new RecordError(
      'record-schema-incompatible',
      `the writer schema ${writerName} must be readable as ${reader.name}, got: ${messageOf(cause)}: give new fields a default, add an enum default, never widen a type in a shared topic, or map the topic's fields in the configuration`,
      { cause },
    )
  }
}

/**
 * Decodes one value that ends where the bytes end.
 *
 * @param offset where the value starts, after its frame
 * @throws {RecordError} `record-avro-truncated`, `record-avro-trailing-bytes`, `record-avro-malformed`
 */
export function decodeAvro(type: AvroType, bytes: Buffer, offset: number, resolver?: AvroResolver): unknown {
  let decoded: { value: unknown; offset: number }
  try {
    decoded = type.decode(bytes, offset, resolver)
  } catch (cause) {
    if (cause instanceof PastEnd) throw truncated(type, bytes, cause)
    throw new RecordError(
      'record-avro-malformed',
      `expected a ${nameOf(type)} in Avro, got ${bytes.length} bytes that cannot be one (${messageOf(cause)}): check the writer's schema and the topic's format`,
      { cause },
    )
  }
  if (decoded.offset === bytes.length) return decoded.value
  if (decoded.offset < 0) throw truncated(type, bytes)
  throw new RecordError(
    'record-avro-trailing-bytes',
    `expected a ${nameOf(type)} of ${decoded.offset} bytes, got ${bytes.length - decoded.offset} bytes more: check the writer's schema and the topic's format`,
  )
}

function truncated(type: AvroType, bytes: Buffer, cause?: unknown): RecordError {
  return new RecordError(
    'record-avro-truncated',
    `expected a whole ${nameOf(type)}, got ${bytes.length} bytes that end inside it: send the record again`,
    { cause },
  )
}

const nameOf = (type: AvroType) => type.name ?? type.typeName

/** The same bytes as a Buffer, not copied: avsc reads nothing else. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Where values are written before they are copied out. avsc's own buffer holds 1 KiB, and writes whatever is longer
 * twice, the first time past the buffer's end, which is slow: states took 1.3 to 1.7 times as long with it.
 */
let scratch = Buffer.allocUnsafeSlow(64 * 1024)

/** Bytes of it that are kept for the next value: far above nearly all states, before they are compressed. */
const SCRATCH_BYTES_MAX = 1024 * 1024

function written(type: AvroType, value: unknown): Buffer {
  const end = type.encode(value, scratch, 0)
  if (end >= 0) return Buffer.from(scratch.subarray(0, end))
  // What it lacks is known now: a power of two, so that a growing state doesn't grow the buffer every time.
  const size = 2 ** Math.ceil(Math.log2(scratch.length - end))
  const larger = Buffer.allocUnsafeSlow(size)
  if (size <= SCRATCH_BYTES_MAX) scratch = larger
  return Buffer.from(larger.subarray(0, type.encode(value, larger, 0)))
}

/**
 * Encodes a value of ours.
 *
 * @throws {BugError} `avro-encode`, when the value does not fit the schema: we made it
 */
export function encodeAvro(type: AvroType, value: unknown): Buffer {
  try {
    return written(type, value)
  } catch (cause) {
    throw new BugError(
      'avro-encode',
      `a value for ${nameOf(type)} must fit its schema, got: ${messageOf(cause)}: report it`,
      { cause },
    )
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
