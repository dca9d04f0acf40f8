/** Dead letters as a topic beside each source topic: the raw bytes, and where they came from in headers. */

import { isUtf8 } from 'node:buffer'
import { ConfigError, RecordError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { DeadLetter, DeadLetters } from '../../pipeline/control-log.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { readPartition } from './partition-reader.ts'
import { keepRawHeaders, type RawHeader, rawHeaders } from './raw-headers.ts'
import type { SafeProducer } from './safe-producer.ts'

/** Where a letter lies in its topic, beside what it is. */
export interface PlacedLetter {
  letter: DeadLetter
  partition: number
  offset: number
}

const PREFIX = 'freshet.dlq.'
/** Headers of a mark: offsets of letters before it in its partition that are no letters any more, with commas between them. */
export const MARKS = { retried: `${PREFIX}retried`, purged: `${PREFIX}purged` } as const
/** Headers that say where a letter came from; others of the prefix say something of the record, and stay with it. */
const OWN_HEADERS = new Set([
  ...['topic', 'partition', 'offset', 'timestamp', 'reason', 'error', 'attempts', 'failed-at'].map(
    (name) => PREFIX + name,
  ),
  ...Object.values(MARKS),
])
/** Characters of an error's message: a header, not a book. */
const ERROR_LENGTH_MAX = 2_000
/** Letters that were put lately, so that a repeated attempt doesn't double them; readers leave out the rest. */
const REMEMBERED_MAX = 10_000
/** Letters that a reader knows again. A guess: more than the dead letters among what is read again after a crash. */
const KNOWN_AGAIN_MAX = 100_000

export class KafkaDeadLetters implements DeadLetters {
  private readonly producer: SafeProducer
  private readonly partitionCounts = new Map<string, number>()
  private readonly lately = new Set<string>()

  constructor(producer: SafeProducer) {
    this.producer = producer
  }

  async put(letters: readonly DeadLetter[]): Promise<void> {
    const unknown = letters.filter((letter) => !this.lately.has(placeOf(letter)))
    const byTopic = Map.groupBy(unknown, ({ topic }) => topic)
    await Promise.all([...byTopic].map(([topic, ofTopic]) => this.putInto(deadLetterTopic(topic), ofTopic)))
  }

  private async putInto(topic: string, letters: readonly DeadLetter[]): Promise<void> {
    const count = await this.partitionCount(topic)
    const byPartition = Map.groupBy(letters, ({ partition }) => partition % count)
    await Promise.all(
      [...byPartition].map(async ([partition, ofPartition]) => {
        try {
          await this.producer.send(topic, partition, ofPartition.map(toRecord), 'zstd')
        } catch (error) {
          if (!(error instanceof RecordError)) throw error
          throw new ConfigError(
            'dead-letter-refused',
            `expected ${topic} to take every record of its source, got: ${error.message}: give it max.message.bytes of the source and 64 KiB more, and no compaction`,
            { cause: error },
          )
        }
        for (const letter of ofPartition) remember(this.lately, placeOf(letter), REMEMBERED_MAX)
      }),
    )
  }

  private async partitionCount(topic: string): Promise<number> {
    const known = this.partitionCounts.get(topic)
    if (known !== undefined) return known
    const { length } = (await this.producer.cluster.topic(topic)).partitions
    this.partitionCounts.set(topic, length)
    return length
  }
}

/** Beyond the limit the oldest is forgotten. */
function remember(places: Set<string>, place: string, limit: number): void {
  places.add(place)
  if (places.size <= limit) return
  const [oldest] = places
  places.delete(oldest!)
}

export function deadLetterTopic(topic: string): string {
  return `${topic}.dlq`
}

/**
 * The letters of one partition of a source topic's dead letters, in the order in which they were put, with those that were
 * put back or purged; of one that was put twice, the first.
 *
 * @param from offset in the topic of dead letters
 * @throws {ConfigError | UnavailableError}
 */
export async function* readDeadLetters(
  cluster: KafkaCluster,
  topic: string,
  partition: number,
  from = 0,
): AsyncGenerator<PlacedLetter> {
  const seen = new Set<string>()
  const at = { topic: deadLetterTopic(topic), partition }
  for await (const { records } of readPartition(cluster, at, from))
    for (const record of records) {
      const letter = toLetter(record)
      const place = letter && placeOf(letter)
      if (letter === null || place === null || seen.has(place)) continue
      remember(seen, place, KNOWN_AGAIN_MAX)
      yield { letter, partition, offset: record.offset }
    }
}

function placeOf({ topic, partition, offset }: DeadLetter): string {
  return `${topic} ${partition} ${offset}`
}

function toRecord(letter: DeadLetter) {
  const { topic, partition, offset, appendTimeMs, key, value, reason, error, failedAtMs } = letter
  const before = Number(letter.headers[`${PREFIX}attempts`]) || 0
  const own = {
    topic,
    partition,
    offset,
    timestamp: appendTimeMs,
    reason,
    error: error.slice(0, ERROR_LENGTH_MAX),
    attempts: letter.attempts + before,
    'failed-at': failedAtMs,
  }
  const headers: RawHeader[] = [
    ...rawHeaders(letter.headers).filter(([name]) => !OWN_HEADERS.has(name)),
    ...Object.entries(own).map(([name, value]): RawHeader => [PREFIX + name, Buffer.from(String(value))]),
  ]
  return { key, value, headers }
}

/** @returns null for a record that is no dead letter of ours */
export function toLetter({ key, value, headers = {} }: SourceRecord): DeadLetter | null {
  const own = (name: string) => headers[PREFIX + name]
  const topic = own('topic')
  const numbers = ['partition', 'offset', 'timestamp', 'attempts', 'failed-at'].map((name) =>
    Number(own(name)),
  )
  if (topic === undefined || numbers.some(Number.isNaN)) return null
  const [partition, offset, appendTimeMs, attempts, failedAtMs] = numbers as [
    number,
    number,
    number,
    number,
    number,
  ]
  const came = rawHeaders(headers).filter(([name]) => !OWN_HEADERS.has(name))
  return {
    topic,
    partition,
    offset,
    appendTimeMs,
    key,
    value,
    headers: asCame(came),
    reason: own('reason') ?? '',
    error: own('error') ?? '',
    attempts,
    failedAtMs,
  }
}

function asCame(came: readonly RawHeader[]): Record<string, string> {
  const headers = Object.fromEntries(
    came.map(([name, value]) => [name, value ? Buffer.from(value).toString() : '']),
  )
  const isPlain =
    came.length === Object.keys(headers).length && came.every(([, value]) => value && isUtf8(value))
  if (!isPlain) keepRawHeaders(headers, came)
  return headers
}
