/** The schemas that freshet ships, and codecs for what it writes itself. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BugError, RecordError } from '../errors.ts'
import {
  type AvroResolver,
  type AvroType,
  asBuffer,
  avroResolver,
  avroType,
  decodeAvro,
  encodeAvro,
} from './avro.ts'
import {
  fingerprint,
  hasSingleObjectMark,
  SINGLE_OBJECT_FRAME_BYTES,
  singleObjectFrame,
} from './single-object.ts'

export type OwnSchemaName =
  | 'paybill'
  | 'miniprogram'
  | 'spm'
  | 'app'
  | 'search'
  | 'tabular'
  | 'userqa'
  | 'tombstone'
  | 'instruction'
  | 'model-version'
  | 'user-state'
  | 'embedding-update'

/** Beside `src/` and `dist/` alike. */
export const OWN_SCHEMA_DIRECTORY = fileURLToPath(new URL('../../schemas/', import.meta.url))

/**
 * Every `.avsc` below a directory: file name without the ending -> parsed JSON. Older versions lie in sub-directories
 * (`schemas/history/`), so that what was written with them can be read for ever.
 *
 * @throws {Error} of node:fs or JSON, with the file's name in front
 */
export function readSchemaFiles(directory: string): Map<string, unknown> {
  const files = new Map<string, unknown>()
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!entry.endsWith('.avsc')) continue
    try {
      files.set(entry.slice(0, -'.avsc'.length), JSON.parse(readFileSync(join(directory, entry), 'utf8')))
    } catch (cause) {
      throw new Error(`${join(directory, entry)}: ${(cause as Error).message}`, { cause })
    }
  }
  return files
}

/** Parsed once a process: they are immutable and cost milliseconds. */
let own: { files: Map<string, unknown>; byFingerprint: Map<string, AvroType> } | undefined

function ownSchemas() {
  if (own) return own
  const files = readSchemaFiles(OWN_SCHEMA_DIRECTORY)
  const byFingerprint = new Map<string, AvroType>()
  for (const schema of files.values()) {
    const type = avroType(schema)
    byFingerprint.set(fingerprint(type).toString('hex'), type)
  }
  own = { files, byFingerprint }
  return own
}

/** The current schema of this name, as JSON. */
export function ownSchema(name: OwnSchemaName): unknown {
  const schema = ownSchemas().files.get(name)
  if (schema === undefined)
    throw new BugError(
      'schema-missing',
      `schemas/${name}.avsc must be installed, got none: install freshet again`,
    )
  return schema
}

/** Unqualified name of the record, e.g. `SearchEvent`. */
export function ownSchemaName(name: OwnSchemaName): string {
  return (ownSchema(name) as { name: string }).name
}

/** @param hex fingerprint bytes as they lie in the frame, 16 hex digits */
export function ownTypeByFingerprint(hex: string): AvroType | undefined {
  return ownSchemas().byFingerprint.get(hex)
}

/** Values of one of our schemas as bytes that say which version wrote them. */
export interface AvroCodec<Value> {
  /** @throws {BugError} `avro-encode`, when the value does not fit the schema */
  encode(value: Value): Buffer
  /**
   * Also reads what older versions of the schema wrote.
   *
   * @throws {RecordError} when the bytes are no value of any version we know
   */
  decode(bytes: Uint8Array): Value
  /** Looks at the frame alone. @throws {RecordError} when no version we know wrote it */
  check(bytes: Uint8Array): void
}

/**
 * A codec for one of our schemas, framed as Avro single objects.
 *
 * Values use the schema's own names; records come back as objects with all fields, optional ones as null.
 */
export function avroCodec<Value>(name: OwnSchemaName): AvroCodec<Value> {
  const type = avroType(ownSchema(name))
  const frame = singleObjectFrame(type)
  const resolvers = new Map<string, AvroResolver | undefined>([[frame.toString('hex', 2), undefined]])
  const resolverOf = (bytes: Buffer): AvroResolver | undefined => {
    const hex = fingerprintOf(bytes)
    if (!resolvers.has(hex)) {
      const writer = ownTypeByFingerprint(hex)
      if (writer === undefined) throw unknownFingerprint(hex)
      resolvers.set(hex, avroResolver(type, writer, hex))
    }
    return resolvers.get(hex)
  }
  return {
    encode: (value) => Buffer.concat([frame, encodeAvro(type, value)]),
    decode: (raw) => {
      const bytes = asBuffer(raw)
      return decodeAvro(type, bytes, SINGLE_OBJECT_FRAME_BYTES, resolverOf(bytes)) as Value
    },
    check: (raw) => void resolverOf(asBuffer(raw)),
  }
}

/**
 * @returns 16 hex digits
 * @throws {RecordError} `record-frame`
 */
export function fingerprintOf(bytes: Buffer): string {
  if (hasSingleObjectMark(bytes)) return bytes.toString('hex', 2, SINGLE_OBJECT_FRAME_BYTES)
  throw new RecordError(
    'record-frame',
    `expected an Avro single object (bytes c3 01 and 8 of the fingerprint), got ${bytes.length} bytes that start with ${bytes.toString('hex', 0, 2) || 'nothing'}: check the topic's format`,
  )
}

export function unknownFingerprint(hex: string): RecordError {
  return new RecordError(
    'record-schema-unknown',
    `expected the fingerprint of a known schema, got ${hex}: put the writer's .avsc into events.schemas.directory`,
  )
}
