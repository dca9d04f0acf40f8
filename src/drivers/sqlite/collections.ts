/** Which collections there are, what vectors they hold, and which of them an alias names. */

import { ConfigError } from '../../errors.ts'
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

/**
 * What is known is read again after each change, by whatever process. Whoever goes on to a collection's table asks within the
 * same snapshot or transaction: it can't be dropped in between.
 */
export class Collections {
  private readonly database: SqliteDatabase
  private known: Map<CollectionName, Collection> | undefined
  /** Of the file, when it was read. */
  private dataVersion: number | undefined

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  find(name: CollectionName): Collection | undefined {
    return this.all().get(name)
  }

  /** @throws {ConfigError} `collection-missing` */
  existing(name: CollectionName): Collection {
    const collection = this.find(name)
    if (collection === undefined)
      throw new ConfigError(
        'collection-missing',
        `expected a collection ${name}, got none: it is created when its model or group comes into use`,
      )
    return collection
  }

  infos(): CollectionInfo[] {
    return this.database.snapshot(() =>
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
    const isThere = () => {
      const existing = this.find(spec.name)
      if (existing !== undefined) checkSameCollection(existing.spec, spec)
      return existing !== undefined
    }
    if (this.database.read(isThere)) return
    this.change(() => {
      if (isThere()) return
      const { lastInsertRowid } = this.database
        .prepare("INSERT INTO collections (name, spec, reader_names) VALUES (?, ?, '[]')")
        .run(spec.name, JSON.stringify(spec))
      this.database.exec(pointsTable(Number(lastInsertRowid)))
    })
  }

  drop(name: CollectionName): void {
    if (this.database.read(() => this.find(name)) === undefined) return
    // Statements on the table must be gone before it is.
    this.database.forgetStatements()
    this.change(() => {
      const collection = this.find(name)
      if (collection === undefined) return
      this.database.exec(`DROP TABLE points_${collection.number}`)
      this.database.prepare('DELETE FROM collections WHERE collection = ?').run(collection.number)
    })
  }

  /** @throws {ConfigError} `collection-missing`, as all that follow */
  addNames(name: CollectionName, vectorNames: readonly VectorName[]): void {
    const missing = () => {
      const { number, numbers } = this.existing(name)
      return [...new Set(vectorNames)].filter((one) => !numbers.has(one)).map((one) => [number, one] as const)
    }
    if (this.database.read(missing).length === 0) return
    this.change(() => {
      const insert = this.database.prepare('INSERT INTO vector_names (collection, name) VALUES (?, ?)')
      for (const [number, one] of missing()) insert.run(number, one)
    })
  }

  dropNames(name: CollectionName, vectorNames: readonly VectorName[]): void {
    this.change(() => {
      const { number } = this.existing(name)
      const remove = this.database.prepare('DELETE FROM vector_names WHERE collection = ? AND name = ?')
      for (const one of vectorNames) remove.run(number, one)
    })
  }

  setReaderNames(name: CollectionName, readerNames: ReadonlyMap<InstructionId, VectorName>): void {
    this.change(() =>
      this.database
        .prepare('UPDATE collections SET reader_names = ? WHERE collection = ?')
        .run(JSON.stringify([...readerNames]), this.existing(name).number),
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

  setAlias(alias: AliasName, name: CollectionName): void {
    this.change(() =>
      this.database
        .prepare('INSERT OR REPLACE INTO aliases (alias, collection) VALUES (?, ?)')
        .run(alias, this.existing(name).number),
    )
  }

  private change(work: () => void): void {
    this.database.write(() => {
      work()
      this.database.afterCommit(() => {
        this.known = undefined
      })
    })
  }

  private all(): ReadonlyMap<CollectionName, Collection> {
    const dataVersion = this.database.dataVersion()
    if (this.known === undefined || dataVersion !== this.dataVersion) {
      this.known = this.load()
      this.dataVersion = dataVersion
    }
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
