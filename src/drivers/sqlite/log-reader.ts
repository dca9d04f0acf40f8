/** Reads the log on from positions by topic, as many records at once as one turn should take. */

import type { SourceRecord } from '../../events/source-record.ts'
import type { Positions } from '../../pipeline/event-source.ts'
import type { LogRow, SqliteEventLog } from './event-log.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** One reading: some milliseconds of decoding, so that nothing else waits long. */
export const READ_RECORDS_MAX = 1_000
const READ_BYTES_MAX = 4 * 1024 * 1024
/** Offsets that one reading passes over when few of them are wanted: about 50 ms. */
const SCAN_OFFSETS_MAX = 200_000

export class LogReader {
  private readonly database: SqliteDatabase
  private readonly log: SqliteEventLog
  private sql = ''

  constructor(database: SqliteDatabase, log: SqliteEventLog) {
    this.database = database
    this.log = log
  }

  /** @returns the offset at which reading starts; a topic that was read to its end needs nothing of the past */
  start(topics: readonly string[], positions: Positions): number {
    let from = this.log.endOffset()
    const passed: string[] = []
    for (const topic of topics) {
      const position = positions.get(topic) ?? 0
      if (position < this.log.topicEnd(topic)) from = Math.min(from, position)
      const id = this.log.topicId(topic)
      // One topic far behind must not cost the reading of all others again: SQLite passes over what was read.
      if (id !== undefined && position > 0)
        passed.push(`AND NOT (topic = ${id} AND "offset" < ${Math.trunc(position)})`)
    }
    this.sql = `SELECT "offset", topic, append_time_ms, key, value, headers FROM log
      WHERE "offset" >= ? AND "offset" < ? ${passed.join(' ')} ORDER BY "offset" LIMIT ?`
    return from
  }

  /** @returns records from the offset on, in order, and the offset to read on from: the same one at the log's end */
  read(from: number): { records: SourceRecord[]; next: number } {
    return this.database.read(() => {
      const to = Math.min(this.log.endOffset(), from + SCAN_OFFSETS_MAX)
      const rows = this.database.prepare(this.sql).iterate(from, to, READ_RECORDS_MAX)
      const records: SourceRecord[] = []
      let bytes = 0
      for (const row of rows as unknown as Iterable<LogRow>) {
        records.push(this.log.toRecord(row))
        bytes += (row[3]?.length ?? 0) + (row[4]?.length ?? 0)
        if (bytes >= READ_BYTES_MAX) break
      }
      const isCutShort = records.length === READ_RECORDS_MAX || bytes >= READ_BYTES_MAX
      return { records, next: isCutShort ? records.at(-1)!.offset + 1 : Math.max(from, to) }
    })
  }
}
