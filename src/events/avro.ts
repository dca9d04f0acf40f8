/** Avro with bounds: types that a corrupt count can't send into an endless loop, resolvers built once, fingerprints. */

import avsc from 'avsc'
import { BugError, RecordError } from '../errors.ts'

/** A parsed schema. Only this folder looks inside. */
export type AvroType = avsc.Type
export type AvroResolver = ReturnType<AvroType['createResolver']>

/** What avsc reads from; its typings leave it out. */
interface Tap {
  buf: Buffer
  pos: number
  readLong(): number
  skipLong(): void
  readString(): string
  skipString(): void
}
interface Reader {
  _read(tap: Tap): unknown
  _skip(tap: Tap): void
}

/**
 * The count of the next block of a list or map, 0 at its end.
 *
 * avsc trusts counts: one flipped bit makes it loop for years or allocate gigabytes. Every item takes a byte at least,
 * so a count beyond the bytes that are left is a lie.
 */
function blockCount(tap: Tap): number {
  let count = tap.readLong()
  if (count < 0) {
    count = -count
    tap.skipLong()
  }
  if (tap.pos > tap.buf.length || count > tap.buf.length - tap.pos) throw new PastEnd()
  return count
}

/** Lengths of strings are trusted as well, and a negative one leads backwards, to the same bytes for ever. */
function mustAdvance(tap: Tap, from: number): void {
  if (tap.pos > tap.buf.length) throw new PastEnd()
  if (tap.pos <= from) throw new RangeError('an item that ends before it starts')
}

/** More is promised than there are bytes. */
class PastEnd extends RangeError {}

// The overridden methods exist at run time only; the typings of avsc hide them.
const ArrayBase = avsc.types.ArrayType as unknown as new (schema: unknown, options: unknown) => object
const MapBase = avsc.types.MapType as unknown as new (schema: unknown, options: unknown) => object

class BoundedArray extends ArrayBase {
  declare readonly itemsType: Reader

  _read(tap: Tap): unknown[] {
    const items: unknown[] = []
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        items.push(this.itemsType._read(tap))
        mustAdvance(tap, from)
      }
    return items
  }

  _skip(tap: Tap): void {
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        this.itemsType._skip(tap)
        mustAdvance(tap, from)
      }
  }
}

class BoundedMap extends MapBase {
  declare readonly valuesType: Reader

  _read(tap: Tap): Record<string, unknown> {
    const values: Record<string, unknown> = {}
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        const name = tap.readString()
        const value = this.valuesType._read(tap)
        mustAdvance(tap, from)
        // Assigning it would change the object's prototype instead.
        if (name === '__proto__') continue
        values[name] = value
      }
    return values
  }

  _skip(tap: Tap): void {
    for (let count = blockCount(tap); count !== 0; count = blockCount(tap))
      for (; count > 0; count--) {
        const from = tap.pos
        tap.skipString()
        this.valuesType._skip(tap)
        mustAdvance(tap, from)
      }
  }
}

function boundedContainers(schema: unknown, options: unknown): AvroType | undefined {
  const kind = (schema as { type?: unknown } | null)?.type
  if (kind === 'array') return new BoundedArray(schema, options) as unknown as AvroType
  if (kind === 'map') return new BoundedMap(schema, options) as unknown as AvroType
  return undefined
}

/**
 * Parses a schema.
 *
 * @param schema the JSON of an .avsc file, parsed
 * @throws {Error} of avsc, when it is no valid schema; the caller knows whose it is
 */
export function avroType(schema: unknown): AvroType {
  return avsc.Type.forSchema(schema as avsc.Schema, {
    wrapUnions: 'auto',
    typeHook: boundedContainers as never,
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

/** Little-endian bytes `c3 01`, then the fingerprint: the frame of the Avro specification, "single-object encoding". */
const SINGLE_OBJECT_MARK = Buffer.from([0xc3, 0x01])
export const SINGLE_OBJECT_FRAME_BYTES = 10

export function hasSingleObjectMark(bytes: Uint8Array): boolean {
  return bytes.length >= SINGLE_OBJECT_FRAME_BYTES && bytes[0] === 0xc3 && bytes[1] === 0x01
}

/** @returns the mark and the fingerprint, 10 bytes */
export function singleObjectFrame(type: AvroType): Buffer {
  return Buffer.concat([SINGLE_OBJECT_MARK, fingerprint(type)])
}

/**
 * CRC-64-AVRO of the schema's Parsing Canonical Form.
 *
 * @returns 8 bytes, little-endian, as a single-object frame holds them
 * @see the Avro 1.11 specification, "Schema Fingerprints"
 */
export function fingerprint(type: AvroType): Buffer {
  let value = EMPTY_FINGERPRINT
  // avsc's schema() is the Parsing Canonical Form: full names, no docs, no defaults, no logical types.
  for (const byte of Buffer.from(JSON.stringify(type.schema())))
    value = (value >> 8n) ^ fingerprintStep((value ^ BigInt(byte)) & 0xffn)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

const EMPTY_FINGERPRINT = 0xc15d213aa4d7a795n

function fingerprintStep(byte: bigint): bigint {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ (EMPTY_FINGERPRINT & -(value & 1n))
  return value
}

/**
 * Encodes a value of ours.
 *
 * @throws {BugError} `avro-encode`, when the value does not fit the schema: we made it
 */
export function encodeAvro(type: AvroType, value: unknown): Buffer {
  try {
    return type.toBuffer(value)
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
