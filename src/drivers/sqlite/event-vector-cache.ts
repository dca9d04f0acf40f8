/** Event vectors on disk: bounded in bytes, least recently used out first, and rather empty than wrong or in the way. */

import { rmSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { ConfigError, UnavailableError } from '../../errors.ts'
import type { EventVectorCache } from '../../model/embedding-model.ts'
import { mended } from '../../pipeline/channels.ts'
import { SqliteDatabase } from './sqlite-database.ts'

export interface EventVectorCacheOptions {
  /** A file of its own, or `:memory:`. */
  path: string
  /** Of vectors with their keys and what a row takes besides. */
  sizeBytesMax: number
  /** Pages the file may grow to: how tests make a disk full. */
  pagesMax?: number
}

export interface OpenedEventVectorCache {
  cache: SqliteEventVectorCache
  /** Why the file was thrown away and begun anew, or couldn't be opened yet; null when it was sound or new. */
  warning: string | null
}

/** `size_bytes` and `tick` of all rows in one row of their own: summing a gigabyte at start would read it. */
const MIGRATIONS = [
  `CREATE TABLE event_vectors (
    key TEXT PRIMARY KEY, used_tick INTEGER NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL
  ) STRICT;
  CREATE INDEX event_vectors_by_use ON event_vectors (used_tick);
  CREATE TABLE totals (size_bytes INTEGER NOT NULL, tick INTEGER NOT NULL) STRICT;
  INSERT INTO totals VALUES (0, 0)`,
]

/** Header, index entry and page slack of one row; measured on 1.5 KiB vectors, rounded up. */
const ROW_OVERHEAD_BYTES = 256
/** A sweep goes below the limit by this share, so that not every write has to sweep. */
const SWEEP_SHARE = 0.1
const SWEEP_ROWS = 256

/**
 * Opens the cache; a file that SQLite can't read, or of another format, is deleted and begun anew, for nothing in it can't be computed again.
 * Trouble with the disk keeps nobody from embedding: until it is over, the cache has nothing and takes nothing, and says so.
 *
 * @throws {ConfigError} `database-not-writable`
 */
export function openEventVectorCache(options: EventVectorCacheOptions): OpenedEventVectorCache {
  const cache = new SqliteEventVectorCache(options)
  return { cache, warning: cache.open() }
}

class SqliteEventVectorCache implements EventVectorCache {
  readonly #options: EventVectorCacheOptions
  /** null: it could not be opened, and is tried again. */
  #database: SqliteDatabase | null = null
  #sizeBytes = 0
  #tick = 0

  constructor(options: EventVectorCacheOptions) {
    this.#options = options
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** @returns why it was begun anew, or isn't open; null: all is well @throws {ConfigError} `database-not-writable` */
  open(): string | null {
    try {
      this.#database = this.#opened()
      return null
    } catch (error) {
      if (isDamage(error)) return this.#beginAnew(error)
      if (error instanceof UnavailableError) return unusable(this.#options.path, error)
      throw error
    }
  }

  getMany(keys: readonly string[]): (Float32Array | undefined)[] {
    if (keys.length === 0) return []
    return this.#whole(
      (database) => keys.map((key) => this.#get(database, key)),
      // Where nothing can be written, what is there can still be read.
      (database) => database.read(() => keys.map((key) => this.#vector(database, key))),
      () => keys.map(() => undefined),
    )
  }

  putMany(entries: readonly { key: string; vector: Float32Array }[]): void {
    if (entries.length === 0) return
    this.#whole(
      (database) => {
        for (const { key, vector } of entries) this.#put(database, key, vector)
        if (this.#sizeBytes > this.#options.sizeBytesMax) this.#sweep(database)
      },
      () => undefined,
      () => undefined,
    )
  }

  close(): void {
    this.#database?.close()
  }

  #opened(): SqliteDatabase {
    const { path, pagesMax } = this.#options
    const database = new SqliteDatabase({
      path,
      migrations: MIGRATIONS,
      ...(pagesMax === undefined ? {} : { pagesMax }),
    })
    try {
      // A cache may forget its last second in a power cut; a sync per write would cost more than it saves.
      database.exec('PRAGMA synchronous = NORMAL')
      const row = database.read(() => database.prepare('SELECT size_bytes, tick FROM totals').get())
      const [sizeBytes, tick] = row as unknown as [number, number]
      this.#sizeBytes = sizeBytes
      this.#tick = tick
      return database
    } catch (error) {
      database.close()
      throw error
    }
  }

  /**
   * One transaction with the totals in it. Whatever goes wrong with the file is said, and is nobody's failure.
   *
   * @param reading what is left to do when nothing can be written
   * @param otherwise what an empty cache gives
   */
  #whole<T>(
    work: (database: SqliteDatabase) => T,
    reading: (database: SqliteDatabase) => T,
    otherwise: () => T,
  ): T {
    const { path } = this.#options
    const before = { sizeBytes: this.#sizeBytes, tick: this.#tick }
    try {
      this.#database ??= this.#opened()
      const database = this.#database
      try {
        return database.write(() => {
          this.#tick++
          const result = work(database)
          database.prepare('UPDATE totals SET size_bytes = ?, tick = ?').run(this.#sizeBytes, this.#tick)
          return result
        })
      } catch (error) {
        this.#sizeBytes = before.sizeBytes
        this.#tick = before.tick
        if (!isTrouble(error)) throw error
        mended.publish({ what: 'event-vectors', message: unusable(path, error) })
        return reading(database)
      }
    } catch (error) {
      if (isDamage(error)) mended.publish({ what: 'event-vectors', message: this.#beginAnew(error) })
      else if (isTrouble(error)) mended.publish({ what: 'event-vectors', message: unusable(path, error) })
      else throw error
      return otherwise()
    }
  }

  /** @returns what there is to say */
  #beginAnew(error: unknown): string {
    const { path } = this.#options
    this.#database?.close()
    this.#database = null
    this.#sizeBytes = 0
    this.#tick = 0
    try {
      removeFiles(path)
      this.#database = this.#opened()
    } catch (again) {
      if (!isTrouble(again)) throw again
      return unusable(path, again)
    }
    return rebuilt(path, error)
  }

  #get(database: SqliteDatabase, key: string): Float32Array | undefined {
    const vector = this.#vector(database, key)
    if (vector === undefined) this.#delete(database, key)
    else database.prepare('UPDATE event_vectors SET used_tick = ? WHERE key = ?').run(this.#tick, key)
    return vector
  }

  /** @returns undefined: it isn't there, or isn't what was put */
  #vector(database: SqliteDatabase, key: string): Float32Array | undefined {
    const row = database.prepare('SELECT checksum, vector FROM event_vectors WHERE key = ?').get(key)
    if (row === undefined) return undefined
    const [checksum, bytes] = row as unknown as [number, Uint8Array]
    // SQLite doesn't notice a flipped bit inside a blob; a wrong vector would go on into the user's.
    if (checksum !== checksumOf(key, bytes) || bytes.length % 4 !== 0) return undefined
    return new Float32Array(bytes.slice().buffer)
  }

  #put(database: SqliteDatabase, key: string, vector: Float32Array): void {
    const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
    this.#delete(database, key)
    database
      .prepare('INSERT INTO event_vectors (key, used_tick, checksum, vector) VALUES (?, ?, ?, ?)')
      .run(key, this.#tick, checksumOf(key, bytes), bytes)
    this.#sizeBytes += rowBytes(key, bytes.length)
  }

  #sweep(database: SqliteDatabase): void {
    const goal = this.#options.sizeBytesMax * (1 - SWEEP_SHARE)
    const oldest = database.prepare('SELECT key FROM event_vectors ORDER BY used_tick LIMIT ?')
    while (this.#sizeBytes > goal) {
      const rows = oldest.all(SWEEP_ROWS) as unknown as [string][]
      if (rows.length === 0) return
      for (const [key] of rows) if (this.#sizeBytes > goal) this.#delete(database, key)
    }
  }

  /** Of a key that isn't there nothing is deleted. */
  #delete(database: SqliteDatabase, key: string): void {
    const row = database.prepare('DELETE FROM event_vectors WHERE key = ? RETURNING length(vector)').get(key)
    if (row !== undefined) this.#sizeBytes -= rowBytes(key, (row as unknown as [number])[0])
  }
}

function rowBytes(key: string, lengthBytes: number): number {
  return key.length + lengthBytes + ROW_OVERHEAD_BYTES
}

/** Over the key too: a row that lies under another's key is as wrong as a flipped bit. */
function checksumOf(key: string, bytes: Uint8Array): number {
  return crc32(bytes, crc32(key))
}

/** Damage, or a format that isn't ours to read. */
function isDamage(error: unknown): boolean {
  return error instanceof ConfigError && ['database-damaged', 'data-directory-newer'].includes(error.code)
}

/** What passes, or what somebody has to put right; never a mistake of ours. */
function isTrouble(error: unknown): error is ConfigError | UnavailableError {
  return error instanceof UnavailableError || (error instanceof ConfigError && !isDamage(error))
}

function unusable(path: string, error: UnavailableError | ConfigError): string {
  return `the cache of event vectors in ${path} keeps nothing until this is over, events are encoded again as they are needed: ${error.message}`
}

function rebuilt(path: string, error: unknown): string {
  return `the cache of event vectors in ${path} was begun anew, events are encoded again as they are needed: ${(error as Error).message}`
}

function removeFiles(path: string): void {
  if (path === ':memory:') return
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}
