/** The data directory of a worker of a group: a lock, and a copy of its partitions' changelogs, which may be lost. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { notWritable, SqliteDatabase } from './sqlite-database.ts'
import { LOCAL_STATES_MIGRATIONS, SqliteLocalStates } from './sqlite-local-states.ts'
import { WriterLock } from './writer-lock.ts'

export interface WorkerDirectory {
  readonly path: string
  readonly states: SqliteLocalStates
  /** Tells those who find the directory locked where the API is. */
  announce(url: string): void
  close(): void
}

/** @throws {ConfigError} `data-directory-locked`, `data-directory-newer`, and when it can't be written */
export function openWorkerDirectory(options: { path: string; nowMs: number }): WorkerDirectory {
  const { path, nowMs } = options
  try {
    // It holds what users did: nobody else on this machine needs to read it.
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw notWritable(path, cause)
  }
  const lock = WriterLock.acquire(path, nowMs)
  try {
    const database = new SqliteDatabase({
      path: join(path, 'states.db'),
      migrations: LOCAL_STATES_MIGRATIONS,
      isCache: true,
    })
    const states = new SqliteLocalStates(database)
    return {
      path,
      states,
      announce: (url) => lock.announce(url),
      close: () => {
        try {
          states.flush()
        } finally {
          database.close()
          lock.release()
        }
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
