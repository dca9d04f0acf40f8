/** Writes records as one of Kafka's record batches, compressed and numbered for an idempotent producer. */

import { COMPRESSIONS, type Compression, compress } from './codecs.ts'
import { crc32c } from './crc32c.ts'
import type { RawHeader } from './raw-headers.ts'
import { WireWriter } from './wire.ts'

export interface RecordToWrite {
  key: Uint8Array | null
  /** null: a delete on a compacted topic. */
  value: Uint8Array | null
  headers?: readonly RawHeader[]
  /** Milliseconds; by default that of the batch. Topics with append times replace it. */
  timeMs?: number
}

/** Who writes, and the number of the batch's first record: a broker refuses what it has and what has a gap before it. */
export interface ProducerNumber {
  producerId: number
  producerEpoch: number
  sequence: number
}

const MAGIC = 2
/** Of the header, from its attributes on: what the checksum covers besides the records. */
const ATTRIBUTES_BYTES = 40
/** From the leader's epoch to the checksum. */
const BEFORE_ATTRIBUTES_BYTES = 9

/** @param timeMs of records that have none of their own, milliseconds */
export async function writeBatch(
  records: readonly RecordToWrite[],
  compression: Compression,
  timeMs: number,
  { producerId, producerEpoch, sequence }: ProducerNumber,
): Promise<Buffer> {
  const times = records.map((record) => record.timeMs ?? timeMs)
  const baseTimeMs = times[0] ?? timeMs
  const maxTimeMs = times.reduce((max, time) => Math.max(max, time), baseTimeMs)
  const body = await compress(compression, writeRecords(records, times, baseTimeMs))
  const checked = new WireWriter(ATTRIBUTES_BYTES + body.length)
    .int16(COMPRESSIONS.indexOf(compression))
    .int32(records.length - 1)
    .int64(baseTimeMs)
    .int64(maxTimeMs)
    .int64(producerId)
    .int16(producerEpoch)
    .int32(sequence)
    .int32(records.length)
    .bytes(body)
    .written()
  return new WireWriter(21 + checked.length)
    .int64(0) // The broker numbers them.
    .int32(BEFORE_ATTRIBUTES_BYTES + checked.length)
    .int32(-1) // The leader's epoch: the broker's, too.
    .int8(MAGIC)
    .uint32(crc32c(checked))
    .bytes(checked)
    .written()
}

function writeRecords(
  records: readonly RecordToWrite[],
  times: readonly number[],
  baseTimeMs: number,
): Buffer {
  const all = new WireWriter(4_096)
  const one = new WireWriter(256)
  for (const [index, { key, value, headers = [] }] of records.entries()) {
    one.clear()
    one
      .int8(0) // Attributes: none is used.
      .varint(times[index]! - baseTimeMs)
      .varint(index)
      .varintBytes(key)
      .varintBytes(value)
      .varint(headers.length)
    for (const [name, bytes] of headers) one.varintBytes(Buffer.from(name)).varintBytes(bytes)
    all.varintBytes(one.written())
  }
  return all.written()
}

/** Bytes that a record takes uncompressed, at most. */
export function recordBytes({ key, value, headers = [] }: RecordToWrite): number {
  let bytes = 32 + (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, value] of headers) bytes += 10 + 3 * name.length + (value?.length ?? 0)
  return bytes
}
