/** `VectorStore` in one SQLite file: fenced whole-point upserts, and exact search over slabs in memory. */

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
import { PointChanges } from './point-changes.ts'
import { fromRow, idBytes, POINT_COLUMNS, type PointRow, toRow, upsertSql } from './point-rows.ts'
import { SlabsInMemory } from './slabs-in-memory.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import type { VectorSlabs } from './vector-slab.ts'

/** Vectors in memory for search; 200,000 of 256 dimensions take 200 MB a name. A guess: five such instructions. */
const SLAB_BYTES_MAX = 1024 * 1024 * 1024

/** Several processes may have one over the same file: what one of them writes, the others find. */
export class SqliteVectorStore implements VectorStore {
  readonly alwaysExact = true
  private readonly database: SqliteDatabase
  private readonly clock: Clock
  private readonly catalogue: Collections
  private readonly changes: PointChanges
  private readonly memory: SlabsInMemory

  constructor(database: SqliteDatabase, clock: Clock, slabBytesMax = SLAB_BYTES_MAX) {
    this.database = database
    this.clock = clock
    const [catalogue, changes] = [new Collections(database), new PointChanges(database)]
    this.catalogue = catalogue
    this.changes = changes
    this.memory = new SlabsInMemory({ database, catalogue, changes, bytesMax: slabBytesMax })
  }

  async collections(): Promise<CollectionInfo[]> {
    return this.catalogue.infos()
  }

  async ensureCollection(spec: CollectionSpec): Promise<void> {
    this.catalogue.ensure(spec)
  }

  async dropCollection(name: CollectionName): Promise<void> {
    this.catalogue.drop(name)
  }

  async ensureVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    this.catalogue.addNames(name, vectorNames)
  }

  async dropVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    this.catalogue.dropNames(name, vectorNames)
  }

  async readerNames(name: CollectionName): Promise<ReadonlyMap<InstructionId, VectorName>> {
    return new Map(this.existing(name).readerNames)
  }

  async setReaderNames(
    name: CollectionName,
    readerNames: ReadonlyMap<InstructionId, VectorName>,
  ): Promise<void> {
    this.catalogue.setReaderNames(name, readerNames)
  }

  async upsert(
    name: CollectionName,
    version: WriteVersion,
    points: readonly Point[],
  ): Promise<RefusedPoint[]> {
    const writtenAtMs = this.clock.nowMs()
    const done = this.database.write(() => {
      const collection = this.catalogue.existing(name)
      const { points: checked, refused } = checkedPoints(shapeOf(collection), points)
      const upsert = this.database.prepare(upsertSql(collection.number))
      const keys: Uint8Array[] = []
      const written = checked.filter((point) => {
        const row = toRow(point, collection.numbers)
        const key = idBytes(point.id)
        const { changes } = upsert.run(key, version.epoch, version.write, writtenAtMs, ...row)
        if (changes > 0) keys.push(key)
        return changes > 0
      })
      const change = keys.length === 0 ? undefined : this.changes.record(collection.number, keys)
      return { collection, refused, written, change }
    })
    const { collection, refused, written, change } = done
    if (change !== undefined) this.memory.wrote(change, collection, written)
    return refused
  }

  async get(
    name: CollectionName,
    ids: readonly PointId[],
    vectorNames?: readonly VectorName[],
  ): Promise<Map<PointId, StoredPoint>> {
    const wanted = vectorNames === undefined ? undefined : new Set(vectorNames)
    const found = new Map<PointId, StoredPoint>()
    this.database.snapshot(() => {
      const { number, names } = this.catalogue.existing(name)
      const select = this.database.prepare(`SELECT ${POINT_COLUMNS} FROM points_${number} WHERE id = ?`)
      for (const id of ids) {
        const row = select.get(idBytes(id)) as unknown as PointRow | undefined
        if (row !== undefined) found.set(id, fromRow(row, names, wanted))
      }
    })
    return found
  }

  async lacks(name: CollectionName, vectorName: VectorName): Promise<boolean> {
    return this.database.snapshot(() => {
      const { number, numbers } = this.catalogue.existing(name)
      // Layouts are JSON arrays of numbers: `[3,17]` becomes `,3,17,`.
      const sql = `SELECT 1 FROM points_${number} WHERE layout IS NOT NULL AND
        instr(',' || trim(layout, '[]') || ',', ?) = 0 LIMIT 1`
      return this.database.prepare(sql).get(`,${numbers.get(vectorName) ?? 'none'},`) !== undefined
    })
  }

  /** V3: one delete with a filter; a stub that became a point meanwhile is none any more. */
  async purgeStubs(name: CollectionName, writtenBeforeMs: number): Promise<number> {
    return this.database.write(() => {
      const { number } = this.catalogue.existing(name)
      const sql = `DELETE FROM points_${number} WHERE layout IS NULL AND written_at_ms < ?`
      return Number(this.database.prepare(sql).run(writtenBeforeMs).changes)
    })
  }

  async search(name: CollectionName, query: SearchQuery): Promise<Hit[]> {
    for (;;) {
      if (this.database.read(() => this.memory.isBehind())) await this.memory.catchUp()
      const outcome = this.database.snapshot(() => {
        const collection = this.catalogue.existing(name)
        checkQuery(shapeOf(collection), query)
        const slabs = this.memory.find(collection, query.vectorName)
        return slabs === undefined
          ? this.memory.load(collection, query.vectorName)
          : this.found(collection, slabs, query)
      })
      if (Array.isArray(outcome)) return outcome
      await outcome
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
    this.catalogue.setAlias(alias, name)
  }

  async close(): Promise<void> {
    await this.memory.close()
  }

  private existing(name: CollectionName): Collection {
    return this.database.read(() => this.catalogue.existing(name))
  }

  private found({ number }: Collection, slabs: VectorSlabs, query: SearchQuery): Hit[] {
    const select = this.database.prepare(`SELECT payload FROM points_${number} WHERE id = ?`)
    return slabs.search(query).flatMap(({ id, score }) => {
      const row = select.get(idBytes(id)) as unknown as [string | null] | undefined
      // Another process has taken it out a moment ago.
      if (row === undefined || row[0] === null) return []
      return [{ id, score, payload: JSON.parse(row[0]) as PointPayload }]
    })
  }
}

function shapeOf({ spec, numbers }: Collection) {
  const hasVectorName = (name: VectorName) => numbers.has(name)
  return { name: spec.name, dimensions: spec.dimensions, hasVectorName }
}
