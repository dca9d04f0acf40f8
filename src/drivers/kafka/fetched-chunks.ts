/** What is made of a fetched answer: records in order, and where reading goes on. */

import { UnavailableError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { FetchedPartition } from './fetch.ts'
import { isAbortMarker, type RecordBatch, readBatches, readRecords } from './record-batch.ts'

/** Records handed over in one go: a few milliseconds of work. */
const CHUNK_RECORDS_MAX = 1_000

/** A part of what was fetched, and the position behind it; without records where there is nothing but markers. */
export interface Chunk {
  records: readonly SourceRecord[]
  next: number
  /** Some of the times are what producers say, not when the broker appended. */
  hasProducerTimes: boolean
}

/**
 * The records of a fetched partition from a position on, in order, without those of transactions that were given up.
 * Positions move on behind whole batches: compaction and transactions leave offsets without records.
 *
 * @throws {UnavailableError} `kafka-batch-damaged`: what comes next time may be whole
 * @throws {ConfigError} `kafka-message-format`
 */
export async function* chunksOf(fetched: FetchedPartition, position: number): AsyncGenerator<Chunk> {
  const { topic, partition } = fetched
  const isWanted = committedOnly(fetched)
  let records: SourceRecord[] = []
  let next = position
  let hasProducerTimes = false
  for (const batch of wholeBatches(fetched)) {
    // Markers count even where their batch was read before.
    const wanted = isWanted(batch)
    if (batch.lastOffset < position) continue
    if (wanted) {
      hasProducerTimes ||= batch.appendTimeMs === null
      const read = readRecords(topic, partition, batch, position)
      for (const record of read instanceof Promise ? await read : read) {
        records.push(record)
        if (records.length < CHUNK_RECORDS_MAX) continue
        yield { records, next: record.offset + 1, hasProducerTimes }
        records = []
      }
    }
    next = batch.lastOffset + 1
  }
  if (next > position) yield { records, next, hasProducerTimes }
}

function wholeBatches({ topic, partition, records }: FetchedPartition): RecordBatch[] {
  try {
    return readBatches(records)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new UnavailableError(
      'kafka-batch-damaged',
      `expected whole record batches of partition ${partition} of ${topic}, got: ${error.message}: they are fetched again; check the brokers' disks and the network`,
      { cause: error },
    )
  }
}

/** Tells batch by batch, in order, whether its records are anybody's. */
function committedOnly({ aborted }: FetchedPartition): (batch: RecordBatch) => boolean {
  const waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
  const givenUp = new Set<number>()
  return (batch) => {
    while (waiting.length > 0 && waiting[0]!.firstOffset <= batch.lastOffset)
      givenUp.add(waiting.shift()!.producerId)
    if (batch.isControl) {
      if (isAbortMarker(batch)) givenUp.delete(batch.producerId)
      return false
    }
    return !batch.isTransactional || !givenUp.has(batch.producerId)
  }
}
