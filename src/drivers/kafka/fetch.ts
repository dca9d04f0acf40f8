/** The Fetch request: records of many partitions of one broker, each with its own outcome. */

import type { OwnRequest } from './broker-link.ts'
import { WireReader, WireWriter } from './wire.ts'

export interface FetchFrom {
  topic: string
  partition: number
  offset: number
}

export interface FetchLimits {
  /** The broker waits so long for records when there are none. */
  waitMs: number
  bytesMax: number
  partitionBytesMax: number
}

/** A transaction that was given up: its records are nobody's. */
export interface AbortedTransaction {
  producerId: number
  firstOffset: number
}

export interface FetchedPartition {
  topic: string
  partition: number
  code: number
  /** Offset behind the last record that may be read. */
  end: number
  /** Offset of the first record that the log still holds. */
  start: number
  aborted: readonly AbortedTransaction[]
  /** Record batches; the last may be cut off. */
  records: Buffer
}

export interface Fetched {
  code: number
  partitions: readonly FetchedPartition[]
}

const VERSION = 11
const NO_REPLICA = -1
const READ_COMMITTED = 1
const NO_SESSION = 0
const NO_SESSION_EPOCH = -1
const NO_RECORDS = Buffer.alloc(0)

/** @param from partitions that the asked broker leads; those first in the list are served first */
export function fetchRequest(from: readonly FetchFrom[], limits: FetchLimits): OwnRequest<Fetched> {
  const { waitMs, bytesMax, partitionBytesMax } = limits
  const writer = new WireWriter(1_024)
    .int32(NO_REPLICA)
    .int32(waitMs)
    .int32(1) // Bytes at least: any record ends the wait.
    .int32(bytesMax)
    .int8(READ_COMMITTED)
    .int32(NO_SESSION)
    .int32(NO_SESSION_EPOCH)
  writer.array(from, ({ topic, partition, offset }) => {
    writer.string(topic).array([partition], () => {
      writer
        .int32(partition)
        .int32(-1) // The leader's epoch: not checked.
        .int64(offset)
        .int64(-1) // Of followers only.
        .int32(partitionBytesMax)
    })
  })
  writer.int32(0).string('')
  return { api: 'Fetch', apiKey: 1, version: VERSION, body: Buffer.from(writer.written()), read }
}

function read(payload: Buffer): Fetched {
  const reader = new WireReader(payload)
  reader.int32() // How long the broker would have us wait.
  const code = reader.int16()
  reader.int32() // The session.
  const partitions = reader.array(() => {
    const topic = reader.string() ?? ''
    return reader.array(() => readPartition(reader, topic))
  })
  return { code, partitions: partitions.flat() }
}

function readPartition(reader: WireReader, topic: string): FetchedPartition {
  const partition = reader.int32()
  const code = reader.int16()
  reader.int64() // The high watermark; what may be read ends at the last stable offset.
  const end = reader.int64()
  const start = reader.int64()
  const aborted = reader.array(() => ({ producerId: reader.int64(), firstOffset: reader.int64() }))
  reader.int32() // The preferred replica: without a rack there is none.
  const records = reader.nullableBytes() ?? NO_RECORDS
  return { topic, partition, code, end, start, aborted, records }
}
