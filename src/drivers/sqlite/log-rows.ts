/** The ends of the log, and what its rows weigh. */

import type { SqliteDatabase } from './sqlite-database.ts'

/** What a row costs besides its key, value and headers. */
const ROW_BYTES = 24

export function rowBytes(key: Uint8Array | null, value: Uint8Array | null, headers: string | null): number {
  return ROW_BYTES + (key?.length ?? 0) + (value?.length ?? 0) + (headers?.length ?? 0)
}

/** @returns the first offset kept; undefined: the log is empty */
export function firstOffset(database: SqliteDatabase): number | undefined {
  const row = database.prepare('SELECT min("offset") FROM log').get() as unknown as [number | null]
  return row[0] ?? undefined
}

/** @returns the last offset, -1 when there is none, and all bytes ever appended up to and with it */
export function lastRow(database: SqliteDatabase): { offset: number; bytesAfter: number } {
  const row = database
    .prepare(
      'SELECT "offset", bytes_before, length(key), length(value), headers FROM log ORDER BY "offset" DESC LIMIT 1',
    )
    .get() as unknown as [number, number, number | null, number | null, string | null] | undefined
  if (row === undefined) return { offset: -1, bytesAfter: 0 }
  const [offset, bytes, keyBytes, valueBytes, headers] = row
  const own = rowBytes(null, null, headers) + (keyBytes ?? 0) + (valueBytes ?? 0)
  return { offset, bytesAfter: bytes + own }
}

/** @returns bytes ever appended before the first record at or after the offset */
export function bytesBefore(database: SqliteDatabase, offset: number): number {
  const row = database
    .prepare('SELECT bytes_before FROM log WHERE "offset" >= ? ORDER BY "offset" LIMIT 1')
    .get(offset) as unknown as [number]
  return row[0]
}
