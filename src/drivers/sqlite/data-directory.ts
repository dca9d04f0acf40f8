/** The data directory of a standalone freshet: its files, their format versions, and its one writer. */

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, UnavailableError } from '../../errors.ts'
import { FilePair, forgetPair, type VectorsAge } from './file-pair.ts'
import { MAIN_MIGRATIONS, VECTOR_MIGRATIONS } from './migrations.ts'
import { OfVectors } from './of-vectors.ts'
import { notWritable, SqliteDatabase } from './sqlite-database.ts'
import { VECTOR_PAGE_BYTES } from './vectors-file.ts'
import { WriterLock } from './writer-lock.ts'

export interface DataDirectoryOptions {
  path: string
  /** `write` takes the lock and migrates; `read` shares the files with the writer. */
  access: 'read' | 'write'
  nowMs: number
  /** Pages each file may grow to: how tests make a disk full. */
  pagesMax?: number
}

/** A data directory whose vectors lie elsewhere. */
export interface MainDirectory {
  readonly path: string
  /** Log, states, checkpoints, offsets, control topics and dead letters: what shares transactions shares a file. */
  readonly main: SqliteDatabase
  /** Tells those who find the directory locked where the API is. */
  announce(url: string): void
  /**
   * To be called before anything changes: from then on vectors that lie elsewhere, on a server or in vectors.db, were left
   * behind. Whoever only opens the directory, with settings that may be wrong, leaves them what they are.
   */
  leaveOtherVectors(): void
  close(): void
}

export interface DataDirectory extends MainDirectory {
  /** Vectors can be computed again from the rest, so they have a file of their own that may be lost. */
  readonly vectors: SqliteDatabase
  /** What the vectors were when the directory was opened; anything but `matching` must be put right, then agreed on. */
  readonly vectorsAge: VectorsAge
  /**
   * Marks both files as of one time, now. Repeated now and then, it lets a backup be told from what is there.
   *
   * @throws {UnavailableError} `disk-full`, `database-busy`, `database-io`
   */
  agree(): void
}

interface Opened {
  main: SqliteDatabase
  /** null: they lie elsewhere. */
  vectors: SqliteDatabase | null
  lock: WriterLock | undefined
}

/**
 * @throws {ConfigError} `data-directory-locked`, `data-directory-newer`, `data-directory-older` or
 *   `data-directory-missing` (to read what nobody has written)
 */
export function openDataDirectory(options: DataDirectoryOptions): DataDirectory {
  const { main, vectors, lock } = openFiles(options, true)
  const isReadOnly = options.access === 'read'
  try {
    const pair = new FilePair(main, vectors!)
    const vectorsAge = pair.compare()
    if (!isReadOnly && vectorsAge === 'matching') renew(pair)
    const agree = () => pair.agree()
    return { ...handles(options.path, main, vectors, lock), vectors: vectors!, vectorsAge, agree }
  } catch (error) {
    closeAll(main, vectors, lock)
    throw error
  }
}

/**
 * Opens a directory whose vectors lie elsewhere; a vectors.db that it held before is left as it is, and counts for nothing.
 *
 * @throws {ConfigError} as `openDataDirectory`
 */
export function openMainDirectory(options: DataDirectoryOptions): MainDirectory {
  const { main, lock } = openFiles(options, false)
  return handles(options.path, main, null, lock)
}

/** What a directory holds that isn't made yet, for whoever looks at what a first start would do. */
export function directoryToCome(path: string, withVectors: boolean): MainDirectory | DataDirectory {
  const main = new SqliteDatabase({ path: ':memory:', migrations: MAIN_MIGRATIONS })
  const directory = handles(path, main, null, undefined)
  if (!withVectors) return directory
  const vectors = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  const close = () => closeAll(main, vectors)
  return { ...directory, vectors, vectorsAge: 'matching', agree: () => {}, close }
}

function openFiles({ path, access, nowMs, pagesMax }: DataDirectoryOptions, withVectors: boolean): Opened {
  const isReadOnly = access === 'read'
  const mainPath = join(path, 'freshet.db')
  const vectorsPath = join(path, 'vectors.db')
  if (isReadOnly && !(existsSync(mainPath) && (!withVectors || existsSync(vectorsPath))))
    throw new ConfigError(
      'data-directory-missing',
      `expected a data directory of freshet in ${path}, got none: check dataDir, or start freshet once to make it`,
    )
  // It holds what users did: nobody else on this machine needs to read it.
  if (!isReadOnly) makeDirectory(path)
  const lock = isReadOnly ? undefined : WriterLock.acquire(path, nowMs)
  const limits = { isReadOnly, ...(pagesMax === undefined ? {} : { pagesMax }) }
  let main: SqliteDatabase | undefined
  try {
    main = new SqliteDatabase({ path: mainPath, migrations: MAIN_MIGRATIONS, ...limits })
    const migrations = VECTOR_MIGRATIONS
    const vectors = withVectors
      ? new SqliteDatabase({ path: vectorsPath, migrations, pageBytes: VECTOR_PAGE_BYTES, ...limits })
      : null
    return { main, vectors, lock }
  } catch (error) {
    closeAll(main, null, lock)
    throw error
  }
}

function closeAll(main?: SqliteDatabase, vectors?: SqliteDatabase | null, lock?: WriterLock): void {
  main?.close()
  vectors?.close()
  // Last: whoever gets the lock finds the files closed.
  lock?.release()
}

function handles(
  path: string,
  main: SqliteDatabase,
  vectors: SqliteDatabase | null,
  lock: WriterLock | undefined,
): MainDirectory {
  return {
    path,
    main,
    announce: (url) => lock?.announce(url),
    leaveOtherVectors: () => (vectors === null ? forgetPair(main) : new OfVectors(main).forgetServer()),
    close: () => closeAll(main, vectors, lock),
  }
}

/** Where there is no room, the mark of the last time goes on to hold; a start must not fail for it. */
function renew(pair: FilePair): void {
  try {
    pair.agree()
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw notWritable(path, cause)
  }
}
