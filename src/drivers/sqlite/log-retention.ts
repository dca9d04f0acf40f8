/** Keeps the event log within its bounds, without ever cutting what is not committed yet. */

import { bytesBefore, firstOffset, lastRow } from './log-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export interface LogBounds {
  /** Bytes of all records that are kept. */
  bytesMax: number
  /** Milliseconds since a record was appended. */
  ageMsMax: number
  /** Nothing at or above it goes: what is not committed may have to be read again. */
  keepFrom: number
  nowMs: number
}

/** Rows removed in one transaction: about 10 ms, so that appends wait no longer. */
const CUT_ROWS = 5_000

/**
 * Removes the oldest records until the log is within its bounds; never the last, which remembers the sequence. Works
 * in small transactions and gives way between them.
 *
 * @returns how many records went
 */
export async function cutLog(database: SqliteDatabase, bounds: LogBounds): Promise<number> {
  const end = database.read(() => cutEnd(database, bounds))
  let removed = 0
  for (;;) {
    const first = database.read(() => firstOffset(database))
    if (first === undefined || first >= end) return removed
    removed += database.write(() => {
      const cut = database.prepare('DELETE FROM log WHERE "offset" < ?')
      return Number(cut.run(Math.min(end, first + CUT_ROWS)).changes)
    })
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** @returns bytes of all records that are kept */
export function logBytes(database: SqliteDatabase): number {
  return database.read(() => {
    const first = firstOffset(database)
    return first === undefined ? 0 : lastRow(database).bytesAfter - bytesBefore(database, first)
  })
}

/** Records below this go. */
function cutEnd(database: SqliteDatabase, { bytesMax, ageMsMax, keepFrom, nowMs }: LogBounds): number {
  const first = firstOffset(database)
  if (first === undefined) return 0
  const last = lastRow(database)
  const young = database
    .prepare('SELECT "offset" FROM log WHERE append_time_ms >= ? ORDER BY "offset" LIMIT 1')
    .get(nowMs - ageMsMax) as unknown as [number] | undefined
  const byAge = young?.[0] ?? last.offset
  const bySize = offsetAtBytes(database, first, last.offset, last.bytesAfter - bytesMax)
  return Math.min(Math.max(byAge, bySize), keepFrom, last.offset)
}

/** The first offset before which at least so many bytes were ever appended: `bytes_before` rises with the offsets. */
function offsetAtBytes(database: SqliteDatabase, first: number, last: number, bytes: number): number {
  let low = first
  let high = last
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (bytesBefore(database, middle) >= bytes) high = middle
    else low = middle + 1
  }
  return low
}
