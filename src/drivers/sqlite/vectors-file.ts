/** One file of vectors that several workers on one machine share: nobody owns it, whoever writes waits for the others. */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../pipeline/clock.ts'
import { VECTOR_MIGRATIONS } from './migrations.ts'
import { notWritable, SqliteDatabase } from './sqlite-database.ts'
import { SqliteVectorStore } from './sqlite-vector-store.ts'

/** A page holds a whole point of one 256-d vector with room; of small pages a point would fill chains of four. */
export const VECTOR_PAGE_BYTES = 16_384

interface VectorsFileOptions {
  path: string
  clock: Clock
}

/** A store that has the file for itself and closes it. */
class VectorsFile extends SqliteVectorStore {
  private readonly file: SqliteDatabase

  constructor(file: SqliteDatabase, clock: Clock) {
    super(file, clock)
    this.file = file
  }

  override async close(): Promise<void> {
    await super.close()
    this.file.close()
  }
}

/**
 * Opens the file, or makes it, without any lock of a data directory: who wrote what is told by the fence (V1) alone. On a disk
 * of this machine: SQLite's log is shared memory.
 *
 * @throws {ConfigError} `data-directory-newer`, `database-damaged`, `database-not-writable`
 * @throws {UnavailableError} `database-busy`, when others held it for 5 s; `database-io`
 */
export function openVectorsFile({ path, clock }: VectorsFileOptions): SqliteVectorStore {
  try {
    // It holds what users did: nobody else on this machine needs to read it.
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw notWritable(path, cause)
  }
  const options = { path, migrations: VECTOR_MIGRATIONS, pageBytes: VECTOR_PAGE_BYTES }
  return new VectorsFile(new SqliteDatabase(options), clock)
}
