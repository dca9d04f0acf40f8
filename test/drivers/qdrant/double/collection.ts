/** One collection: its settings, its vector names, its points, and the writes that were only acknowledged. */

import type {
  CreateCollectionBody,
  IndexSchema,
  UpdateCollectionBody,
  VectorNameBody,
  VectorParams,
} from './collection-schemas.ts'
import { sameId } from './filter.ts'
import { Refusal } from './refusal.ts'
import type { Payload, PointId } from './request-schemas.ts'

export interface StoredPoint {
  id: PointId
  payload: Payload
  vectors: Map<string, Float32Array>
  /** Number of the operation that wrote it. */
  version: number
}

type Settings = Record<string, unknown>

const HNSW: Settings = {
  m: 16,
  ef_construct: 100,
  full_scan_threshold: 10_000,
  max_indexing_threads: 0,
  on_disk: false,
}

const OPTIMIZERS: Settings = {
  deleted_threshold: 0.2,
  vacuum_min_vector_number: 1000,
  default_segment_number: 0,
  max_segment_size: null,
  memmap_threshold: null,
  indexing_threshold: 10_000,
  flush_interval_sec: 5,
  max_optimization_threads: null,
  prevent_unoptimized: null,
}

const WAL: Settings = { wal_capacity_mb: 32, wal_segments_ahead: 0, wal_retain_closed: 1 }

/** A field that isn't given, or is null, leaves what there was. */
function merged<T extends object>(base: T, diff: Settings | null | undefined): T {
  const given = Object.entries(diff ?? {}).filter(([, value]) => value != null)
  return { ...base, ...Object.fromEntries(given) }
}

const NAME_BYTES_MAX = 200
const FORBIDDEN = [...'<>:"/\\|?*', '\0', '\u001f']

export class Collection {
  readonly name: string
  readonly vectors = new Map<string, VectorParams>()
  readonly points = new Map<PointId, StoredPoint>()
  /** By its type alone, or with settings. */
  readonly indexes = new Map<string, IndexSchema | IndexSchema['type']>()
  hnsw: Settings
  optimizers: Settings
  readonly wal: Settings
  params: Settings
  quantization: unknown
  strictMode: Settings | null
  metadata: Payload | null
  #operation = 0
  #acknowledged: (() => void)[] = []

  constructor(name: string, body: CreateCollectionBody) {
    this.name = name
    for (const [vectorName, params] of Object.entries(body.vectors ?? {})) {
      const invalid = (why: string) =>
        new Refusal('bad-input', `Invalid dense vector name \`${vectorName}\`: ${why}`)
      checkVectorName(vectorName, invalid)
      this.vectors.set(vectorName, params)
    }
    this.hnsw = merged(HNSW, body.hnsw_config)
    this.optimizers = mergedOptimizers(OPTIMIZERS, body.optimizers_config)
    this.wal = merged(WAL, body.wal_config)
    this.params = merged(
      { shard_number: 1, replication_factor: 1, write_consistency_factor: 1, on_disk_payload: true },
      {
        shard_number: body.shard_number,
        replication_factor: body.replication_factor,
        write_consistency_factor: body.write_consistency_factor,
        on_disk_payload: body.on_disk_payload,
        payload: body.payload,
      },
    )
    this.quantization = body.quantization_config ?? null
    this.strictMode = body.strict_mode_config == null ? null : merged({}, body.strict_mode_config)
    this.metadata = body.metadata ?? null
  }

  update(body: UpdateCollectionBody): void {
    for (const name of Object.keys(body.vectors ?? {})) this.vector(name)
    this.optimizers = mergedOptimizers(this.optimizers, body.optimizers_config)
    this.params = merged(this.params, body.params)
    this.hnsw = merged(this.hnsw, body.hnsw_config)
    for (const [name, diff] of Object.entries(body.vectors ?? {})) this.#tuneVector(name, diff)
    if (body.quantization_config != null)
      this.quantization = body.quantization_config === 'Disabled' ? null : body.quantization_config
    if (body.strict_mode_config != null)
      this.strictMode = merged(this.strictMode ?? {}, body.strict_mode_config)
    if (body.metadata != null) this.metadata = mergedMetadata(this.metadata, body.metadata)
  }

  #tuneVector(name: string, diff: NonNullable<UpdateCollectionBody['vectors']>[string]): void {
    const { hnsw_config: hnsw, quantization_config: quantization, ...rest } = diff
    const params = merged(this.vector(name), rest)
    if (hnsw != null) params.hnsw_config = merged(params.hnsw_config ?? {}, hnsw)
    if (quantization === 'Disabled') delete params.quantization_config
    else if (quantization != null) params.quantization_config = quantization
    this.vectors.set(name, params)
  }

  /** @throws {Refusal} 400 `Not existing vector name error` */
  vector(name: string): VectorParams {
    const params = this.vectors.get(name)
    if (params === undefined) throw new Refusal('bad-input', `Not existing vector name error: ${name}`)
    return params
  }

  addVectorName(name: string, { dense }: VectorNameBody): void {
    const existing = this.vectors.get(name)
    if (existing === undefined) {
      this.vectors.set(name, dense)
      return
    }
    const same =
      existing.size === dense.size &&
      existing.distance === dense.distance &&
      (existing.datatype ?? null) === (dense.datatype ?? null)
    if (!same)
      throw new Refusal('bad-input', `Vector \`${name}\` already exists with a different configuration`)
  }

  /** Its vectors go with it: made anew under the same name it is empty. */
  dropVectorName(name: string): void {
    this.vectors.delete(name)
    for (const point of this.points.values()) point.vectors.delete(name)
  }

  point(id: PointId): StoredPoint | undefined {
    return this.points.get(sameId(id))
  }

  /** @param wait false: it stays unseen until the next write, for a reply `acknowledged` promises no more */
  write(wait: boolean, apply: (operation: number) => void): { operation_id: number; status: string } {
    const operation = ++this.#operation
    if (wait) {
      this.settle()
      apply(operation)
      return { operation_id: operation, status: 'completed' }
    }
    // What fails now is only in a server's log.
    this.#acknowledged.push(() => {
      try {
        apply(operation)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    })
    return { operation_id: operation, status: 'acknowledged' }
  }

  /** Applies what was only acknowledged. */
  settle(): void {
    const waiting = this.#acknowledged
    this.#acknowledged = []
    for (const apply of waiting) apply()
  }
}

/** `auto` is how the number of threads is set back to none. */
function mergedOptimizers(base: Settings, diff: Settings | null | undefined): Settings {
  const next = merged(base, diff)
  return next.max_optimization_threads === 'auto' ? { ...next, max_optimization_threads: null } : next
}

/** Keys are replaced, and removed by null; nulls of the first metadata are kept as they are. */
function mergedMetadata(existing: Payload | null, given: Payload): Payload {
  if (existing === null) return given
  const kept = Object.entries({ ...existing, ...given }).filter(([key]) => given[key] !== null)
  return Object.fromEntries(kept)
}

/** @param refuse the refusal for a reason */
export function checkVectorName(name: string, refuse: (why: string) => Refusal): void {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX)
    throw refuse(`vector name must be at most ${NAME_BYTES_MAX} bytes long`)
  checkCharacters(name, 'vector name', refuse)
}

/** Names become folders on the server's disk. */
export function checkCharacters(name: string, kind: string, refuse: (why: string) => Refusal): void {
  const found = FORBIDDEN.find((character) => name.includes(character))
  if (found !== undefined) throw refuse(`${kind} cannot contain "${found}" char`)
}
