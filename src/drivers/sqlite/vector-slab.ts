/** The points of one collection in memory, for exact search: every vector is compared, none is missed. */

import type { VectorName } from '../../instructions/instruction.ts'
import type { PointId, PointPayload, SearchFilter, SearchQuery } from '../../vectors/vector-store.ts'

const CAPACITY_MIN = 256

/** What a search may be filtered by. */
export type FilterFields = Pick<PointPayload, 'tenantId' | 'segment' | 'lastEventAtMs'>

/** All vectors of one name, side by side. */
interface Slab {
  /** float32 [capacity, dimensions], rows of L2 norm 1; a row of zeros for one that has no direction. */
  data: Float32Array
  /** 1 where the slot's point has this name. */
  present: Uint8Array
  /** Every point of the file is in; before that, only those that were written or read since it was added. */
  isWhole: boolean
}

export interface SlabHit {
  id: PointId
  score: number
}

export class VectorSlabs {
  private readonly dimensions: number
  private readonly slots = new Map<PointId, number>()
  private readonly free: number[] = []
  private readonly ids: PointId[] = []
  private readonly payloads: FilterFields[] = []
  private readonly slabs = new Map<VectorName, Slab>()

  constructor(dimensions: number) {
    this.dimensions = dimensions
  }

  /** Whether a name can be searched. */
  has(name: VectorName): boolean {
    return this.slabs.get(name)?.isWhole === true
  }

  /** All that there is room for, whole or not. */
  names(): ReadonlySet<VectorName> {
    return new Set(this.slabs.keys())
  }

  /** Bytes that a name's vectors take. */
  sizeBytes(name: VectorName): number {
    return this.slabs.get(name)?.data.byteLength ?? 0
  }

  /**
   * Makes room for a name, which can be searched after `finish`; points get their vectors by `set` and `fill`.
   *
   * @param pointsMin room for so many points is made at once: growing copies everything
   */
  add(name: VectorName, pointsMin = 0): void {
    const capacity = Math.max(CAPACITY_MIN, pointsMin, this.ids.length)
    this.slabs.set(name, {
      data: new Float32Array(capacity * this.dimensions),
      present: new Uint8Array(capacity),
      isWhole: false,
    })
  }

  /** All points of the file were filled in; a name that was dropped meanwhile stays so. */
  finish(name: VectorName): void {
    const slab = this.slabs.get(name)
    if (slab !== undefined) slab.isWhole = true
  }

  dropName(name: VectorName): void {
    this.slabs.delete(name)
  }

  /** Puts a point in, whole: a name that it hasn't is absent afterwards. */
  set(id: PointId, payload: PointPayload, vectors: ReadonlyMap<VectorName, Float32Array>): void {
    const slot = this.slotOf(id, payload)
    for (const [name, slab] of this.slabs) {
      const vector = vectors.get(name)
      if (vector === undefined) clearSlot(slab, slot)
      else this.write(slab, slot, vector)
    }
  }

  /**
   * Adds vectors to a point, while names are being loaded.
   *
   * @param places where in the blob each name's vector lies; names that were dropped meanwhile are passed over
   * @param blob float32 [count, dimensions], little-endian
   */
  fill(
    id: PointId,
    fields: FilterFields,
    places: readonly (readonly [VectorName, number])[],
    blob: Uint8Array,
    count: number,
  ): void {
    const slot = this.slotOf(id, fields)
    const vectors = floatsOf(blob)
    const width = vectors.length / count
    for (const [name, place] of places) {
      const slab = this.slabs.get(name)
      if (slab !== undefined) this.write(slab, slot, vectors.subarray(place * width, (place + 1) * width))
    }
  }

  /** Takes a point out. */
  remove(id: PointId): void {
    const slot = this.slots.get(id)
    if (slot === undefined) return
    for (const slab of this.slabs.values()) clearSlot(slab, slot)
    this.slots.delete(id)
    this.free.push(slot)
  }

  /**
   * Compares the query with every vector of its name.
   *
   * @returns the best `offset + k` but the first `offset`, by falling cosine, ties by point id
   */
  search(query: SearchQuery): SlabHit[] {
    const slab = this.slabs.get(query.vectorName)!
    const { data, present } = slab
    const { dimensions } = this
    const direction = new Float32Array(dimensions)
    normalise(query.vector, direction, 0)
    const excluded = new Set((query.exclude ?? []).map((id) => this.slots.get(id)))
    const threshold = query.scoreThreshold ?? Number.NEGATIVE_INFINITY
    const offset = query.offset ?? 0
    const best = new BestHits(offset + query.k)
    for (let slot = 0; slot < this.ids.length; slot++) {
      if (present[slot] !== 1 || excluded.has(slot)) continue
      if (query.filter !== undefined && !this.matches(slot, query.filter)) continue
      const score = dot(direction, data, slot * dimensions)
      if (score >= threshold) best.offer(this.ids[slot]!, score)
    }
    return best.sorted().slice(offset)
  }

  private matches(slot: number, filter: SearchFilter): boolean {
    const { tenantId, segment, lastEventAtMs } = this.payloads[slot]!
    if (filter.tenantId !== undefined && filter.tenantId !== tenantId) return false
    if (filter.segment !== undefined && filter.segment !== segment) return false
    const { lastEventSinceMs, lastEventBeforeMs } = filter
    if (lastEventSinceMs === undefined && lastEventBeforeMs === undefined) return true
    if (lastEventAtMs === null || lastEventAtMs < (lastEventSinceMs ?? Number.NEGATIVE_INFINITY)) return false
    return lastEventAtMs < (lastEventBeforeMs ?? Number.POSITIVE_INFINITY)
  }

  private slotOf(id: PointId, { tenantId, segment, lastEventAtMs }: FilterFields): number {
    let slot = this.slots.get(id)
    if (slot === undefined) {
      slot = this.free.pop() ?? this.ids.length
      this.slots.set(id, slot)
      this.ids[slot] = id
    }
    this.payloads[slot] = { tenantId, segment, lastEventAtMs }
    return slot
  }

  private write(slab: Slab, slot: number, vector: Float32Array): void {
    if (slot >= slab.present.length) grow(slab, this.dimensions, slot + 1)
    normalise(vector, slab.data, slot * this.dimensions)
    slab.present[slot] = 1
  }
}

function clearSlot(slab: Slab, slot: number): void {
  if (slot < slab.present.length) slab.present[slot] = 0
}

function grow(slab: Slab, dimensions: number, slotsMin: number): void {
  const capacity = Math.max(slotsMin, Math.ceil(slab.present.length * 1.5))
  const data = new Float32Array(capacity * dimensions)
  data.set(slab.data)
  const present = new Uint8Array(capacity)
  present.set(slab.present)
  slab.data = data
  slab.present = present
}

/** Writes the vector at `from`, as one of L2 norm 1, or zeros where it has no direction. */
function normalise(vector: Float32Array, into: Float32Array, from: number): void {
  let squares = 0
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
  for (let i = 0; i < vector.length; i++) into[from + i] = vector[i]! * scale
}

/** @returns the blob as numbers; a copy where it doesn't lie on a multiple of four bytes */
function floatsOf(blob: Uint8Array): Float32Array {
  const isAligned = blob.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0
  const { buffer, byteOffset, byteLength } = isAligned ? blob : blob.slice()
  return new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT)
}

/** Four sums side by side keep the processor's adders busy; rounding may carry a cosine past 1, so it is held there. */
function dot(a: Float32Array, slab: Float32Array, from: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const { length } = a
  let i = 0
  for (; i + 3 < length; i += 4) {
    s0 += a[i]! * slab[from + i]!
    s1 += a[i + 1]! * slab[from + i + 1]!
    s2 += a[i + 2]! * slab[from + i + 2]!
    s3 += a[i + 3]! * slab[from + i + 3]!
  }
  for (; i < length; i++) s0 += a[i]! * slab[from + i]!
  return Math.max(-1, Math.min(1, s0 + s1 + s2 + s3))
}

/** The k best so far, the worst of them on top of a heap. */
class BestHits {
  private readonly k: number
  private readonly heap: SlabHit[] = []

  constructor(k: number) {
    this.k = k
  }

  offer(id: PointId, score: number): void {
    const { heap } = this
    if (heap.length < this.k) {
      heap.push({ id, score })
      this.up(heap.length - 1)
      return
    }
    const worst = heap[0]!
    if (score < worst.score || (score === worst.score && id > worst.id)) return
    heap[0] = { id, score }
    this.down()
  }

  sorted(): SlabHit[] {
    return this.heap.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
  }

  private up(from: number): void {
    const { heap } = this
    for (let i = from; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!isWorse(heap[i]!, heap[parent]!)) return
      this.swap(i, parent)
      i = parent
    }
  }

  private down(): void {
    const { heap } = this
    for (let i = 0; ; ) {
      let worst = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && isWorse(heap[child]!, heap[worst]!)) worst = child
      if (worst === i) return
      this.swap(i, worst)
      i = worst
    }
  }

  private swap(i: number, j: number): void {
    const held = this.heap[i]!
    this.heap[i] = this.heap[j]!
    this.heap[j] = held
  }
}

function isWorse(a: SlabHit, b: SlabHit): boolean {
  return a.score < b.score || (a.score === b.score && a.id > b.id)
}
