/** Dead letters in the data directory: kept with their raw bytes, listed, shown, and sent through the log again. */

import type { NewRecord } from '../../events/new-record.ts'
import type { DeadLetter, DeadLetters } from '../../pipeline/control-log.ts'
import { ATTEMPTS_HEADER } from '../../pipeline/letters.ts'
import type { SqliteEventLog } from './event-log.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export interface StoredLetter extends DeadLetter {
  /** Names the letter for `show` and `retry`. */
  id: number
}

export interface LetterFilter {
  /** Code of the error. */
  reason?: string
  topic?: string
}

export interface DeadLetterBounds {
  lettersMax: number
  /** Bytes of keys, values, headers and messages. */
  bytesMax: number
}

/** A guess: a day of a badly broken producer, and less than the log beside it may take. */
const DEFAULT_BOUNDS: DeadLetterBounds = { lettersMax: 100_000, bytesMax: 1024 * 1024 * 1024 }

const COLUMNS =
  'letter, topic, partition, "offset", append_time_ms, key, value, headers, reason, error, attempts, failed_at_ms'

type LetterRow = [
  id: number,
  topic: string,
  partition: number,
  offset: number,
  appendTimeMs: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: string,
  reason: string,
  error: string,
  attempts: number,
  failedAtMs: number,
]

export class SqliteDeadLetters implements DeadLetters {
  private readonly database: SqliteDatabase
  private readonly bounds: DeadLetterBounds

  constructor(database: SqliteDatabase, bounds: DeadLetterBounds = DEFAULT_BOUNDS) {
    this.database = database
    this.bounds = bounds
  }

  /** Beyond the bounds the oldest letters go. */
  async put(letters: readonly DeadLetter[]): Promise<void> {
    this.database.write(() => {
      const put = this.database.prepare(
        `INSERT INTO dead_letters (topic, partition, "offset", append_time_ms, key, value, headers, reason, error,
           attempts, failed_at_ms, size_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING`,
      )
      for (const letter of letters) {
        const { topic, partition, offset, appendTimeMs, key, value, reason, error, failedAtMs } = letter
        const headers = JSON.stringify(letter.headers)
        const attempts = letter.attempts + (Number(letter.headers[ATTEMPTS_HEADER]) || 0)
        const size = (key?.length ?? 0) + (value?.length ?? 0) + headers.length + error.length
        put.run(
          topic,
          partition,
          offset,
          appendTimeMs,
          key,
          value,
          headers,
          reason,
          error,
          attempts,
          failedAtMs,
          size,
        )
      }
      this.keepBounds()
    })
  }

  /** @returns letters of greater ids than `after`, oldest first, at most `limit` */
  list(filter: LetterFilter, after: number, limit: number): StoredLetter[] {
    return this.rows(filter, after, limit).map(toLetter)
  }

  show(id: number): StoredLetter | null {
    const row = this.database.read(() =>
      this.database.prepare(`SELECT ${COLUMNS} FROM dead_letters WHERE letter = ?`).get(id),
    ) as unknown as LetterRow | undefined
    return row === undefined ? null : toLetter(row)
  }

  count(filter: LetterFilter = {}): number {
    const { where, values } = whereOf(filter)
    const [count] = this.database.read(() =>
      this.database.prepare(`SELECT count(*) FROM dead_letters WHERE ${where}`).get(...values),
    ) as unknown as [number]
    return count
  }

  /** @returns the id of the newest letter that is kept; 0 without any */
  lastId(): number {
    const [id] = this.database.read(() =>
      this.database.prepare('SELECT coalesce(max(letter), 0) FROM dead_letters').get(),
    ) as unknown as [number]
    return id
  }

  /** @returns letters of greater ids, counted by code of their error, in the order of the codes */
  reasonsAfter(id: number): Map<string, number> {
    const rows = this.database.read(() =>
      this.database
        .prepare('SELECT reason, count(*) FROM dead_letters WHERE letter > ? GROUP BY reason ORDER BY reason')
        .all(id),
    ) as unknown as [string, number][]
    return new Map(rows)
  }

  /**
   * Takes letters, oldest first, and appends their records to the log again, in one transaction: each is in the one or
   * in the other.
   *
   * @param after ids up to this one are passed over
   * @param limit letters to look at
   * @param convert what a letter becomes; null: it stays
   * @returns how many, and the id of the last that was looked at; Infinity: there are no more
   * @throws {UnavailableError} `disk-full` and its like: all stay where they are
   */
  retry(
    log: SqliteEventLog,
    filter: LetterFilter & { id?: number },
    after: number,
    limit: number,
    convert: (letter: StoredLetter) => NewRecord | null,
  ): { retried: number; lastId: number } {
    return this.database.write(() => {
      const remove = this.database.prepare('DELETE FROM dead_letters WHERE letter = ?')
      const records: NewRecord[] = []
      const letters = this.rows(filter, after, limit).map(toLetter)
      for (const letter of letters) {
        const record = convert(letter)
        if (record === null) continue
        remove.run(letter.id)
        records.push(record)
      }
      log.appendNow(records)
      const lastId = letters.length < limit ? Number.POSITIVE_INFINITY : letters.at(-1)!.id
      return { retried: records.length, lastId }
    })
  }

  /** Removes letters for good. @returns how many */
  purge(filter: LetterFilter & { id?: number }): number {
    const { where, values } = whereOf(filter)
    return this.database.write(() =>
      Number(this.database.prepare(`DELETE FROM dead_letters WHERE ${where}`).run(...values).changes),
    )
  }

  private rows(filter: LetterFilter & { id?: number }, after: number, limit: number): LetterRow[] {
    const { where, values } = whereOf(filter)
    const sql = `SELECT ${COLUMNS} FROM dead_letters WHERE letter > ? AND ${where} ORDER BY letter LIMIT ?`
    return this.database.read(() =>
      this.database.prepare(sql).all(after, ...values, limit),
    ) as unknown as LetterRow[]
  }

  private keepBounds(): void {
    const { database, bounds } = this
    const [count, bytes] = database
      .prepare('SELECT count(*), coalesce(sum(size_bytes), 0) FROM dead_letters')
      .get() as unknown as [number, number]
    let excessCount = count - bounds.lettersMax
    let excessBytes = bytes - bounds.bytesMax
    if (excessCount <= 0 && excessBytes <= 0) return
    const oldest = database
      .prepare('SELECT letter, size_bytes FROM dead_letters ORDER BY letter')
      .iterate() as unknown as Iterable<[number, number]>
    let last = 0
    for (const [id, size] of oldest) {
      if (excessCount <= 0 && excessBytes <= 0) break
      last = id
      excessCount--
      excessBytes -= size
    }
    database.prepare('DELETE FROM dead_letters WHERE letter <= ?').run(last)
  }
}

function whereOf({ reason, topic, id }: LetterFilter & { id?: number }): {
  where: string
  values: (string | number)[]
} {
  const parts: [string, string | number | undefined][] = [
    ['reason = ?', reason],
    ['topic = ?', topic],
    ['letter = ?', id],
  ]
  const given = parts.filter((part): part is [string, string | number] => part[1] !== undefined)
  return { where: ['1', ...given.map(([sql]) => sql)].join(' AND '), values: given.map(([, value]) => value) }
}

function toLetter(row: LetterRow): StoredLetter {
  const [
    id,
    topic,
    partition,
    offset,
    appendTimeMs,
    key,
    value,
    headers,
    reason,
    error,
    attempts,
    failedAtMs,
  ] = row
  return {
    id,
    topic,
    partition,
    offset,
    appendTimeMs,
    key,
    value,
    headers: JSON.parse(headers),
    reason,
    error,
    attempts,
    failedAtMs,
  }
}
