/** Which dead letters are letters no more: told by marks that lie behind them in their own partition. */

import { ConfigError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import { deadLetterTopic, MARKS, toLetter } from './kafka-dead-letters.ts'
import type { TopicPartition } from './list-offsets.ts'
import { readPartition } from './partition-reader.ts'
import type { SafeProducer } from './safe-producer.ts'

/** What became of a letter. */
export type LetterEnd = keyof typeof MARKS

/** Offsets of one mark: some kilobytes of a header. */
const OFFSETS_MAX = 1_000

interface ReadMarks {
  next: number
  gone: Set<number>
}

export class LetterMarks {
  private readonly producer: SafeProducer
  /** By partition, so that each mark is read once. */
  private readonly read = new Map<string, ReadMarks>()

  constructor(producer: SafeProducer) {
    this.producer = producer
  }

  /**
   * Reads on to the end.
   *
   * @param at a source topic, and a partition of its dead letters
   * @returns offsets of letters that were put back or purged
   * @throws {ConfigError | UnavailableError}
   */
  async gone(at: TopicPartition): Promise<ReadonlySet<number>> {
    const known = this.known(at)
    try {
      await this.readOn(at, known)
    } catch (error) {
      // The topic was created anew: what was read of the old one says nothing.
      if (!(error instanceof ConfigError) || error.code !== 'log-truncated') throw error
      known.next = 0
      known.gone.clear()
      await this.readOn(at, known)
    }
    return known.gone
  }

  /** Resolves when it is durable. @throws {ConfigError | UnavailableError} */
  async mark(
    { topic, partition }: TopicPartition,
    end: LetterEnd,
    offsets: readonly number[],
  ): Promise<void> {
    for (let from = 0; from < offsets.length; from += OFFSETS_MAX) {
      const some = offsets.slice(from, from + OFFSETS_MAX)
      const headers = [[MARKS[end], Buffer.from(some.join(','))]] as const
      await this.producer.send(deadLetterTopic(topic), partition, [{ key: null, value: null, headers }])
      const { gone } = this.known({ topic, partition })
      for (const offset of some) gone.add(offset)
    }
  }

  /** Offsets below this one are no more: nobody has to know what became of them. */
  forget(at: TopicPartition, below: number): void {
    const { gone } = this.known(at)
    for (const offset of gone) if (offset < below) gone.delete(offset)
  }

  private known({ topic, partition }: TopicPartition): ReadMarks {
    const name = `${topic} ${partition}`
    const known = this.read.get(name) ?? { next: 0, gone: new Set() }
    this.read.set(name, known)
    return known
  }

  private async readOn({ topic, partition }: TopicPartition, known: ReadMarks): Promise<void> {
    const at = { topic: deadLetterTopic(topic), partition }
    for await (const { records, next } of readPartition(this.producer.cluster, at, known.next)) {
      for (const record of records) for (const offset of offsetsOf(record)) known.gone.add(offset)
      known.next = Math.max(known.next, next)
    }
  }
}

function offsetsOf(record: SourceRecord): number[] {
  if (toLetter(record) !== null) return []
  return Object.values(MARKS).flatMap((name) =>
    (record.headers?.[name] ?? '').split(',').filter(Boolean).map(Number),
  )
}
