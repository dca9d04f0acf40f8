/** `VectorStore` in one SQLite file: fenced whole-point upserts, and exact search over slabs in memory. */

import { ConfigError } from '../../errors.ts'
import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { checkedPoints, checkQuery } from '../../vectors/checks.ts'
import type {
  AliasName,
  CollectionInfo,
  CollectionName,
  CollectionSpec,
  Hit,
  Point,
  PointId,
  PointPayload,
  SearchQuery,
  StoredPoint,
  VectorStore,
  WriteVersion,
} from '../../vectors/vector-store.ts'
import { type Collection, Collections } from './collections.ts'
import {
  fromRow,
  idBytes,
  POINT_COLUMNS,
  type PointRow,
  pointIdOf,
  toRow,
  upsertSql,
  vectorAt,
} from './point-rows.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import { VectorSlabs } from './vector-slab.ts'

/** Vectors in memory for search; 200,000 of 256 dimensions take 200 MB a name. A guess: five such instructions. */
const SLAB_BYTES_MAX = 1024 * 1024 * 1024

export class SqliteVectorStore implements VectorStore {
  private readonly database: SqliteDatabase
  private readonly clock: Clock
  private readonly catalogue: Collections
  /** By collection number; filled name by name when first searched, kept in step by every write. */
  private readonly slabs = new Map<number, VectorSlabs>()
  /** Names in memory, the one searched longest ago first. */
  private readonly recent = new Set<string>()
  private readonly slabBytesMax: number
  private dataVersion: number

  constructor(database: SqliteDatabase, clock: Clock, slabBytesMax = SLAB_BYTES_MAX) {
    this.database = database
    this.clock = clock
    this.slabBytesMax = slabBytesMax
    this.catalogue = new Collections(database)
    this.dataVersion = database.dataVersion()
  }

  async collections(): Promise<CollectionInfo[]> {
    return this.fresh(() => this.catalogue.infos())
  }

  async ensureCollection(spec: CollectionSpec): Promise<void> {
    this.catalogue.ensure(spec)
  }

  async dropCollection(name: CollectionName): Promise<void> {
    const number = this.catalogue.drop(name)
    if (number !== undefined) this.slabs.delete(number)
  }

  async ensureVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    this.catalogue.addNames(this.existing(name), vectorNames)
  }

  async dropVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    const collection = this.existing(name)
    this.catalogue.dropNames(collection, vectorNames)
    for (const vectorName of vectorNames) this.slabs.get(collection.number)?.dropName(vectorName)
  }

  async readerNames(name: CollectionName): Promise<ReadonlyMap<InstructionId, VectorName>> {
    return new Map(this.fresh(() => this.existing(name)).readerNames)
  }

  async setReaderNames(
    name: CollectionName,
    readerNames: ReadonlyMap<InstructionId, VectorName>,
  ): Promise<void> {
    this.catalogue.setReaderNames(this.existing(name), readerNames)
  }

  async upsert(name: CollectionName, version: WriteVersion, points: readonly Point[]): Promise<void> {
    const collection = this.existing(name)
    const checked = checkedPoints(this.shapeOf(collection), points)
    const writtenAtMs = this.clock.nowMs()
    const written = this.database.write(() => {
      const upsert = this.database.prepare(upsertSql(collection.number))
      return checked.filter((point) => {
        const row = toRow(point, collection.numbers)
        const key = idBytes(point.id)
        return upsert.run(key, version.epoch, version.write, writtenAtMs, ...row).changes > 0
      })
    })
    const slabs = this.slabs.get(collection.number)
    if (slabs === undefined) return
    for (const point of written) {
      if (point.kind === 'stub') slabs.remove(point.id)
      else slabs.set(point.id, point.payload, point.vectors)
    }
  }

  async get(name: CollectionName, ids: readonly PointId[]): Promise<Map<PointId, StoredPoint>> {
    const collection = this.fresh(() => this.existing(name))
    const found = new Map<PointId, StoredPoint>()
    const sql = `SELECT ${POINT_COLUMNS} FROM points_${collection.number} WHERE id = ?`
    this.database.read(() => {
      const select = this.database.prepare(sql)
      for (const id of ids) {
        const row = select.get(idBytes(id)) as unknown as PointRow | undefined
        if (row !== undefined) found.set(id, fromRow(row, collection.names))
      }
    })
    return found
  }

  /** V3: one delete with a filter; a stub that became a point meanwhile is none any more. */
  async purgeStubs(name: CollectionName, writtenBeforeMs: number): Promise<number> {
    const collection = this.existing(name)
    const sql = `DELETE FROM points_${collection.number} WHERE layout IS NULL AND written_at_ms < ?`
    return this.database.write(() => Number(this.database.prepare(sql).run(writtenBeforeMs).changes))
  }

  async search(name: CollectionName, query: SearchQuery): Promise<Hit[]> {
    const collection = this.fresh(() => this.existing(name))
    checkQuery(this.shapeOf(collection), query)
    return this.database.read(() => {
      const slabs = this.loaded(collection, query.vectorName)
      const select = this.database.prepare(`SELECT payload FROM points_${collection.number} WHERE id = ?`)
      return slabs.search(query).flatMap(({ id, score }) => {
        const row = select.get(idBytes(id)) as unknown as [string | null] | undefined
        // Gone between the two looks: only where another process writes.
        if (row === undefined || row[0] === null) return []
        return [{ id, score, payload: JSON.parse(row[0]) as PointPayload }]
      })
    })
  }

  async alias(alias: AliasName): Promise<CollectionName | null> {
    return this.catalogue.alias(alias)
  }

  async setAlias(alias: AliasName, name: CollectionName): Promise<void> {
    this.catalogue.setAlias(alias, this.existing(name))
  }

  async close(): Promise<void> {
    this.slabs.clear()
  }

  private shapeOf({ spec, numbers }: Collection) {
    const hasVectorName = (name: VectorName) => numbers.has(name)
    return { name: spec.name, dimensions: spec.dimensions, hasVectorName }
  }

  /** @throws {ConfigError} `collection-missing` */
  private existing(name: CollectionName): Collection {
    const collection = this.catalogue.find(name)
    if (collection === undefined)
      throw new ConfigError(
        'collection-missing',
        `expected a collection ${name}, got none: it is created when its model or group comes into use`,
      )
    return collection
  }

  /** Forgets what is in memory when another process has written to the file. */
  private fresh<T>(work: () => T): T {
    const version = this.database.read(() => this.database.dataVersion())
    if (version !== this.dataVersion) {
      this.dataVersion = version
      this.slabs.clear()
      this.catalogue.forget()
    }
    return work()
  }

  private loaded(collection: Collection, name: VectorName): VectorSlabs {
    let slabs = this.slabs.get(collection.number)
    if (slabs === undefined) {
      slabs = new VectorSlabs(collection.spec.dimensions)
      this.slabs.set(collection.number, slabs)
    }
    const key = `${collection.number} ${name}`
    this.recent.delete(key)
    this.recent.add(key)
    if (slabs.has(name)) return slabs
    slabs.add(name)
    try {
      this.load(slabs, collection, name)
    } catch (error) {
      // Half a slab would be taken for a whole one.
      slabs.dropName(name)
      throw error
    }
    this.keepBound(key)
    return slabs
  }

  /** Names that were searched longest ago are read again when somebody asks for them. */
  private keepBound(justLoaded: string): void {
    const sized = [...this.recent].map((key) => {
      const at = key.indexOf(' ')
      const name = key.slice(at + 1) as VectorName
      const slabs = this.slabs.get(Number(key.slice(0, at)))
      return { key, name, slabs, size: slabs?.sizeBytes(name) ?? 0 }
    })
    let bytes = sized.reduce((sum, { size }) => sum + size, 0)
    for (const { key, name, slabs, size } of sized) {
      if (size > 0 && (bytes <= this.slabBytesMax || key === justLoaded)) continue
      slabs?.dropName(name)
      this.recent.delete(key)
      bytes -= size
    }
  }

  private load(slabs: VectorSlabs, collection: Collection, name: VectorName): void {
    const number = collection.numbers.get(name)!
    const rows = this.database
      .prepare(
        `SELECT id, payload, layout, vectors FROM points_${collection.number} WHERE layout IS NOT NULL`,
      )
      .iterate() as unknown as Iterable<[Uint8Array, string, string, Uint8Array]>
    for (const [id, payload, layout, blob] of rows) {
      const numbers = JSON.parse(layout) as number[]
      const place = numbers.indexOf(number)
      if (place < 0) continue
      const vector = vectorAt(blob, place, numbers.length)
      slabs.fill(pointIdOf(id), JSON.parse(payload) as PointPayload, name, vector)
    }
  }
}
