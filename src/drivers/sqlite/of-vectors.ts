/** What a data directory knows of its vectors: whose they are, the horizon they were read with, and how a server was left. */

import { randomUUID } from 'node:crypto'
import type { CollectionName, WriteVersion } from '../../vectors/vector-store.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** Vectors on a server, as this directory left them. */
export interface ServerMemory {
  /** What every collection there bears, too. */
  mark: string
  /** Collection -> vector names that were there; what is missing later was lost. */
  confirmed: ReadonlyMap<CollectionName, readonly string[]>
  /** The last version under which vectors were written to a collection; where nothing as new is found, it is older. */
  written: ReadonlyMap<CollectionName, WriteVersion>
}

type Row = [
  owner: string,
  horizon: string | null,
  mark: string | null,
  confirmed: string | null,
  written: string | null,
]

export class OfVectors {
  private readonly database: SqliteDatabase

  constructor(main: SqliteDatabase) {
    this.database = main
  }

  /** @returns the id of this data directory; null: it has none yet, and nothing on any server is its own */
  knownOwner(): string | null {
    return this.row()?.[0] ?? null
  }

  /** The id of this data directory, made when it is first asked for. @throws {UnavailableError} `disk-full` and its like */
  owner(): string {
    const known = this.knownOwner()
    if (known !== null) return known
    const owner = randomUUID()
    this.database.write(() => this.database.prepare('INSERT INTO of_vectors (owner) VALUES (?)').run(owner))
    return owner
  }

  /** Days; null: none; undefined: not known yet. */
  horizonDays(): number | null | undefined {
    const text = this.row()?.[1] ?? null
    return text === null ? undefined : (JSON.parse(text) as number | null)
  }

  keepHorizon(horizonDays: number | null): void {
    if (this.horizonDays() !== horizonDays) this.update('horizon = ?', JSON.stringify(horizonDays))
  }

  /** @returns null: no server was ever marked, or vectors lay elsewhere meanwhile */
  server(): ServerMemory | null {
    const [, , mark = null, confirmed, written] = this.row() ?? []
    if (mark === null) return null
    return {
      mark,
      confirmed: new Map(JSON.parse(confirmed!) as [CollectionName, string[]][]),
      written: new Map(JSON.parse(written!) as [CollectionName, WriteVersion][]),
    }
  }

  rememberServer({ mark, confirmed, written }: ServerMemory): void {
    const texts = [JSON.stringify([...confirmed]), JSON.stringify([...written])]
    this.update('mark = ?, confirmed = ?, written = ?', mark, ...texts)
  }

  rememberWritten(written: ServerMemory['written']): void {
    this.update('written = ?', JSON.stringify([...written]))
  }

  forgetServer(): void {
    if (this.server() !== null) this.update('mark = NULL, confirmed = NULL, written = NULL')
  }

  private row(): Row | undefined {
    const sql = 'SELECT owner, horizon, mark, confirmed, written FROM of_vectors'
    return this.database.read(() => this.database.prepare(sql).get()) as unknown as Row | undefined
  }

  private update(change: string, ...values: string[]): void {
    this.owner()
    this.database.write(() => this.database.prepare(`UPDATE of_vectors SET ${change}`).run(...values))
  }
}
