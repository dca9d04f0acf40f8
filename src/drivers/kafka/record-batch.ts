/** Reads Kafka's record batches: headers first, records when they are wanted, and where each batch ends. */

import { isUtf8 } from 'node:buffer'
import { ConfigError } from '../../errors.ts'
import { SCHEMA_ID_HEADER, type SourceRecord } from '../../events/source-record.ts'
import { COMPRESSIONS, type Compression, decompress } from './codecs.ts'
import { crc32c } from './crc32c.ts'
import { keepRawHeaders, type RawHeader } from './raw-headers.ts'
import { WireReader } from './wire.ts'

/** Header of a stand-in for a batch whose records nobody can read: why. Its value is the batch as it came. */
const UNREADABLE_HEADER = 'freshet.batch.unreadable'

/** Bytes before the part that the length counts, before the part that the checksum covers, and before the records. */
const LENGTH_END = 12
const CHECKED_FROM = 21
const HEADER_BYTES = 61
/** In every format. */
const MAGIC_AT = 16

const MAGIC = 2
const COMPRESSION_MASK = 0x07
const APPEND_TIME_FLAG = 0x08
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20

export interface RecordBatch {
  baseOffset: number
  /** Of the batch, whatever compaction left of its records: reading goes on behind it. */
  lastOffset: number
  recordCount: number
  compression: Compression
  /** Transaction markers: no records of anybody. */
  isControl: boolean
  isTransactional: boolean
  producerId: number
  baseTimeMs: number
  /** The broker's time, when the topic's timestamps are append times; null: each record has its producer's. */
  appendTimeMs: number | null
  /** Header and records, as the broker sent them. */
  bytes: Buffer
}

/**
 * The whole batches of a fetched record set, in order. A last one that is cut off is left out: it comes whole next time.
 *
 * @throws {RangeError} when the bytes are no record set, or are damaged
 * @throws {ConfigError} `kafka-message-format`
 */
export function readBatches(records: Buffer): RecordBatch[] {
  const batches: RecordBatch[] = []
  for (let at = 0; at + HEADER_BYTES <= records.length; ) {
    const magic = records.readInt8(at + MAGIC_AT)
    if (magic === 0 || magic === 1)
      throw new ConfigError(
        'kafka-message-format',
        `expected record batches of format ${MAGIC}, got ${magic}, of a producer or broker from before Kafka 0.11: copy the topic with a newer producer, or wait until retention has removed them`,
      )
    const sizeBytes = LENGTH_END + records.readInt32BE(at + 8)
    if (sizeBytes < HEADER_BYTES)
      throw new RangeError(`expected a record batch, got one of ${sizeBytes} bytes`)
    if (at + sizeBytes > records.length) break
    batches.push(readBatch(records.subarray(at, at + sizeBytes)))
    at += sizeBytes
  }
  return batches
}

function readBatch(bytes: Buffer): RecordBatch {
  const reader = new WireReader(bytes)
  const baseOffset = reader.int64()
  reader.int32() // Its length.
  reader.int32() // The leader's epoch.
  const magic = reader.int8()
  if (magic !== MAGIC) throw new RangeError(`expected record batches of format ${MAGIC}, got ${magic}`)
  const checksum = reader.uint32()
  if (crc32c(bytes, CHECKED_FROM) !== checksum) throw new RangeError('expected a batch of this checksum')
  const attributes = reader.int16()
  const lastOffset = baseOffset + reader.int32()
  const baseTimeMs = reader.int64()
  const maxTimeMs = reader.int64()
  const producerId = reader.int64()
  reader.int16() // The producer's epoch.
  reader.int32() // Its sequence.
  const recordCount = reader.int32()
  const compression = COMPRESSIONS[attributes & COMPRESSION_MASK]
  if (compression === undefined) throw new RangeError(`expected a known codec, got ${attributes & 7}`)
  return {
    baseOffset,
    lastOffset,
    recordCount,
    compression,
    isControl: (attributes & CONTROL_FLAG) !== 0,
    isTransactional: (attributes & TRANSACTIONAL_FLAG) !== 0,
    producerId,
    baseTimeMs,
    appendTimeMs: (attributes & APPEND_TIME_FLAG) !== 0 ? maxTimeMs : null,
    bytes,
  }
}

/**
 * The records of a batch from an offset on. A batch that its checksum proves whole, but that nobody can read, is one
 * record in their stead, without a key: a dead letter to be, so that one broken producer doesn't halt a partition.
 *
 * Not a promise where nothing must be decompressed: most batches cost no turn of the event loop.
 */
export function readRecords(
  topic: string,
  partition: number,
  batch: RecordBatch,
  fromOffset: number,
): SourceRecord[] | Promise<SourceRecord[]> {
  const body = batch.bytes.subarray(HEADER_BYTES)
  if (batch.compression === 'none') return decode(body)
  return decompress(batch.compression, body).then(decode, unreadable)

  function decode(records: Buffer): SourceRecord[] {
    try {
      return decodeRecords(topic, partition, batch, records, fromOffset)
    } catch (error) {
      return unreadable(error)
    }
  }

  function unreadable(error: unknown): SourceRecord[] {
    if (error instanceof ConfigError) throw error // It isn't the batch.
    const headers = { [UNREADABLE_HEADER]: error instanceof Error ? error.message : String(error) }
    const offset = Math.max(batch.baseOffset, fromOffset)
    const appendTimeMs = batch.appendTimeMs ?? batch.baseTimeMs
    return [{ topic, partition, offset, appendTimeMs, key: null, value: batch.bytes, headers }]
  }
}

/** The type of a control batch's first record: a transaction was aborted. */
export function isAbortMarker(batch: RecordBatch): boolean {
  const reader = new WireReader(batch.bytes, HEADER_BYTES)
  reader.varint() // The record's length.
  reader.int8()
  reader.varint()
  reader.varint()
  const keyLength = reader.varint()
  if (keyLength < 4) return false
  reader.int16()
  return reader.int16() === 0
}

function decodeRecords(
  topic: string,
  partition: number,
  batch: RecordBatch,
  body: Buffer,
  fromOffset: number,
): SourceRecord[] {
  const { baseOffset, baseTimeMs, appendTimeMs, recordCount } = batch
  const reader = new WireReader(body)
  const records: SourceRecord[] = []
  for (let index = 0; index < recordCount; index++) {
    const sizeBytes = reader.varint()
    const end = reader.offset + sizeBytes
    reader.int8() // Attributes: none is used.
    const timeMs = baseTimeMs + reader.varint()
    const offset = baseOffset + reader.varint()
    const key = varintBytes(reader)
    const value = varintBytes(reader)
    const headerCount = reader.varint()
    const headers = headerCount === 0 ? null : readHeaders(reader, headerCount)
    if (reader.offset !== end) throw new RangeError(`expected a record of ${sizeBytes} bytes at ${end}`)
    if (offset < fromOffset) continue
    const record = { topic, partition, offset, appendTimeMs: appendTimeMs ?? timeMs, key, value }
    records.push(headers === null ? record : { ...record, ...headers })
  }
  return records
}

function varintBytes(reader: WireReader): Buffer | null {
  const length = reader.varint()
  return length < 0 ? null : reader.bytes(length)
}

function readHeaders(reader: WireReader, count: number): Pick<SourceRecord, 'headers' | 'schemaId'> {
  const headers: Record<string, string> = {}
  const raw: RawHeader[] = []
  let isPlain = true
  let schemaId: Buffer | null = null
  for (let index = 0; index < count; index++) {
    const name = reader.bytes(reader.varint()).toString('utf8')
    const value = varintBytes(reader)
    if (value === null || name in headers || !isUtf8(value)) isPlain = false
    headers[name] = value?.toString('utf8') ?? ''
    raw.push([name, value])
    // Of several the last counts, as for Confluent's own.
    if (name === SCHEMA_ID_HEADER) schemaId = value
  }
  if (!isPlain) keepRawHeaders(headers, raw)
  return schemaId === null ? { headers } : { headers, schemaId }
}
