/** Copies one topic into another by key: at least once, each partition of the source in its order. */

import { ConfigError, RecordError, UnavailableError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import { unavailable } from '../../pipeline/channels.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { deadLetter } from '../../pipeline/consumer.ts'
import type { DeadLetters } from '../../pipeline/control-log.ts'
import type { Assignment, Positions, SourceListener } from '../../pipeline/event-source.ts'
import { KafkaEventSource } from './kafka-event-source.ts'
import type { KafkaSettings } from './kafka-settings.ts'
import { partitionOf } from './partitioner.ts'
import { type RawHeader, rawHeaders } from './raw-headers.ts'
import { type RecordToWrite, recordBytes } from './record-batch-writer.ts'
import { Backoff } from './retry.ts'
import type { SafeProducer } from './safe-producer.ts'

interface CopyParts {
  /** Those of a group of its own. */
  settings: KafkaSettings
  clock: Clock
  topics: { from: string; to: string; partitionCount: number }
  producer: SafeProducer
  /** Of records that `to` doesn't take. */
  letters: DeadLetters
  commitIntervalMs: number
  /** Told how many bytes more, or fewer, are read and not durable. */
  outstanding(bytes: number): void
  failed(error: unknown): void
}

/** Headers of each copy that say where it came from. */
const PREFIX = 'freshet.source.'

/** What was read of a partition since it was last sought. */
class Stretch {
  /** Offset behind the last record that was read. */
  next: number
  /** Behind what the group has as committed. */
  committed: number
  /** It isn't known whether all was appended: read again from the first that may be missing. */
  isBroken = false
  /** Appends under way. */
  underWay = 0
  /** Offsets that aren't durable yet, in their order. */
  private readonly missing = new Set<number>()

  constructor(from: number) {
    this.next = from
    this.committed = from
  }

  began(offset: number): void {
    this.missing.add(offset)
    this.next = offset + 1
  }

  landed(offset: number): void {
    this.missing.delete(offset)
  }

  /** Everything before it is durable. */
  get committable(): number {
    const [first] = this.missing
    return first ?? this.next
  }
}

export class TopicCopy implements SourceListener {
  private readonly parts: CopyParts
  private readonly source: KafkaEventSource
  private readonly stopping = new AbortController()
  private generation = -1
  /** By partition held; null: its committed offset is being asked for. */
  private readonly stretches = new Map<number, Stretch | null>()
  private isPaused = false
  private failures = 0
  private underWay = 0
  private idle: (() => void) | undefined
  private committing: Promise<void> = Promise.resolve()
  private stopped: Promise<void> | undefined

  private constructor(parts: CopyParts, source: KafkaEventSource) {
    this.parts = parts
    this.source = source
    source.failed = (error) => parts.failed(explained(error, parts.topics.from))
  }

  /** @throws as `KafkaEventSource.open` */
  static async open(parts: CopyParts): Promise<TopicCopy> {
    const { settings, clock, topics } = parts
    const options = { checksPartitions: false }
    return new TopicCopy(parts, await KafkaEventSource.open(settings, [topics.from], clock, options))
  }

  async start(): Promise<void> {
    await this.source.start(this)
    this.committing = this.commitNowAndThen().catch((error) => this.parts.failed(error))
  }

  /** Reads no more, and waits for what is under way, `stopTimeoutMs` at most. */
  stop(): Promise<void> {
    this.stopped ??= this.stopOnce()
    return this.stopped
  }

  async close(): Promise<void> {
    await this.stop()
    await this.source.close()
  }

  /** Reads no more. */
  halt(): void {
    this.stopping.abort()
  }

  /** All partitions, whoever holds back. */
  setPaused(isPaused: boolean): void {
    this.isPaused = isPaused
    const partitions = [...this.stretches.keys()]
    if (isPaused) this.source.pause(partitions)
    else
      this.source.resume(partitions.filter((partition) => this.stretches.get(partition)?.isBroken === false))
  }

  assigned({ generation, partitions }: Assignment): void {
    const isNext = generation === this.generation + 1
    this.generation = generation
    for (const partition of [...this.stretches.keys()])
      if (!isNext || !partitions.includes(partition) || this.stretches.get(partition) === null)
        this.stretches.delete(partition)
    for (const partition of partitions)
      if (!this.stretches.has(partition)) this.begin(partition).catch((error) => this.parts.failed(error))
  }

  revoked(): void {}

  records(batch: readonly SourceRecord[]): void {
    const stretch = this.stretches.get(batch[0]!.partition)
    if (!stretch || stretch.isBroken || this.isStopped) return
    for (const record of batch) {
      stretch.began(record.offset)
      this.copy(stretch, record)
    }
  }

  private get isStopped(): boolean {
    return this.stopping.signal.aborted
  }

  /** Reads on where the group's offset is, once that is known. */
  private async begin(partition: number): Promise<void> {
    const { generation } = this
    const isCurrent = () => !this.isStopped && this.generation === generation
    this.stretches.set(partition, null)
    for (const backoff = new Backoff(); isCurrent(); ) {
      try {
        const committed = await this.source.committed(partition)
        // Else the next assignment has asked again, or let go of it.
        if (isCurrent()) this.read(partition, committed.get(this.parts.topics.from) ?? 0)
        return
      } catch (error) {
        this.tell(error)
        await this.parts.clock.sleep(backoff.nextMs(), this.stopping.signal)
      }
    }
  }

  private read(partition: number, from: number): void {
    this.stretches.set(partition, new Stretch(from))
    this.source.seek(partition, new Map([[this.parts.topics.from, from]]))
    if (this.isPaused) this.source.pause([partition])
    else this.source.resume([partition])
  }

  private async copy(stretch: Stretch, record: SourceRecord): Promise<void> {
    const copy = copyOf(record)
    const bytes = recordBytes(copy)
    stretch.underWay++
    this.underWay++
    this.parts.outstanding(bytes)
    try {
      await this.append(record, copy)
      stretch.landed(record.offset)
    } catch (error) {
      // A stop that didn't wait any longer breaks everything that is under way.
      if (!stretch.isBroken && !this.isStopped) this.tell(error)
      stretch.isBroken = true
      this.source.pause([record.partition])
    } finally {
      stretch.underWay--
      this.underWay--
      this.parts.outstanding(-bytes)
    }
    // Its repetition must come behind whatever of it may still land.
    const isCurrent = this.stretches.get(record.partition) === stretch
    if (stretch.isBroken && stretch.underWay === 0 && isCurrent && !this.isStopped)
      this.read(record.partition, stretch.committable)
    if (this.underWay === 0) this.idle?.()
  }

  /** One call a record: what becomes of each is known. They share requests all the same. */
  private async append(record: SourceRecord, copy: RecordToWrite): Promise<void> {
    const { producer, letters, clock, topics } = this.parts
    const partition = record.key === null ? 0 : partitionOf(record.key, topics.partitionCount)
    try {
      await producer.send(topics.to, partition, [copy], 'zstd')
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      await letters.put([deadLetter(record, error, clock.nowMs())])
    }
  }

  private async commitNowAndThen(): Promise<void> {
    const { clock, commitIntervalMs } = this.parts
    while (!this.isStopped) {
      await clock.sleep(commitIntervalMs, this.stopping.signal)
      await this.commit().catch((error) => this.tell(error))
    }
  }

  /** Only what is durable; a group that has moved on takes nothing, and whoever is next reads it again. */
  private async commit(): Promise<void> {
    const { generation } = this
    const offsets = new Map<number, Positions>()
    for (const [partition, stretch] of this.stretches)
      if (stretch && stretch.committable > stretch.committed)
        offsets.set(partition, new Map([[this.parts.topics.from, stretch.committable]]))
    if (offsets.size === 0) return
    const reached = [...offsets.keys()].map((partition) => {
      const stretch = this.stretches.get(partition)!
      return [stretch, stretch.committable] as const
    })
    if (!(await this.source.commit(generation, offsets))) return
    for (const [stretch, offset] of reached) stretch.committed = offset
    this.failures = 0
  }

  private async stopOnce(): Promise<void> {
    this.halt()
    await this.source.stop()
    const { clock, settings } = this.parts
    const done = new AbortController()
    const finished = this.finish().finally(() => done.abort())
    await Promise.race([finished, clock.sleep(settings.stopTimeoutMs, done.signal)])
  }

  /** Brokers that are away hold it for as long as a request may take, more than once. */
  private async finish(): Promise<void> {
    await this.committing
    await this.drained()
    await this.commit().catch((error) => this.tell(error))
  }

  private async drained(): Promise<void> {
    if (this.underWay === 0) return
    await new Promise<void>((resolve) => {
      this.idle = resolve
    })
  }

  private tell(error: unknown): void {
    if (!(error instanceof UnavailableError)) this.parts.failed(error)
    else unavailable.publish({ what: 'source', error, attempt: ++this.failures })
  }
}

function copyOf({
  topic,
  partition,
  offset,
  appendTimeMs,
  key,
  value,
  headers,
}: SourceRecord): RecordToWrite {
  const came = headers === undefined ? [] : rawHeaders(headers)
  const own = Object.entries({ topic, partition, offset }).map(
    ([name, value]): RawHeader => [PREFIX + name, Buffer.from(String(value))],
  )
  return {
    key,
    value,
    headers: [...came.filter(([name]) => !name.startsWith(PREFIX)), ...own],
    timeMs: appendTimeMs,
  }
}

/** Where each key is put by the copy, its source may have as many partitions as it likes; they only must be read. */
function explained(error: unknown, topic: string): unknown {
  if (!(error instanceof ConfigError) || error.code !== 'topic-partitions-changed') return error
  return new ConfigError(
    'repartition-source-changed',
    `expected ${topic} to keep its number of partitions while it is copied, got another: restart the workers, so that all of them are read`,
    { cause: error },
  )
}
