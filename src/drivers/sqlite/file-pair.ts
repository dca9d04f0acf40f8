/** Sees that freshet.db and vectors.db are of one time: a file that came from a backup, or was made anew, is noticed. */

import { randomUUID } from 'node:crypto'
import type { SqliteDatabase } from './sqlite-database.ts'

/**
 * What the vectors are, beside the states that say when they were written.
 * - `matching`: both files were agreed on last.
 * - `older`: from before the states, or made anew: what the states call written needn't be there.
 * - `foreign`: from after the states or from elsewhere: they may hold users and texts that the states know nothing of.
 */
export type VectorsAge = 'matching' | 'older' | 'foreign'

/** What both files hold when they agree. */
interface Mark {
  /** Of the data directory, kept over all marks. */
  lineage: string
  /** Rises with every mark. */
  count: number
  /** Tells marks of one count apart: after a backup was restored, counts are used a second time. */
  once: string
}

type Row = [mark: string | null, next: string | null]

/**
 * The files share no transaction, so that a mark is set in three steps: vectors.db announces it, freshet.db takes it,
 * vectors.db takes it. A crash between two steps leaves what is still known to match, for nothing is written meanwhile.
 */
export class FilePair {
  private readonly main: SqliteDatabase
  private readonly vectors: SqliteDatabase

  constructor(main: SqliteDatabase, vectors: SqliteDatabase) {
    this.main = main
    this.vectors = vectors
  }

  /** @throws {UnavailableError} `database-busy`, `database-io` */
  compare(): VectorsAge {
    const [mine] = read(this.main)
    const [theirs, announced] = read(this.vectors)
    if (mine === theirs || (mine !== null && mine === announced)) return 'matching'
    if (theirs === null) return 'older'
    if (mine === null) return 'foreign'
    const [ofMain, ofVectors] = [JSON.parse(mine) as Mark, JSON.parse(theirs) as Mark]
    return ofMain.lineage === ofVectors.lineage && ofVectors.count < ofMain.count ? 'older' : 'foreign'
  }

  /**
   * Gives both files a new mark. A file that is put back later is known by its old one.
   *
   * @throws {UnavailableError} `disk-full`, `database-busy`, `database-io`: the former mark still holds
   */
  agree(): void {
    const [mine] = read(this.main)
    const [theirs] = read(this.vectors)
    const known = [mine, theirs].flatMap((text) => (text === null ? [] : [JSON.parse(text) as Mark]))
    const mark: Mark = {
      lineage: known[0]?.lineage ?? randomUUID(),
      count: Math.max(0, ...known.map(({ count }) => count)) + 1,
      once: randomUUID(),
    }
    const text = JSON.stringify(mark)
    write(this.vectors, 'next_mark = ?', text)
    write(this.main, 'mark = ?', text)
    write(this.vectors, 'mark = next_mark, next_mark = NULL')
  }
}

/** Whatever vectors.db comes back beside it, this freshet.db has been written without it meanwhile. */
export function forgetPair(main: SqliteDatabase): void {
  if (read(main)[0] !== null) write(main, 'mark = NULL')
}

function read(database: SqliteDatabase): Row {
  const sql = 'SELECT mark, next_mark FROM file_pair'
  return database.read(() => database.prepare(sql).get()) as unknown as Row
}

function write(database: SqliteDatabase, change: string, ...values: string[]): void {
  database.write(() => database.prepare(`UPDATE file_pair SET ${change}`).run(...values))
}
