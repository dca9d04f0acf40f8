/** Which vectors are in memory for search: read when first asked for, kept in step with the file, put out when there are too many. */

import { setImmediate as turn } from 'node:timers/promises'
import { UnavailableError } from '../../errors.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { Point } from '../../vectors/vector-store.ts'
import type { Collection, Collections } from './collections.ts'
import type { PointChange, PointChanges } from './point-changes.ts'
import { fromRow, idBytes, POINT_COLUMNS, type PointRow } from './point-rows.ts'
import { fillSlabs } from './slab-pass.ts'
import type { SqliteDatabase } from './sqlite-database.ts'
import { VectorSlabs } from './vector-slab.ts'

/** Requests of others that are caught up with between two turns of the event loop: some milliseconds at 64 points each. */
const CHANGES_PER_TURN = 4

/** What is in memory of a collection. */
interface Held {
  collection: Collection
  slabs: VectorSlabs
}

/** Names that are being read into memory, in one pass over the points. */
interface Loading {
  slabs: VectorSlabs
  done: Promise<void>
}

interface Parts {
  database: SqliteDatabase
  catalogue: Collections
  changes: PointChanges
  /** Vectors in memory; what was searched last stays, however large it is. */
  bytesMax: number
}

export class SlabsInMemory {
  private readonly parts: Parts
  /** By collection number; filled name by name when first searched. */
  private readonly held = new Map<number, Held>()
  /** By collection number: one pass at a time, whoever waits for it. */
  private readonly loading = new Map<number, Loading>()
  /** Names in memory, the one searched longest ago first. */
  private readonly recent = new Set<string>()
  /** The last change that is in memory. */
  private seen = 0
  /** The file's, when `seen` was its last change. */
  private dataVersion: number | undefined
  private isClosed = false

  constructor(parts: Parts) {
    this.parts = parts
  }

  /** Whether another process may have written what isn't in memory. */
  isBehind(): boolean {
    return this.parts.database.dataVersion() !== this.dataVersion
  }

  /**
   * Puts in what other processes have written until now, with turns of the event loop between.
   *
   * @throws {UnavailableError} `database-busy`, `database-io`
   */
  async catchUp(): Promise<void> {
    const { database, changes } = this.parts
    let until: number | undefined
    for (;;) {
      const isDone = database.snapshot(() => {
        if (!this.isBehind()) return true
        // Where others write all the time: not what they write meanwhile.
        until ??= changes.last()
        this.step()
        return this.seen >= until
      })
      if (isDone) return
      await turn()
    }
  }

  /** @returns the slabs that hold the name, whole; undefined: it isn't in memory */
  find(collection: Collection, name: VectorName): VectorSlabs | undefined {
    this.reconcile()
    const slabs = this.held.get(collection.number)?.slabs
    if (slabs?.has(name) !== true) return undefined
    // To the end of the line.
    const key = keyOf(collection.number, name)
    this.recent.delete(key)
    this.recent.add(key)
    return slabs
  }

  /** Puts in what this process has written; after the transaction, and before anything else is done. */
  wrote(change: number, collection: Collection, points: readonly Point[]): void {
    // Else others have written since we looked: their change, and then this, are read again.
    if (change === this.seen + 1) this.seen = change
    const slabs = this.held.get(collection.number)?.slabs
    if (slabs !== undefined) for (const point of points) put(slabs, point)
  }

  /** Waits for the pass under way, or begins one; it needn't have brought the name. To be called in a snapshot. */
  async load(collection: Collection, name: VectorName): Promise<void> {
    const { number } = collection
    let loading = this.loading.get(number)
    if (loading === undefined) {
      const slabs = this.slabsFor(collection)
      const begun: Loading = { slabs, done: this.read(slabs, collection, name) }
      this.loading.set(number, begun)
      const end = () => {
        if (this.loading.get(number) === begun) this.loading.delete(number)
      }
      begun.done.then(end, end)
      loading = begun
    }
    await loading.done
  }

  async close(): Promise<void> {
    this.isClosed = true
    await Promise.allSettled([...this.loading.values()].map(({ done }) => done))
    this.held.clear()
  }

  private slabsFor(collection: Collection): VectorSlabs {
    const known = this.held.get(collection.number)
    if (known !== undefined) return known.slabs
    if (this.held.size === 0) this.beginToFollow()
    const slabs = new VectorSlabs(collection.spec.dimensions)
    this.held.set(collection.number, { collection, slabs })
    return slabs
  }

  /** Whatever is read from now on holds all changes until now. Within a snapshot. */
  private beginToFollow(): void {
    this.dataVersion = this.parts.database.dataVersion()
    this.seen = this.parts.changes.last()
  }

  /** Within a snapshot. */
  private step(): void {
    const { database, changes } = this.parts
    if (this.held.size === 0) {
      this.beginToFollow()
      return
    }
    const found = changes.after(this.seen, CHANGES_PER_TURN)
    if (found === null) {
      this.held.clear()
      this.loading.clear()
      this.beginToFollow()
      return
    }
    this.reconcile()
    for (const change of found) this.follow(change)
    this.seen = found.at(-1)?.change ?? this.seen
    if (found.length < CHANGES_PER_TURN) this.dataVersion = database.dataVersion()
  }

  /** What lies there now is the newest, whichever change is followed. */
  private follow({ collection: number, ids }: PointChange): void {
    const held = this.held.get(number)
    if (held === undefined) return
    const { collection, slabs } = held
    const names = slabs.names()
    const select = this.parts.database.prepare(`SELECT ${POINT_COLUMNS} FROM points_${number} WHERE id = ?`)
    for (const id of ids) {
      const row = select.get(idBytes(id)) as unknown as PointRow | undefined
      if (row === undefined) slabs.remove(id)
      else put(slabs, fromRow(row, collection.names, names).point)
    }
  }

  /** Lets go of collections and names that are gone, be they made anew or not. */
  private reconcile(): void {
    const { catalogue } = this.parts
    for (const [number, held] of this.held) {
      const now = catalogue.find(held.collection.spec.name)
      if (now === held.collection) continue
      for (const name of held.slabs.names())
        if (now?.number !== number || now.numbers.get(name) !== held.collection.numbers.get(name))
          held.slabs.dropName(name)
      if (now?.number === number) held.collection = now
      else this.held.delete(number)
    }
  }

  /** Reads the name into memory, and with it what readers will ask for next, as far as there is room. */
  private async read(slabs: VectorSlabs, collection: Collection, name: VectorName): Promise<void> {
    const { database } = this.parts
    const counting = database.prepare(`SELECT count(*) FROM points_${collection.number}`)
    const [points] = counting.get() as unknown as [number]
    const names = this.namesToLoad(slabs, collection, name, points)
    for (const one of names) slabs.add(one, points)
    let isWhole = false
    try {
      const goesOn = () => this.isStill(collection, slabs)
      isWhole = await fillSlabs({ database, collection, slabs, names, goesOn })
    } finally {
      // Half a slab would be taken for a whole one.
      if (!isWhole) for (const one of names) slabs.dropName(one)
    }
    if (!isWhole) return
    for (const one of names) {
      slabs.finish(one)
      this.recent.add(keyOf(collection.number, one))
    }
    this.keepBound(keyOf(collection.number, name))
  }

  /**
   * Asked before each page of a pass. @returns false: the collection was dropped, or is read anew
   *
   * @throws {UnavailableError} `vectors-closed`
   */
  private isStill({ number }: Collection, slabs: VectorSlabs): boolean {
    if (this.isClosed)
      throw new UnavailableError(
        'vectors-closed',
        'expected an open store of vectors, got one that is closed: ask again once freshet is back',
      )
    this.reconcile()
    if (this.isBehind()) this.step()
    return this.held.get(number)?.slabs === slabs
  }

  /** @returns the names that readers are given as far as there is free room, and last the one that is searched now */
  private namesToLoad(slabs: VectorSlabs, collection: Collection, name: VectorName, points: number) {
    const { readerNames, numbers, spec } = collection
    const sizeBytes = points * spec.dimensions * Float32Array.BYTES_PER_ELEMENT
    let room = this.parts.bytesMax - sizeBytes
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
    const { bytesMax } = this.parts
    const sized = this.sizes()
    let bytes = sized.reduce((sum, { size }) => sum + size, 0)
    for (const { key, name, slabs, size } of sized) {
      if (size > 0 && (bytes <= bytesMax || key === justLoaded)) continue
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
      const slabs = this.held.get(Number(key.slice(0, at)))?.slabs
      return { key, name, slabs, size: slabs?.sizeBytes(name) ?? 0 }
    })
  }
}

function put(slabs: VectorSlabs, point: Point): void {
  if (point.kind === 'stub') slabs.remove(point.id)
  else slabs.set(point.id, point.payload, point.vectors)
}

function keyOf(collection: number, name: VectorName): string {
  return `${collection} ${name}`
}
