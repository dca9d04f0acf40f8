/** Which points were written lately, by whatever process: what is held in memory is put right without reading everything. */

import type { PointId } from '../../vectors/vector-store.ts'
import { pointIdOf } from './point-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/**
 * Requests that are remembered: 4 MB at 64 points each. Who lags behind by more reads everything anew, which is hardly dearer
 * then. A guess.
 */
const KEPT = 4_096
/** Old ones are taken out once in so many requests: each time rewrites a page. */
const TRIMMED_EVERY = 256

const ID_BYTES = 16

/** One request's points. */
export interface PointChange {
  /** Rises by one from request to request. */
  change: number
  /** Number of the collection. */
  collection: number
  ids: readonly PointId[]
}

export class PointChanges {
  private readonly database: SqliteDatabase

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  /** To be called in the transaction that writes the points. @param keys their ids as bytes @returns the change's number */
  record(collection: number, keys: readonly Uint8Array[]): number {
    const sql = 'INSERT INTO changes (collection, ids) VALUES (?, ?)'
    const { lastInsertRowid } = this.database.prepare(sql).run(collection, Buffer.concat(keys))
    const change = Number(lastInsertRowid)
    if (change % TRIMMED_EVERY === 0)
      this.database.prepare('DELETE FROM changes WHERE change <= ?').run(change - KEPT)
    return change
  }

  /** Number of the last change; 0: there is none. */
  last(): number {
    return this.number('SELECT max(change) FROM changes')
  }

  /** @returns changes after the given one, oldest first; null: some are no longer remembered */
  after(change: number, changesMax: number): PointChange[] | null {
    if (this.number('SELECT min(change) FROM changes') > change + 1) return null
    const rows = this.database
      .prepare('SELECT change, collection, ids FROM changes WHERE change > ? ORDER BY change LIMIT ?')
      .all(change, changesMax) as unknown as [number, number, Uint8Array][]
    return rows.map(([number, collection, bytes]) => ({ change: number, collection, ids: idsOf(bytes) }))
  }

  private number(sql: string): number {
    return (this.database.prepare(sql).get() as unknown as [number | null])[0] ?? 0
  }
}

function idsOf(bytes: Uint8Array): PointId[] {
  const count = bytes.length / ID_BYTES
  return Array.from({ length: count }, (_, i) => pointIdOf(bytes.subarray(i * ID_BYTES, (i + 1) * ID_BYTES)))
}
