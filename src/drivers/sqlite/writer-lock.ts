/** One writer per data directory, by a lock that the operating system frees however the process ends. */

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../../errors.ts'
import { CODES, notWritable, toFreshetError } from './sqlite-database.ts'

/** Two that start at once may both meet the other's half-taken lock: one of them gets it within this time. */
const CONTENTION_MS = 500

/** What is said about the writer to whoever comes second. It informs; it locks nothing. */
export interface WriterInfo {
  pid: number
  host: string
  /** ISO 8601. */
  since: string
  /** Where the writer serves its API; null: it doesn't, or not yet. */
  url: string | null
}

/**
 * Node closes a database that nobody refers to any more, and the lock would go with it: whoever keeps only a part of
 * the data directory must not lose it. So locks are referred to from here until they are released.
 */
const held = new Set<WriterLock>()

/**
 * The lock is SQLite's exclusive lock on `lock.db`: POSIX record locks (LockFileEx on Windows), gone with the process
 * at kill -9, never left behind like a pid file, and held once even among connections of one process.
 */
export class WriterLock {
  private readonly db: DatabaseSync
  private readonly infoPath: string
  private readonly info: WriterInfo

  private constructor(db: DatabaseSync, infoPath: string, info: WriterInfo) {
    this.db = db
    this.infoPath = infoPath
    this.info = info
  }

  /** @throws {ConfigError} `data-directory-locked`, when another writer has it */
  static acquire(directory: string, nowMs: number): WriterLock {
    const infoPath = join(directory, 'lock.json')
    const path = join(directory, 'lock.db')
    let db: DatabaseSync | undefined
    try {
      db = new DatabaseSync(path, { timeout: CONTENTION_MS })
      db.exec('BEGIN EXCLUSIVE')
    } catch (cause) {
      db?.close()
      if (((cause as { errcode?: number }).errcode ?? 0) % 256 !== CODES.busy)
        throw toFreshetError(cause, path)
      throw new ConfigError(
        'data-directory-locked',
        `expected ${directory} without a writer, got ${describe(infoPath)}: stop it, ask it through its API, or choose another dataDir`,
        { cause },
      )
    }
    const since = new Date(nowMs).toISOString()
    const lock = new WriterLock(db, infoPath, { pid: process.pid, host: hostname(), since, url: null })
    held.add(lock)
    try {
      lock.write()
    } catch (cause) {
      lock.release()
      throw notWritable(infoPath, cause)
    }
    return lock
  }

  /** Tells those who come second where the API is. */
  announce(url: string): void {
    this.info.url = url
    this.write()
  }

  release(): void {
    if (!held.delete(this)) return
    rmSync(this.infoPath, { force: true })
    this.db.close()
  }

  private write(): void {
    writeFileSync(`${this.infoPath}.tmp`, `${JSON.stringify(this.info)}\n`)
    renameSync(`${this.infoPath}.tmp`, this.infoPath)
  }
}

/** @returns what is known about the writer of a data directory; null: it has none, or a dead one left nothing */
export function writerInfo(directory: string): WriterInfo | null {
  return readInfo(join(directory, 'lock.json'))
}

function readInfo(path: string): WriterInfo | null {
  try {
    const { pid, host, since, url } = JSON.parse(readFileSync(path, 'utf8')) as Partial<WriterInfo>
    return {
      pid: pid ?? 0,
      host: host ?? 'an unknown host',
      since: since ?? 'an unknown time',
      url: url ?? null,
    }
  } catch {
    return null
  }
}

function describe(infoPath: string): string {
  const info = readInfo(infoPath)
  if (info === null) return 'one that has not said who it is'
  const url = info.url === null ? '' : `, serving ${info.url}`
  return `process ${info.pid} on ${info.host} since ${info.since}${url}`
}
