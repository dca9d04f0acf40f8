/** `VectorStore` in one SQLite file: fenced whole-point upserts, and exact search over slabs in memory. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { checkedPoints, checkQuery } from '../../vectors/checks.ts'
import type {
  AliasName,
  CollectionInfo,
  CollectionName,
  CollectionSpec,
  Difference,
  Hit,
  Point,
  PointId,
  PointPayload,
  RefusedPoint,
  SearchQuery,
  StoredPoint,
  VectorStore,
  WriteVersion,
} from '../../vectors/vector-store.ts'
import { type Collection, Collections } from './collections.ts'
import { fromRow, idBytes, POINT_COLUMNS, type PointRow, toRow, upsertSql } from './point-rows.ts'
import { fillSlabs } from './slab-pass.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import { VectorSlabs } from './vector-slab.ts'

/** Vectors in memory for search; 200,000 of 256 dimensions take 200 MB a name. A guess: five such instructions. */
const SLAB_BYTES_MAX = 1024 * 1024 * 1024

/** Names that are being read into memory, in one pass over the points. */
interface Loading {
  slabs: VectorSlabs
  done: Promise<void>
}

export class SqliteVectorStore implements VectorStore {
  readonly alwaysExact = true
  private readonly database: SqliteDatabase
  private readonly clock: Clock
  private readonly catalogue: Collections
  /** By collection number; filled name by name when first searched, kept in step by every write. */
  private readonly slabs = new Map<number, VectorSlabs>()
  /** By collection number: one pass at a time, whoever waits for it. */
  private readonly loading = new Map<number, Loading>()
  private isClosed = false
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

  async upsert(
    name: CollectionName,
    version: WriteVersion,
    points: readonly Point[],
  ): Promise<RefusedPoint[]> {
    const collection = this.existing(name)
    const { points: checked, refused } = checkedPoints(this.shapeOf(collection), points)
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
    if (slabs === undefined) return refused
    for (const point of written) {
      if (point.kind === 'stub') slabs.remove(point.id)
      else slabs.set(point.id, point.payload, point.vectors)
    }
    return refused
  }

  async get(
    name: CollectionName,
    ids: readonly PointId[],
    vectorNames?: readonly VectorName[],
  ): Promise<Map<PointId, StoredPoint>> {
    const wanted = vectorNames === undefined ? undefined : new Set(vectorNames)
    const collection = this.fresh(() => this.existing(name))
    const found = new Map<PointId, StoredPoint>()
    const sql = `SELECT ${POINT_COLUMNS} FROM points_${collection.number} WHERE id = ?`
    this.database.read(() => {
      const select = this.database.prepare(sql)
      for (const id of ids) {
        const row = select.get(idBytes(id)) as unknown as PointRow | undefined
        if (row !== undefined) found.set(id, fromRow(row, collection.names, wanted))
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
    for (;;) {
      const collection = this.fresh(() => this.existing(name))
      checkQuery(this.shapeOf(collection), query)
      const slabs = this.slabs.get(collection.number)
      if (slabs?.has(query.vectorName)) return this.found(collection, slabs, query)
      const loaded = await this.loaded(collection, query.vectorName)
      // Where another process writes all the time, what is in memory is old before it is whole: this search takes it.
      if (loaded.has(query.vectorName) && this.catalogue.find(name)?.number === collection.number)
        return this.found(collection, loaded, query)
    }
  }

  /** A table has no settings of its own; its index comes with it. */
  async differences(name: CollectionName): Promise<Difference[]> {
    this.existing(name)
    return []
  }

  async mend(name: CollectionName): Promise<void> {
    this.existing(name)
  }

  async alias(alias: AliasName): Promise<CollectionName | null> {
    return this.catalogue.alias(alias)
  }

  async setAlias(alias: AliasName, name: CollectionName): Promise<void> {
    this.catalogue.setAlias(alias, this.existing(name))
  }

  async close(): Promise<void> {
    this.isClosed = true
    await Promise.allSettled([...this.loading.values()].map(({ done }) => done))
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
      this.loading.clear()
      this.catalogue.forget()
    }
    return work()
  }

  private found(collection: Collection, slabs: VectorSlabs, query: SearchQuery): Hit[] {
    const key = keyOf(collection, query.vectorName)
    // To the end of the line, unless it was put out of memory while somebody waited for it.
    if (this.recent.delete(key)) this.recent.add(key)
    return this.database.read(() => {
      const select = this.database.prepare(`SELECT payload FROM points_${collection.number} WHERE id = ?`)
      return slabs.search(query).flatMap(({ id, score }) => {
        const row = select.get(idBytes(id)) as unknown as [string | null] | undefined
        // Gone between the two looks: only where another process writes.
        if (row === undefined || row[0] === null) return []
        return [{ id, score, payload: JSON.parse(row[0]) as PointPayload }]
      })
    })
  }

  /** Waits for the pass under way, or begins one. @returns what it filled, which needn't hold the name */
  private async loaded(collection: Collection, name: VectorName): Promise<VectorSlabs> {
    const { number } = collection
    let loading = this.loading.get(number)
    if (loading === undefined) {
      const slabs = this.slabs.get(number) ?? new VectorSlabs(collection.spec.dimensions)
      this.slabs.set(number, slabs)
      const begun: Loading = { slabs, done: this.load(slabs, collection, name) }
      this.loading.set(number, begun)
      const end = () => {
        if (this.loading.get(number) === begun) this.loading.delete(number)
      }
      begun.done.then(end, end)
      loading = begun
    }
    await loading.done
    return loading.slabs
  }

  /** Reads the name into memory, and with it what readers will ask for next, as far as there is room. */
  private async load(slabs: VectorSlabs, collection: Collection, name: VectorName): Promise<void> {
    const points = this.database.read(() => {
      const sql = `SELECT count(*) FROM points_${collection.number}`
      return (this.database.prepare(sql).get() as unknown as [number])[0]
    })
    const names = this.namesToLoad(slabs, collection, name, points)
    for (const one of names) slabs.add(one, points)
    let isWhole = false
    try {
      const goesOn = () => this.isStill(collection)
      isWhole = await fillSlabs({ database: this.database, collection, slabs, names, goesOn })
    } finally {
      // Half a slab would be taken for a whole one.
      if (!isWhole) for (const one of names) slabs.dropName(one)
    }
    if (!isWhole) return
    for (const one of names) {
      slabs.finish(one)
      this.recent.add(keyOf(collection, one))
    }
    this.keepBound(keyOf(collection, name))
  }

  /**
   * Asked between the pages of a pass. @returns false: the collection was dropped and made again
   *
   * @throws {UnavailableError} `vectors-closed`
   * @throws {ConfigError} `collection-missing`
   */
  private isStill({ spec, number }: Collection): boolean {
    if (this.isClosed)
      throw new UnavailableError(
        'vectors-closed',
        'expected an open store of vectors, got one that is closed: ask again once freshet is back',
      )
    return this.fresh(() => this.existing(spec.name)).number === number
  }

  /** @returns the names that readers are given as far as there is free room, and last the one that is searched now */
  private namesToLoad(slabs: VectorSlabs, collection: Collection, name: VectorName, points: number) {
    const { readerNames, numbers, spec } = collection
    const sizeBytes = points * spec.dimensions * Float32Array.BYTES_PER_ELEMENT
    let room = this.slabBytesMax - sizeBytes
    for (const { size } of this.sizes()) room -= size
    const names: VectorName[] = []
    for (const other of new Set(readerNames.values())) {
      if (other === name || slabs.has(other) || !numbers.has(other)) continue
      room -= sizeBytes
      if (room < 0) break
      names.push(other)
    }
    return [...names, name]
  }

  /** Names that were searched longest ago are read again when somebody asks for them. */
  private keepBound(justLoaded: string): void {
    const sized = this.sizes()
    let bytes = sized.reduce((sum, { size }) => sum + size, 0)
    for (const { key, name, slabs, size } of sized) {
      if (size > 0 && (bytes <= this.slabBytesMax || key === justLoaded)) continue
      slabs?.dropName(name)
      this.recent.delete(key)
      bytes -= size
    }
  }

  /** Of the names in memory, the one searched longest ago first. */
  private sizes() {
    return [...this.recent].map((key) => {
      const at = key.indexOf(' ')
      const name = key.slice(at + 1) as VectorName
      const slabs = this.slabs.get(Number(key.slice(0, at)))
      return { key, name, slabs, size: slabs?.sizeBytes(name) ?? 0 }
    })
  }
}

function keyOf({ number }: Collection, name: VectorName): string {
  return `${number} ${name}`
}
