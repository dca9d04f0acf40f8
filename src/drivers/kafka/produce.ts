/** The Produce request: one batch to one partition, acknowledged by all replicas that are in sync. */

import type { OwnRequest } from './broker-link.ts'
import { WireReader, WireWriter } from './wire.ts'

export interface Produced {
  code: number
  /** Offset of the batch's first record; -1 where the broker only knows that it has it. */
  firstOffset: number
}

const VERSION = 7
const ALL_IN_SYNC = -1

/** O10: one partition a request, so that no answer speaks for another's. */
export function produceRequest(
  topic: string,
  partition: number,
  batch: Buffer,
  timeoutMs: number,
): OwnRequest<Produced> {
  const writer = new WireWriter(64 + topic.length + batch.length)
    .string(null) // No transaction.
    .int16(ALL_IN_SYNC)
    .int32(timeoutMs)
  writer.array([topic], () =>
    writer.string(topic).array([partition], () => writer.int32(partition).int32(batch.length).bytes(batch)),
  )
  return { api: 'Produce', apiKey: 0, version: VERSION, body: writer.written(), read }
}

function read(payload: Buffer): Produced {
  const reader = new WireReader(payload)
  const topics = reader.array(() => {
    reader.string()
    return reader.array(() => {
      reader.int32() // The partition.
      const produced = { code: reader.int16(), firstOffset: reader.int64() }
      reader.int64() // When it was appended.
      reader.int64() // Where the log starts.
      return produced
    })
  })
  const produced = topics[0]?.[0]
  if (produced === undefined) throw new RangeError('expected an answer for the partition, got none')
  return produced
}
