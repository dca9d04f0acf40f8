/** One SQLite file: opened with our pragmas, migrated, every statement prepared once, every error one of ours. */

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { BugError, ConfigError, FreshetError, UnavailableError } from '../../errors.ts'

export interface SqliteOptions {
  /** A file, or `:memory:`. */
  path: string
  /** Steps of the format, oldest first and never changed once released: step n makes version n + 1 of version n. */
  migrations: readonly string[]
  /** Readers share the file with its one writer. */
  isReadOnly?: boolean
  /** Bytes; only a new file takes it. */
  pageBytes?: number
  /** What a power cut takes can be had again from elsewhere: commits don't wait for the disk. */
  isCache?: boolean
  /** Pages the file may grow to: how tests make a disk full. */
  pagesMax?: number
  /** How long a lock that another connection holds is waited for, milliseconds: tests wait for less. */
  lockWaitMs?: number
}

/** How long a statement waits for a lock that another connection holds, milliseconds. */
const LOCK_WAIT_MS = 5_000
/** How often it is tried where SQLite doesn't wait by itself, milliseconds. */
const LOCK_POLL_MS = 10
/** What one large transaction made of the write-ahead log is given back down to this, bytes. */
const WAL_BYTES_KEPT = 64 * 1024 * 1024
/** A try costs next to nothing, and whoever made room wants to see it used; whoever tries again may wait longer each time. */
const DISK_FULL_RETRY_MS = 2_000

/** Primary result codes, https://www.sqlite.org/rescode.html; extended ones carry them in their low byte. */
export const CODES = {
  permission: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
}

export class SqliteDatabase {
  readonly path: string
  private readonly db: DatabaseSync
  private readonly statements = new Map<string, StatementSync>()
  private depth = 0
  private committed: (() => void)[] = []

  constructor(options: SqliteOptions) {
    const { path, migrations, isReadOnly = false, isCache = false, pageBytes, pagesMax } = options
    this.path = path
    try {
      this.db = new DatabaseSync(path, { readOnly: isReadOnly, timeout: options.lockWaitMs ?? LOCK_WAIT_MS })
    } catch (cause) {
      throw toFreshetError(cause, path)
    }
    try {
      this.open(migrations, isReadOnly, isCache, pageBytes)
      if (pagesMax !== undefined) this.db.exec(`PRAGMA max_page_count = ${Math.trunc(pagesMax)}`)
    } catch (cause) {
      this.db.close()
      throw toFreshetError(cause, path)
    }
  }

  /** A statement, prepared once. Rows come as arrays: objects with names cost a third of reading. */
  prepare(sql: string): StatementSync {
    let statement = this.statements.get(sql)
    if (statement === undefined) {
      statement = this.db.prepare(sql)
      statement.setReturnArrays(true)
      this.statements.set(sql, statement)
    }
    return statement
  }

  /** Statements whose tables are gone must not be kept. */
  forgetStatements(): void {
    this.statements.clear()
  }

  exec(sql: string): void {
    this.db.exec(sql)
  }

  /**
   * Runs reads.
   *
   * @throws {UnavailableError} `database-busy`, `database-io`
   * @throws {ConfigError} `database-damaged`, `database-not-writable`
   */
  read<T>(work: () => T): T {
    try {
      return work()
    } catch (cause) {
      throw toFreshetError(cause, this.path)
    }
  }

  /**
   * Runs reads and writes as one transaction, durable when it returns, undone as a whole when it throws. A call within
   * another belongs to the outer one.
   *
   * @throws {UnavailableError} `disk-full`, `database-busy`, `database-io`
   * @throws {ConfigError} `database-damaged`, `database-not-writable`
   */
  write<T>(work: () => T): T {
    if (this.depth > 0) return work()
    let result: T
    try {
      this.prepare('BEGIN IMMEDIATE').run()
      this.depth = 1
      result = work()
      this.prepare('COMMIT').run()
    } catch (cause) {
      this.committed = []
      // A full disk has made SQLite roll back by itself.
      if (this.db.isTransaction) this.db.exec('ROLLBACK')
      throw toFreshetError(cause, this.path)
    } finally {
      this.depth = 0
    }
    const committed = this.committed
    this.committed = []
    for (const call of committed) call()
    return result
  }

  /**
   * Runs reads of one moment: what others commit meanwhile is seen by the next call. Within a transaction it belongs to that.
   *
   * @throws as `read`
   */
  snapshot<T>(work: () => T): T {
    if (this.db.isTransaction) return work()
    try {
      this.prepare('BEGIN').run()
      const result = work()
      this.prepare('COMMIT').run()
      return result
    } catch (cause) {
      if (this.db.isTransaction) this.db.exec('ROLLBACK')
      throw toFreshetError(cause, this.path)
    }
  }

  /** Calls back once the transaction under way is durable; not at all when it is undone. */
  afterCommit(call: () => void): void {
    this.committed.push(call)
  }

  /** Changes whenever another connection has written to the file. */
  dataVersion(): number {
    return Number((this.prepare('PRAGMA data_version').get() as unknown as [number])[0])
  }

  close(): void {
    this.statements.clear()
    if (this.db.isOpen) this.db.close()
  }

  private open(
    migrations: readonly string[],
    isReadOnly: boolean,
    isCache: boolean,
    pageBytes: number | undefined,
  ): void {
    if (!isReadOnly) {
      if (pageBytes !== undefined) this.db.exec(`PRAGMA page_size = ${pageBytes}`)
      waitForOthers(() => this.db.exec('PRAGMA journal_mode = WAL'))
      // What was acknowledged must survive a power cut, not only a crash of ours.
      this.db.exec(`PRAGMA synchronous = ${isCache ? 'NORMAL' : 'FULL'}`)
      this.db.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`)
    }
    this.db.exec('PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384')
    const version = this.version()
    if (version > migrations.length)
      throw new ConfigError(
        'data-directory-newer',
        `expected ${this.path} in format ${migrations.length} or older, got format ${version}: run the freshet that wrote it, or a newer one`,
      )
    if (version === migrations.length) return
    if (isReadOnly)
      throw new ConfigError(
        'data-directory-older',
        `expected ${this.path} in format ${migrations.length}, got format ${version}: open it once for writing (freshet run), which migrates it`,
      )
    for (let step = version; step < migrations.length; step++)
      this.write(() => {
        // Another process may have taken this step while we waited for the lock.
        if (this.version() === step) this.db.exec(`${migrations[step]}; PRAGMA user_version = ${step + 1}`)
      })
  }

  private version(): number {
    return Number(this.db.prepare('PRAGMA user_version').get()!.user_version)
  }
}

/** SQLite waits for locks by itself, but not where a new file becomes one with a write-ahead log: there one of two fails at once. */
function waitForOthers(work: () => void): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  const deadlineMs = performance.now() + LOCK_WAIT_MS
  for (;;) {
    try {
      work()
      return
    } catch (error) {
      const { errcode = 0 } = error as { errcode?: number }
      if ((errcode & 0xff) !== CODES.busy || performance.now() > deadlineMs) throw error
      Atomics.wait(sleeper, 0, 0, LOCK_POLL_MS)
    }
  }
}

/** @returns the error itself when it is ours or nobody's, else the one that says who must act */
export function toFreshetError(cause: unknown, path: string): unknown {
  if (cause instanceof FreshetError) return cause
  const { errcode, message } = cause as { errcode?: number; message?: string }
  if (errcode === undefined) return cause
  switch (errcode & 0xff) {
    case CODES.full:
      return new UnavailableError(
        'disk-full',
        `expected room on the disk for ${path}, got none: free some (nothing was half written)`,
        { cause, retryAfterMs: DISK_FULL_RETRY_MS },
      )
    case CODES.busy:
    case CODES.locked:
      return new UnavailableError(
        'database-busy',
        `expected to get the lock of ${path} within ${LOCK_WAIT_MS} ms, got "${message}": look for another program that holds it`,
        { cause },
      )
    case CODES.io:
      return new UnavailableError(
        'database-io',
        `expected ${path} to be readable and writable, got "${message}": check the disk`,
        { cause },
      )
    case CODES.corrupt:
    case CODES.notADatabase:
      return new ConfigError(
        'database-damaged',
        `expected a SQLite database of freshet in ${path}, got "${message}": check the disk, and restore the data directory from a backup`,
        { cause },
      )
    case CODES.readOnly:
    case CODES.cannotOpen:
    case CODES.permission:
      return notWritable(path, cause)
    default:
      return new BugError(
        'database-statement',
        `a statement on ${path} failed with "${message}": report it`,
        {
          cause,
        },
      )
  }
}

export function notWritable(path: string, cause: unknown): ConfigError {
  return new ConfigError(
    'database-not-writable',
    `expected to open ${path} for writing, got "${(cause as Error).message}": check that the directory exists, belongs to this user and has room`,
    { cause },
  )
}
