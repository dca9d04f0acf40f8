/** Event vectors on disk: bounded in bytes, least recently used out first, and rather empty than wrong. */

import { rmSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { ConfigError } from '../../errors.ts'
import type { EventVectorCache } from '../../model/embedding-model.ts'
import { mended } from '../../pipeline/channels.ts'
import { SqliteDatabase } from './sqlite-database.ts'

export interface EventVectorCacheOptions {
  /** A file of its own, or `:memory:`. */
  path: string
  /** Of vectors with their keys and what a row takes besides. */
  sizeBytesMax: number
}

export interface OpenedEventVectorCache {
  cache: SqliteEventVectorCache
  /** Why the file was thrown away and begun anew; null when it was sound or new. */
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
 *
 * @throws {ConfigError} `database-not-writable`
 * @throws {UnavailableError} `disk-full`, `database-busy`, `database-io`
 */
export function openEventVectorCache(options: EventVectorCacheOptions): OpenedEventVectorCache {
  try {
    return { cache: new SqliteEventVectorCache(options), warning: null }
  } catch (error) {
    if (!isDamage(error)) throw error
    removeFiles(options.path)
    return { cache: new SqliteEventVectorCache(options), warning: rebuilt(options.path, error) }
  }
}

class SqliteEventVectorCache implements EventVectorCache {
  readonly #options: EventVectorCacheOptions
  #database: SqliteDatabase
  #sizeBytes = 0
  #tick = 0

  constructor(options: EventVectorCacheOptions) {
    this.#options = options
    this.#database = this.#open()
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** @throws {UnavailableError} `database-busy`, `database-io`, `disk-full` */
  getMany(keys: readonly string[]): (Float32Array | undefined)[] {
    if (keys.length === 0) return []
    return this.#whole(
      () => keys.map((key) => this.#get(key)),
      () => keys.map(() => undefined),
    )
  }

  /** @throws {UnavailableError} `database-busy`, `database-io`, `disk-full` */
  putMany(entries: readonly { key: string; vector: Float32Array }[]): void {
    if (entries.length === 0) return
    this.#whole(
      () => {
        for (const { key, vector } of entries) this.#put(key, vector)
        if (this.#sizeBytes > this.#options.sizeBytesMax) this.#sweep()
      },
      () => undefined,
    )
  }

  close(): void {
    this.#database.close()
  }

  #open(): SqliteDatabase {
    const database = new SqliteDatabase({ path: this.#options.path, migrations: MIGRATIONS })
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

  /** One transaction with the totals in it. Damage found on the way empties the cache, says so, and gives `otherwise`. */
  #whole<T>(work: () => T, otherwise: () => T): T {
    const before = { sizeBytes: this.#sizeBytes, tick: this.#tick }
    try {
      return this.#database.write(() => {
        this.#tick++
        const result = work()
        this.#database.prepare('UPDATE totals SET size_bytes = ?, tick = ?').run(this.#sizeBytes, this.#tick)
        return result
      })
    } catch (error) {
      this.#sizeBytes = before.sizeBytes
      this.#tick = before.tick
      if (!isDamage(error)) throw error
      this.#database.close()
      removeFiles(this.#options.path)
      this.#database = this.#open()
      mended.publish({ what: 'event-vectors', message: rebuilt(this.#options.path, error) })
      return otherwise()
    }
  }

  #get(key: string): Float32Array | undefined {
    const row = this.#database.prepare('SELECT checksum, vector FROM event_vectors WHERE key = ?').get(key)
    if (row === undefined) return undefined
    const [checksum, bytes] = row as unknown as [number, Uint8Array]
    // SQLite doesn't notice a flipped bit inside a blob; a wrong vector would go on into the user's.
    if (checksum !== checksumOf(key, bytes) || bytes.length % 4 !== 0) {
      this.#delete(key, bytes.length)
      return undefined
    }
    this.#database.prepare('UPDATE event_vectors SET used_tick = ? WHERE key = ?').run(this.#tick, key)
    return new Float32Array(bytes.slice().buffer)
  }

  #put(key: string, vector: Float32Array): void {
    const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength)
    const old = this.#database.prepare('SELECT length(vector) FROM event_vectors WHERE key = ?').get(key)
    if (old !== undefined) this.#delete(key, (old as unknown as [number])[0])
    this.#database
      .prepare('INSERT INTO event_vectors (key, used_tick, checksum, vector) VALUES (?, ?, ?, ?)')
      .run(key, this.#tick, checksumOf(key, bytes), bytes)
    this.#sizeBytes += rowBytes(key, bytes.length)
  }

  #sweep(): void {
    const goal = this.#options.sizeBytesMax * (1 - SWEEP_SHARE)
    const oldest = this.#database.prepare(
      'SELECT key, length(vector) FROM event_vectors ORDER BY used_tick LIMIT ?',
    )
    while (this.#sizeBytes > goal) {
      const rows = oldest.all(SWEEP_ROWS) as unknown as [string, number][]
      if (rows.length === 0) return
      for (const [key, length] of rows) if (this.#sizeBytes > goal) this.#delete(key, length)
    }
  }

  #delete(key: string, lengthBytes: number): void {
    this.#database.prepare('DELETE FROM event_vectors WHERE key = ?').run(key)
    this.#sizeBytes -= rowBytes(key, lengthBytes)
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

function rebuilt(path: string, error: unknown): string {
  return `the cache of event vectors in ${path} was begun anew, events are encoded again as they are needed: ${(error as Error).message}`
}

function removeFiles(path: string): void {
  if (path === ':memory:') return
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
}
