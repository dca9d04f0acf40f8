/** Dead letters on topics: listed, shown, put back on the topics that they came from, and purged. */

import { RecordError } from '../../errors.ts'
import type { NewRecord } from '../../events/new-record.ts'
import type { DeadLetter } from '../../pipeline/control-log.ts'
import { headersAgain, type LetterFilter, type Letters, type NamedLetter } from '../../pipeline/letters.ts'
import { deleteRecords } from './delete-records.ts'
import { deadLetterTopic, type PlacedLetter, readDeadLetters, toLetter } from './kafka-dead-letters.ts'
import { LetterMarks } from './letter-marks.ts'
import { listOffsets, type TopicPartition } from './list-offsets.ts'
import { readPartition } from './partition-reader.ts'
import { partitionOf } from './partitioner.ts'
import { rawHeaders } from './raw-headers.ts'
import type { RecordToWrite } from './record-batch-writer.ts'
import type { SafeProducer } from './safe-producer.ts'

/** What is put back, or marked, in one go: a bound on memory, and on what a crash puts back twice. */
const BATCH_LETTERS_MAX = 500
const BATCH_BYTES_MAX = 4 * 1024 * 1024

/** A letter's place among all: what was known to have failed first comes first, within a partition never before its forerunners. */
interface Order {
  timeMs: number
  topic: string
  partition: number
  offset: number
}

interface FoundLetter extends Order {
  letter: DeadLetter
}

export class KafkaLetters implements Letters {
  private readonly producer: SafeProducer
  private readonly topics: readonly string[]
  private readonly marks: LetterMarks

  /** @param topics whose dead letters these are; those lie in `<topic>.dlq` */
  constructor(producer: SafeProducer, topics: readonly string[]) {
    this.producer = producer
    this.topics = topics
    this.marks = new LetterMarks(producer)
  }

  /** Every call reads the topics from their beginning; of what it reads no more than `limit` letters are kept in memory. */
  async list(filter: LetterFilter, after: string | null, limit: number): Promise<NamedLetter[]> {
    const from = after === null ? null : await this.orderOf(after)
    let page: FoundLetter[] = []
    for (const at of await this.partitions()) {
      const worst = page.length === limit ? page.at(-1) : undefined
      let taken = 0
      for await (const found of this.remaining(at)) {
        if (taken === limit || (worst !== undefined && compare(found, worst) > 0)) break
        if ((from !== null && compare(found, from) <= 0) || !isWanted(filter, found)) continue
        page.push(found)
        taken++
      }
      page = page.sort(compare).slice(0, limit)
    }
    return page.map((found) => ({ id: idOf(found), letter: found.letter }))
  }

  async show(id: string): Promise<NamedLetter | null> {
    const found = await this.find(id)
    return found === null ? null : { id, letter: found.letter }
  }

  /**
   * A letter is marked once its record is durable; a crash between the two has it put back again another time. What the
   * topic doesn't take stays a letter.
   *
   * @throws {ConfigError | UnavailableError} what was put back before stays so
   */
  async retry(filter: LetterFilter, again: (letter: DeadLetter) => NewRecord | null): Promise<number> {
    let count = 0
    for await (const { at, batch } of this.batches(filter)) count += await this.putBack(at, batch, again)
    return count
  }

  /**
   * Without a filter what the topics hold now is removed from the brokers' disks; with one, letters are marked, and their
   * bytes stay as long as the topic keeps what it has.
   *
   * @throws {ConfigError | UnavailableError} what was purged before stays so
   */
  async purge(filter: LetterFilter): Promise<number> {
    let count = 0
    if (filter.ids === undefined && filter.reason === undefined) {
      for (const at of await this.partitions()) count += await this.empty(at)
      return count
    }
    for await (const { at, batch } of this.batches(filter)) {
      await this.marks.mark(
        at,
        'purged',
        batch.map(({ offset }) => offset),
      )
      count += batch.length
    }
    return count
  }

  count(): null {
    return null
  }

  /** Source topics, each with the partitions of its dead letters. */
  private async partitions(): Promise<TopicPartition[]> {
    const { cluster } = this.producer
    const metadata = await cluster.metadata(this.topics.map(deadLetterTopic))
    return this.topics.flatMap((topic) =>
      cluster
        .found(metadata, deadLetterTopic(topic))
        .partitions.map((_, partition) => ({ topic, partition })),
    )
  }

  private async *remaining(at: TopicPartition): AsyncGenerator<FoundLetter> {
    const gone = await this.marks.gone(at)
    for await (const found of this.all(at)) if (!gone.has(found.offset)) yield found
  }

  private async *all({ topic, partition }: TopicPartition): AsyncGenerator<FoundLetter> {
    let timeMs = Number.NEGATIVE_INFINITY
    for await (const { letter, offset } of readDeadLetters(this.producer.cluster, topic, partition)) {
      timeMs = Math.max(timeMs, letter.failedAtMs)
      yield { timeMs, topic, partition, offset, letter }
    }
  }

  /** Where a page goes on behind a letter, which may be gone meanwhile. */
  private async orderOf(id: string): Promise<Order> {
    const place = await this.placeOf(id)
    const before = { timeMs: Number.NEGATIVE_INFINITY, topic: '', partition: 0, offset: 0 }
    if (place === null) return before
    let { timeMs } = before
    for await (const found of this.all(place)) {
      if (found.offset > place.offset && timeMs > before.timeMs) break
      timeMs = found.timeMs
      if (found.offset >= place.offset) break
    }
    return { ...place, timeMs }
  }

  /** @returns null: it is the id of no partition of ours */
  private async placeOf(id: string): Promise<(TopicPartition & { offset: number }) | null> {
    const match = /^(.{1,249}):(\d{1,9}):(\d{1,15})$/.exec(id)
    const topic = this.topics.find((one) => deadLetterTopic(one) === match?.[1])
    if (match === null || topic === undefined) return null
    const [partition, offset] = [Number(match[2]), Number(match[3])]
    const { length } = (await this.producer.cluster.topic(deadLetterTopic(topic))).partitions
    return partition < length ? { topic, partition, offset } : null
  }

  private async find(id: string): Promise<FoundLetter | null> {
    const { cluster } = this.producer
    const place = await this.placeOf(id)
    if (place === null) return null
    const at = { topic: deadLetterTopic(place.topic), partition: place.partition }
    const [end = 0] = await listOffsets(cluster, [at], 'end')
    if (place.offset >= end || (await this.marks.gone(place)).has(place.offset)) return null
    for await (const { records } of readPartition(cluster, at, place.offset)) {
      const record = records.find(({ offset }) => offset >= place.offset)
      if (record === undefined) continue
      const letter = record.offset === place.offset ? toLetter(record) : null
      return letter === null ? null : { ...place, timeMs: letter.failedAtMs, letter }
    }
    return null
  }

  /** All letters that are wanted, partition by partition, up to the end as it is now: what comes back meanwhile isn't among them. */
  private async *batches(
    filter: LetterFilter,
  ): AsyncGenerator<{ at: TopicPartition; batch: readonly PlacedLetter[] }> {
    if (filter.ids !== undefined) {
      for (const id of new Set(filter.ids)) {
        const found = await this.find(id)
        if (found !== null && isWanted({ reason: filter.reason }, found)) yield { at: found, batch: [found] }
      }
      return
    }
    for (const at of await this.partitions()) {
      let batch: PlacedLetter[] = []
      let bytes = 0
      for await (const found of this.remaining(at)) {
        if (!isWanted(filter, found)) continue
        batch.push(found)
        bytes += (found.letter.value?.length ?? 0) + (found.letter.key?.length ?? 0)
        if (batch.length < BATCH_LETTERS_MAX && bytes < BATCH_BYTES_MAX) continue
        yield { at, batch }
        batch = []
        bytes = 0
      }
      if (batch.length > 0) yield { at, batch }
    }
  }

  private async putBack(
    at: TopicPartition,
    batch: readonly PlacedLetter[],
    again: (letter: DeadLetter) => NewRecord | null,
  ): Promise<number> {
    const sent: number[] = []
    const outcomes = await Promise.allSettled(
      batch.map(async ({ letter, offset }) => {
        const record = again(letter)
        if (record === null) return
        const partition = await this.partitionFor(letter, record)
        try {
          await this.producer.send(record.topic, partition, [toWrite(letter, record)])
          sent.push(offset)
        } catch (error) {
          if (!(error instanceof RecordError)) throw error
        }
      }),
    )
    await this.marks.mark(at, 'retried', sent)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    return sent.length
  }

  /** Where the record was; where its key says, if it goes elsewhere than it came from. */
  private async partitionFor(letter: DeadLetter, { topic, key }: NewRecord): Promise<number> {
    if (topic === letter.topic) return letter.partition
    const { partitions } = await this.producer.cluster.topic(topic)
    return key === null ? 0 : partitionOf(key, partitions.length)
  }

  /** @returns how many letters are gone */
  private async empty(at: TopicPartition): Promise<number> {
    const { cluster } = this.producer
    const letters = { topic: deadLetterTopic(at.topic), partition: at.partition }
    const [end = 0] = await listOffsets(cluster, [letters], 'end')
    let count = 0
    for await (const { offset } of this.remaining(at)) {
      if (offset >= end) break
      count++
    }
    const [start = 0] = await listOffsets(cluster, [letters], 'start')
    if (start < end) await deleteRecords(cluster, letters, end)
    this.marks.forget(at, end)
    return count
  }
}

function idOf({ topic, partition, offset }: Order): string {
  return `${deadLetterTopic(topic)}:${partition}:${offset}`
}

function compare(a: Order, b: Order): number {
  if (a.timeMs !== b.timeMs) return a.timeMs - b.timeMs
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  return a.partition - b.partition || a.offset - b.offset
}

function isWanted({ ids, reason }: LetterFilter, found: FoundLetter): boolean {
  if (reason !== undefined && found.letter.reason !== reason) return false
  return ids === undefined || ids.includes(idOf(found))
}

/** Headers as they came, byte by byte, and what a record that comes back says beside. */
function toWrite(letter: DeadLetter, record: NewRecord): RecordToWrite {
  const { key, value, appendTimeMs, headers = {} } = record
  const added = headersAgain(letter, record)
  const came = rawHeaders(headers).filter(([name]) => added[name] === undefined)
  return {
    key,
    value,
    headers: [...came, ...rawHeaders(added)],
    ...(appendTimeMs === undefined ? {} : { timeMs: appendTimeMs }),
  }
}
