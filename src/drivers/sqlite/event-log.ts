/** The durable event log of a standalone freshet: appended in groups, handed on to who listens, read by number. */

import { RequestError, UnavailableError } from '../../errors.ts'
import type { NewRecord } from '../../events/new-record.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import type { Clock } from '../../pipeline/clock.ts'
import type { Tombstone } from '../../pipeline/state-store.ts'
import { firstOffset, lastRow, rowBytes } from './log-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** How far a file has been imported: saved in the same transaction as its records, so that each comes in exactly once. */
export interface ImportProgress {
  /** Names the file and its content. */
  import: string
  /** Where to read on, in units of the importer's choice. */
  position: number
  /** Records appended so far. */
  records: number
  /** The day that the whole import is read as of, days since the Unix epoch; null: not known yet. */
  asOfDay: number | null
  isDone: boolean
}

export interface EventLogOptions {
  clock: Clock
  /**
   * Reads the tombstone out of a record of the tombstone topic; null: it is none. Tombstones are kept by user as well
   * as in the log, in one transaction, so that a take-over reads all of them whatever retention has cut (O1).
   */
  tombstoneOf: (record: SourceRecord) => Tombstone | null
  tombstoneTopic: string
  /** Bytes of one record's key, value and headers. */
  recordBytesMax?: number
}

/** Where records were put: `count` offsets from `firstOffset` on, without a gap. */
export interface Appended {
  firstOffset: number
  count: number
}

interface Waiting {
  records: readonly NewRecord[]
  progress: ImportProgress | undefined
  resolve: (appended: Appended) => void
  reject: (error: unknown) => void
}

/** Above the largest value that a topic admits, so that what is too large for a topic still becomes a dead letter. */
const RECORD_BYTES_MAX = 64 * 1024 * 1024
const TOPIC_LENGTH_MAX = 249
/** One reading of `readFrom`: some milliseconds. */
const READ_FROM_MAX = 1_000
/** Records that wait for the turn to end; more are written at once. */
const GROUP_RECORDS_MAX = 10_000

export type LogRow = [
  offset: number,
  topic: number,
  appendTimeMs: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: string | null,
]

export class SqliteEventLog {
  private readonly database: SqliteDatabase
  private readonly options: EventLogOptions
  private readonly topicIds = new Map<string, number>()
  private readonly topicNames = new Map<number, string>()
  private readonly listeners = new Set<(records: readonly SourceRecord[]) => void>()
  private waiting: Waiting[] = []
  private waitingRecords = 0
  private isClosed = false

  constructor(database: SqliteDatabase, options: EventLogOptions) {
    this.database = database
    this.options = options
  }

  /**
   * Appends records in their order. Calls of one turn of the event loop share one transaction, and so one wait for the
   * disk. Resolves when they are durable.
   *
   * @throws {RequestError} `append-topic`, `append-too-large`, before anything is written
   * @throws {UnavailableError} `disk-full` and its like: nothing of them is written
   */
  append(records: readonly NewRecord[], progress?: ImportProgress): Promise<Appended> {
    return new Promise((resolve, reject) => {
      if (this.isClosed)
        throw new UnavailableError(
          'log-closed',
          'expected an open log, got one that is closed: the process ends',
        )
      for (const record of records) this.check(record)
      if (this.waiting.length === 0) setImmediate(() => this.flush())
      this.waiting.push({ records, progress, resolve, reject })
      this.waitingRecords += records.length
      if (this.waitingRecords >= GROUP_RECORDS_MAX) this.flush()
    })
  }

  /** Appends within the caller's transaction: for what must be durable together with something else. */
  appendNow(records: readonly NewRecord[], progress?: ImportProgress): Appended {
    for (const record of records) this.check(record)
    return this.database.write(() => this.insert(records, progress))
  }

  /** Calls with every record that becomes durable, in order. @returns a function that ends it */
  subscribe(listener: (records: readonly SourceRecord[]) => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** @returns progress of an import; null: it never began */
  importProgress(name: string): ImportProgress | null {
    const row = this.database.read(() =>
      this.database
        .prepare('SELECT position, records, as_of_day, is_done FROM imports WHERE import = ?')
        .get(name),
    ) as unknown as [number, number, number | null, number] | undefined
    if (row === undefined) return null
    const [position, records, asOfDay, isDone] = row
    return { import: name, position, records, asOfDay, isDone: isDone === 1 }
  }

  /** Forgets imports that ended before the given time, milliseconds: their records have left the log as well. */
  forgetImports(endedBeforeMs: number): void {
    this.database.write(() => {
      this.database.prepare('DELETE FROM imports WHERE is_done = 1 AND updated_at_ms < ?').run(endedBeforeMs)
    })
  }

  /**
   * Reads every topic, for whoever looks at what happened.
   *
   * @returns records from the offset on, some thousand at most, and where to read on: the same offset at the end
   */
  readFrom(offset: number): { records: SourceRecord[]; next: number } {
    return this.database.read(() => {
      const sql = `SELECT "offset", topic, append_time_ms, key, value, headers FROM log
        WHERE "offset" >= ? ORDER BY "offset" LIMIT ?`
      const rows = this.database.prepare(sql).all(offset, READ_FROM_MAX) as unknown as LogRow[]
      const records = rows.map((row) => this.toRecord(row))
      const last = records.at(-1)
      return { records, next: last === undefined ? offset : last.offset + 1 }
    })
  }

  /** The first offset that is kept; 0 while nothing was cut. */
  firstOffset(): number {
    return this.database.read(() => firstOffset(this.database)) ?? 0
  }

  /** The offset that the next record gets. */
  endOffset(): number {
    return this.database.read(() => lastRow(this.database).offset + 1)
  }

  /** Offset after the last record of a topic; 0 for one without records. */
  topicEnd(topic: string): number {
    const row = this.database.read(() =>
      this.database.prepare('SELECT last_offset FROM topics WHERE name = ?').get(topic),
    ) as unknown as [number] | undefined
    return row === undefined ? 0 : row[0] + 1
  }

  /** A topic's number in the log; undefined: it has no record yet. */
  topicId(topic: string): number | undefined {
    const known = this.topicIds.get(topic)
    if (known !== undefined) return known
    const row = this.database.read(() =>
      this.database.prepare('SELECT topic FROM topics WHERE name = ?').get(topic),
    ) as unknown as [number] | undefined
    if (row !== undefined) this.remember(topic, row[0])
    return row?.[0]
  }

  toRecord([offset, topic, appendTimeMs, key, value, headers]: LogRow): SourceRecord {
    const record: SourceRecord = {
      topic: this.topicName(topic),
      partition: 0,
      offset,
      appendTimeMs,
      key,
      value,
    }
    if (headers !== null) record.headers = JSON.parse(headers)
    return record
  }

  /** Appends what waits, and takes no more. */
  close(): void {
    this.flush()
    this.isClosed = true
    this.listeners.clear()
  }

  private flush(): void {
    const group = this.waiting
    this.waiting = []
    this.waitingRecords = 0
    if (group.length === 0) return
    let appended: Appended[]
    try {
      appended = this.database.write(() =>
        group.map(({ records, progress }) => this.insert(records, progress)),
      )
    } catch (error) {
      for (const { reject } of group) reject(error)
      return
    }
    for (const [i, { resolve }] of group.entries()) resolve(appended[i]!)
  }

  private insert(records: readonly NewRecord[], progress: ImportProgress | undefined): Appended {
    const { database, options } = this
    const nowMs = options.clock.nowMs()
    const last = lastRow(this.database)
    const firstOffset = last.offset + 1
    let bytesBefore = last.bytesAfter
    const insert = database.prepare(
      'INSERT INTO log ("offset", topic, append_time_ms, bytes_before, key, value, headers) VALUES (?, ?, ?, ?, ?, ?, ?)',
    )
    const ends = new Map<number, number>()
    const appended: SourceRecord[] = []
    for (const [i, { topic, key, value, headers, appendTimeMs = nowMs }] of records.entries()) {
      const offset = firstOffset + i
      const id = this.topicId(topic) ?? this.addTopic(topic)
      const headerText = headers === undefined ? null : JSON.stringify(headers)
      insert.run(offset, id, appendTimeMs, bytesBefore, key, value, headerText)
      bytesBefore += rowBytes(key, value, headerText)
      ends.set(id, offset)
      const record: SourceRecord = { topic, partition: 0, offset, appendTimeMs, key, value }
      if (headers !== undefined) record.headers = headers
      if (topic === options.tombstoneTopic) this.keepTombstone(record)
      appended.push(record)
    }
    for (const [id, offset] of ends)
      database.prepare('UPDATE topics SET last_offset = ? WHERE topic = ?').run(offset, id)
    if (progress !== undefined) this.saveProgress(progress, nowMs)
    if (appended.length > 0)
      database.afterCommit(() => {
        for (const listener of this.listeners) listener(appended)
      })
    return { firstOffset, count: records.length }
  }

  private keepTombstone(record: SourceRecord): void {
    const tombstone = this.options.tombstoneOf(record)
    if (tombstone === null) return
    this.database
      .prepare(
        'INSERT INTO tombstones (tenant, user, at_ms) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at_ms = max(at_ms, excluded.at_ms)',
      )
      .run(tombstone.tenant, tombstone.user, tombstone.atMs)
  }

  private saveProgress(progress: ImportProgress, nowMs: number): void {
    const { import: name, position, records, asOfDay, isDone } = progress
    this.database
      .prepare(
        'INSERT OR REPLACE INTO imports (import, position, records, as_of_day, is_done, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(name, position, records, asOfDay, isDone ? 1 : 0, nowMs)
  }

  private check({ topic, key, value, headers }: NewRecord): void {
    if (topic.length === 0 || topic.length > TOPIC_LENGTH_MAX)
      throw new RequestError(
        'append-topic',
        `expected a topic of 1 to ${TOPIC_LENGTH_MAX} characters, got ${topic.length}: name one of events.topics`,
      )
    const size = rowBytes(key, value, headers === undefined ? null : JSON.stringify(headers))
    const limit = this.options.recordBytesMax ?? RECORD_BYTES_MAX
    if (size > limit)
      throw new RequestError(
        'append-too-large',
        `expected a record of at most ${limit} bytes, got ${size} bytes: send less in one record`,
        { status: 413 },
      )
  }

  private addTopic(topic: string): number {
    const { lastInsertRowid } = this.database.prepare('INSERT INTO topics (name) VALUES (?)').run(topic)
    const id = Number(lastInsertRowid)
    // Known only once it is durable: an undone transaction must not leave a number behind.
    this.database.afterCommit(() => this.remember(topic, id))
    return id
  }

  private remember(topic: string, id: number): void {
    this.topicIds.set(topic, id)
    this.topicNames.set(id, topic)
  }

  private topicName(id: number): string {
    const known = this.topicNames.get(id)
    if (known !== undefined) return known
    const row = this.database.prepare('SELECT name FROM topics WHERE topic = ?').get(id) as unknown as [
      string,
    ]
    this.remember(row[0], id)
    return row[0]
  }
}
