/** The data directory of a standalone freshet: its files, their format versions, and its one writer. */

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, UnavailableError } from '../../errors.ts'
import { FilePair, type VectorsAge } from './file-pair.ts'
import { MAIN_MIGRATIONS, VECTOR_MIGRATIONS } from './migrations.ts'
import { notWritable, SqliteDatabase } from './sqlite-database.ts'
import { WriterLock } from './writer-lock.ts'

/** A page holds a whole point of one 256-d vector with room; of small pages a point would fill chains of four. */
const VECTOR_PAGE_BYTES = 16_384

export interface DataDirectoryOptions {
  path: string
  /** `write` takes the lock and migrates; `read` shares the files with the writer. */
  access: 'read' | 'write'
  nowMs: number
  /** Pages each file may grow to: how tests make a disk full. */
  pagesMax?: number
}

export interface DataDirectory {
  readonly path: string
  /** Log, states, checkpoints, offsets, control topics and dead letters: what shares transactions shares a file. */
  readonly main: SqliteDatabase
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
  /** Tells those who find the directory locked where the API is. */
  announce(url: string): void
  close(): void
}

/**
 * @throws {ConfigError} `data-directory-locked`, `data-directory-newer`, `data-directory-older` or
 *   `data-directory-missing` (to read what nobody has written)
 */
export function openDataDirectory(options: DataDirectoryOptions): DataDirectory {
  const { path, access, nowMs, pagesMax } = options
  const isReadOnly = access === 'read'
  const mainPath = join(path, 'freshet.db')
  const vectorsPath = join(path, 'vectors.db')
  if (isReadOnly && !(existsSync(mainPath) && existsSync(vectorsPath)))
    throw new ConfigError(
      'data-directory-missing',
      `expected a data directory of freshet in ${path}, got none: check dataDir, or start freshet once to make it`,
    )
  // It holds what users did: nobody else on this machine needs to read it.
  if (!isReadOnly) makeDirectory(path)
  const lock = isReadOnly ? undefined : WriterLock.acquire(path, nowMs)
  let main: SqliteDatabase | undefined
  let vectors: SqliteDatabase | undefined
  const limits = { isReadOnly, ...(pagesMax === undefined ? {} : { pagesMax }) }
  try {
    main = new SqliteDatabase({ path: mainPath, migrations: MAIN_MIGRATIONS, ...limits })
    vectors = new SqliteDatabase({
      path: vectorsPath,
      migrations: VECTOR_MIGRATIONS,
      pageBytes: VECTOR_PAGE_BYTES,
      ...limits,
    })
    const pair = new FilePair(main, vectors)
    const vectorsAge = pair.compare()
    if (!isReadOnly && vectorsAge === 'matching') renew(pair)
    return assemble(path, main, vectors, { pair, vectorsAge }, lock)
  } catch (error) {
    main?.close()
    vectors?.close()
    lock?.release()
    throw error
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

function assemble(
  path: string,
  main: SqliteDatabase,
  vectors: SqliteDatabase,
  { pair, vectorsAge }: { pair: FilePair; vectorsAge: VectorsAge },
  lock: WriterLock | undefined,
): DataDirectory {
  return {
    path,
    main,
    vectors,
    vectorsAge,
    agree: () => pair.agree(),
    announce: (url) => lock?.announce(url),
    close: () => {
      main.close()
      vectors.close()
      // Last: whoever gets the lock finds the files closed.
      lock?.release()
    },
  }
}
