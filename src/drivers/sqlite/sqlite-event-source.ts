/** `EventSource` over the event log: one partition, read from disk until its end, then straight from the appender. */

import { UnavailableError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { Clock } from '../../pipeline/clock.ts'
import type { EventSource, Positions, SourceListener } from '../../pipeline/event-source.ts'
import type { SqliteEventLog } from './event-log.ts'
import { GroupOffsets } from './group-offsets.ts'
import { LogReader, READ_RECORDS_MAX } from './log-reader.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** One process, one partition, one assignment for good: the lock of the data directory is what makes it so. */
const PARTITION = 0
const GENERATION = 1

/** Records that an appender may be ahead of the reader in memory; beyond, they are read from disk. */
const TAIL_RECORDS_MAX = 20_000
const TAIL_BYTES_MAX = 16 * 1024 * 1024

export class SqliteEventSource implements EventSource {
  readonly topics: readonly string[]
  readonly partitionCount = 1

  private readonly log: SqliteEventLog
  private readonly clock: Clock
  private readonly offsets: GroupOffsets
  private readonly reader: LogReader
  private listener: SourceListener | undefined
  private unsubscribe = () => {}
  private readonly stopping = new AbortController()
  /** Next offset of the log to hand out; undefined before the first seek. */
  private cursor: number | undefined
  private positions: Positions = new Map()
  /** Appended at and after the cursor, without a gap: needs no reading. */
  private tail: (readonly SourceRecord[])[] = []
  private tailRecords = 0
  private tailBytes = 0
  /** Read, one list a topic, and not handed out yet. */
  private batches: SourceRecord[][] = []
  private isPaused = false
  private isScheduled = false

  constructor(
    database: SqliteDatabase,
    log: SqliteEventLog,
    options: { topics: readonly string[]; clock: Clock; group?: string },
  ) {
    this.log = log
    this.topics = options.topics
    this.clock = options.clock
    this.offsets = new GroupOffsets(database, options.group ?? 'freshet')
    this.reader = new LogReader(database, log)
  }

  async start(listener: SourceListener): Promise<void> {
    this.listener = listener
    this.unsubscribe = this.log.subscribe((records) => this.appended(records))
    listener.assigned({ generation: GENERATION, partitions: [PARTITION] })
  }

  seek(partition: number, positions: Positions): void {
    if (partition !== PARTITION) return
    const end = this.log.endOffset()
    // Positions beyond the end can't be of this log; taken as they are, they would pass over what comes next.
    this.positions = new Map([...positions].map(([topic, position]) => [topic, Math.min(position, end)]))
    this.forgetTail()
    this.batches = []
    this.cursor = this.reader.start(this.topics, this.positions)
    this.schedule()
  }

  pause(partitions: readonly number[]): void {
    if (partitions.includes(PARTITION)) this.isPaused = true
  }

  resume(partitions: readonly number[]): void {
    if (!partitions.includes(PARTITION)) return
    this.isPaused = false
    this.schedule()
  }

  async commit(generation: number, offsets: ReadonlyMap<number, Positions>): Promise<boolean> {
    if (generation !== GENERATION) return false
    const positions = offsets.get(PARTITION)
    if (positions !== undefined) this.offsets.commit(positions)
    return true
  }

  async committed(partition: number): Promise<Positions> {
    return partition === PARTITION ? this.offsets.committed() : new Map()
  }

  async endOffsets(partition: number): Promise<Positions> {
    if (partition !== PARTITION) return new Map()
    return new Map(this.topics.map((topic) => [topic, this.log.topicEnd(topic)]))
  }

  /** The first offset that may have to be read again: what retention must keep. */
  keepFrom(): number {
    return this.offsets.firstUncommitted(this.topics, this.log)
  }

  /** Nothing is handed out any more; commits are still taken. */
  async stop(): Promise<void> {
    this.stopping.abort()
    this.unsubscribe()
    this.cursor = undefined
    this.forgetTail()
    this.batches = []
  }

  private appended(records: readonly SourceRecord[]): void {
    const next = this.cursor === undefined ? undefined : this.cursor + this.tailRecords
    if (next !== undefined && records[0]!.offset === next) this.keepTail(records)
    this.schedule()
  }

  private keepTail(records: readonly SourceRecord[]): void {
    const bytes = sizeOf(records)
    const isTooMuch =
      this.tailRecords + records.length > TAIL_RECORDS_MAX || this.tailBytes + bytes > TAIL_BYTES_MAX
    // The disk has them all; what was kept stays a prefix, so that nothing is handed out twice or out of order.
    if (isTooMuch) return
    this.tail.push(records)
    this.tailRecords += records.length
    this.tailBytes += bytes
  }

  private forgetTail(): void {
    this.tail = []
    this.tailRecords = 0
    this.tailBytes = 0
  }

  private schedule(): void {
    if (this.isScheduled || this.cursor === undefined) return
    this.isScheduled = true
    // A turn of the event loop between batches: timers, requests and acknowledgements come in between.
    setImmediate(() => this.turn())
  }

  /** Hands out one list of records. What the listener throws is nobody's to catch: it ends the process (a bug). */
  private turn(): void {
    this.isScheduled = false
    if (this.isPaused || this.cursor === undefined || this.listener === undefined) return
    const before = this.cursor
    try {
      if (this.batches.length === 0) this.batches = this.byTopic(this.next(before))
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      void this.clock.sleep(error.retryAfterMs, this.stopping.signal).then(() => this.schedule())
      return
    }
    const batch = this.batches.shift()
    if (batch !== undefined) this.listener.records(batch)
    if (batch !== undefined || this.cursor !== before) this.schedule()
  }

  /** The next records, from memory if they are there; the cursor moves behind them. */
  private next(cursor: number): readonly SourceRecord[] {
    if (this.tail.length === 0) {
      const { records, next } = this.reader.read(cursor)
      this.cursor = next
      return records
    }
    const records: SourceRecord[] = []
    while (this.tail.length > 0 && records.length < READ_RECORDS_MAX) records.push(...this.tail.shift()!)
    this.tailRecords -= records.length
    this.tailBytes -= sizeOf(records)
    this.cursor = cursor + records.length
    return records
  }

  /** Order matters within a topic only; one list a topic spares calls. */
  private byTopic(records: readonly SourceRecord[]): SourceRecord[][] {
    const byTopic = new Map<string, SourceRecord[]>()
    for (const record of records) {
      if (!this.topics.includes(record.topic)) continue
      if (record.offset < (this.positions.get(record.topic) ?? 0)) continue
      const list = byTopic.get(record.topic)
      if (list === undefined) byTopic.set(record.topic, [record])
      else list.push(record)
    }
    return [...byTopic.values()]
  }
}

function sizeOf(records: readonly SourceRecord[]): number {
  return records.reduce((bytes, { key, value }) => bytes + (key?.length ?? 0) + (value?.length ?? 0), 0)
}
