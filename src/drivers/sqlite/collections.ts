/** Which collections there are, what vectors they hold, and which of them an alias names. */

import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import { checkSameCollection } from '../../vectors/checks.ts'
import type { AliasName, CollectionInfo, CollectionName, CollectionSpec } from '../../vectors/vector-store.ts'
import { pointsTable } from './point-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export interface Collection {
  number: number
  spec: CollectionSpec
  readerNames: Map<InstructionId, VectorName>
  /** Vector names and their numbers, both ways. */
  numbers: Map<VectorName, number>
  names: Map<number, VectorName>
}

export class Collections {
  private readonly database: SqliteDatabase
  private known: Map<CollectionName, Collection> | undefined

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  find(name: CollectionName): Collection | undefined {
    return this.all().get(name)
  }

  /** Reads everything again at the next question. */
  forget(): void {
    this.known = undefined
  }

  infos(): CollectionInfo[] {
    return this.database.read(() =>
      [...this.all().values()].map(({ number, spec, readerNames, numbers }) => {
        const count = (where: string) => {
          const sql = `SELECT count(*) FROM points_${number} WHERE ${where}`
          return (this.database.prepare(sql).get() as unknown as [number])[0]
        }
        const stubs = count('layout IS NULL')
        return {
          ...spec,
          vectorNames: [...numbers.keys()],
          readerNames: new Map(readerNames),
          points: count('1') - stubs,
          stubs,
        }
      }),
    )
  }

  /** @throws {ConfigError} `collection-mismatch` */
  ensure(spec: CollectionSpec): void {
    const existing = this.find(spec.name)
    if (existing !== undefined) {
      checkSameCollection(existing.spec, spec)
      return
    }
    this.change(() => {
      const { lastInsertRowid } = this.database
        .prepare("INSERT INTO collections (name, spec, reader_names) VALUES (?, ?, '[]')")
        .run(spec.name, JSON.stringify(spec))
      this.database.exec(pointsTable(Number(lastInsertRowid)))
    })
  }

  /** @returns its number; undefined: there is none of that name */
  drop(name: CollectionName): number | undefined {
    const collection = this.find(name)
    if (collection === undefined) return undefined
    // Statements on the table must be gone before it is.
    this.database.forgetStatements()
    this.change(() => {
      this.database.exec(`DROP TABLE points_${collection.number}`)
      this.database.prepare('DELETE FROM collections WHERE collection = ?').run(collection.number)
    })
    return collection.number
  }

  addNames({ number, numbers }: Collection, names: readonly VectorName[]): void {
    const missing = names.filter((name) => !numbers.has(name))
    if (missing.length === 0) return
    this.change(() => {
      const insert = this.database.prepare('INSERT INTO vector_names (collection, name) VALUES (?, ?)')
      for (const name of new Set(missing)) insert.run(number, name)
    })
  }

  dropNames({ number }: Collection, names: readonly VectorName[]): void {
    this.change(() => {
      const remove = this.database.prepare('DELETE FROM vector_names WHERE collection = ? AND name = ?')
      for (const name of names) remove.run(number, name)
    })
  }

  setReaderNames({ number }: Collection, readerNames: ReadonlyMap<InstructionId, VectorName>): void {
    this.change(() =>
      this.database
        .prepare('UPDATE collections SET reader_names = ? WHERE collection = ?')
        .run(JSON.stringify([...readerNames]), number),
    )
  }

  alias(alias: AliasName): CollectionName | null {
    const row = this.database.read(() =>
      this.database
        .prepare('SELECT name FROM aliases JOIN collections USING (collection) WHERE alias = ?')
        .get(alias),
    ) as unknown as [CollectionName] | undefined
    return row?.[0] ?? null
  }

  setAlias(alias: AliasName, { number }: Collection): void {
    this.change(() =>
      this.database
        .prepare('INSERT OR REPLACE INTO aliases (alias, collection) VALUES (?, ?)')
        .run(alias, number),
    )
  }

  private change(work: () => void): void {
    this.database.write(() => {
      work()
      this.database.afterCommit(() => this.forget())
    })
  }

  private all(): ReadonlyMap<CollectionName, Collection> {
    this.known ??= this.database.read(() => this.load())
    return this.known
  }

  private load(): Map<CollectionName, Collection> {
    const collections = this.database
      .prepare('SELECT collection, spec, reader_names FROM collections ORDER BY name')
      .all() as unknown as [number, string, string][]
    const names = this.database
      .prepare('SELECT collection, vector, name FROM vector_names ORDER BY vector')
      .all() as unknown as [number, number, VectorName][]
    return new Map(
      collections.map(([number, specText, readerText]) => {
        const spec = JSON.parse(specText) as CollectionSpec
        const own = names.filter(([collection]) => collection === number)
        const collection = {
          number,
          spec,
          readerNames: new Map(JSON.parse(readerText) as [InstructionId, VectorName][]),
          numbers: new Map(own.map(([, vector, name]) => [name, vector])),
          names: new Map(own.map(([, vector, name]) => [vector, name])),
        }
        return [spec.name, collection]
      }),
    )
  }
}
