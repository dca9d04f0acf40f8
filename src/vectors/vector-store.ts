/** What is stored and how it is found: one collection per group and model, one whole point per user (design 7). */

import type { RecordError } from '../errors.ts'
import type { TenantId, UserId } from '../events/ids.ts'
import type { GroupName, InstructionId, VectorName } from '../instructions/instruction.ts'
import type { ModelId, Precision, Provider } from '../model/embedding-model.ts'

declare const brand: unique symbol
/** UUIDv5 of `tenant \0 user` in freshet's namespace. */
export type PointId = string & { readonly [brand]: 'PointId' }
/** `freshet_<group>_<modelId>`. */
export type CollectionName = string & { readonly [brand]: 'CollectionName' }
/** `freshet_<group>`. */
export type AliasName = string & { readonly [brand]: 'AliasName' }

/** A write's fencing version (V1): a point is replaced only by a higher epoch, or by the same with `write` not smaller. */
export interface WriteVersion {
  epoch: number
  write: number
}

export interface PointPayload {
  userId: UserId
  tenantId: TenantId
  segment: string | null
  /** Milliseconds; null when the window holds no event. */
  lastEventAtMs: number | null
  /** `YYYY-MM-DD`, UTC: the day as of which the window was read. */
  asOfDay: string
  inputHash: string
  model: ModelId
  /** Milliseconds; when the window will be empty by the horizon; null: never. */
  expiresAtMs: number | null
}

/** A whole point: all vectors of its group at once; a stub has none (V2). */
export type Point =
  | { kind: 'vectors'; id: PointId; payload: PointPayload; vectors: ReadonlyMap<VectorName, Float32Array> }
  | { kind: 'stub'; id: PointId; userId: UserId; tenantId: TenantId }

export interface CollectionSpec {
  name: CollectionName
  group: GroupName
  model: ModelId
  precision: Precision
  provider: Provider
  dimensions: number
  /** Days; null: no horizon. */
  horizonDays: number | null
}

export interface CollectionInfo extends CollectionSpec {
  vectorNames: VectorName[]
  /** Which vector a reader of an instruction gets; moved to a new text once it is back-filled. */
  readerNames: ReadonlyMap<InstructionId, VectorName>
  points: number
  stubs: number
}

export interface SearchFilter {
  tenantId?: TenantId
  segment?: string
  /** Only users whose last event is at or after this time, milliseconds. */
  lastEventSinceMs?: number
  /** Only users whose last event is before this time, milliseconds. */
  lastEventBeforeMs?: number
}

export interface SearchQuery {
  vectorName: VectorName
  /** Length `dimensions`, any norm > 0. */
  vector: Float32Array
  /** 1 to `K_MAX`. */
  k: number
  /** Hits that a page leaves out at the front; `offset + k` is at most `DEPTH_MAX`. Default 0. */
  offset?: number
  /** Compares every vector, whatever index there is: to measure recall. A store without an index always does. */
  exact?: boolean
  filter?: SearchFilter
  /** Left out of the answer, e.g. the user who asks. */
  exclude?: readonly PointId[]
  /** Cosine; lower scores are left out. */
  scoreThreshold?: number
}

export interface Hit {
  id: PointId
  /** Cosine, -1 to 1; ties by point id. */
  score: number
  payload: PointPayload
}

export interface StoredPoint {
  version: WriteVersion
  writtenAtMs: number
  point: Point
}

export const K_MAX = 1_000
/** Hits that pages reach: a store sorts all of them again for each page. */
export const DEPTH_MAX = 10_000

/** A point that the store will never take, however often it is sent. */
export interface RefusedPoint {
  id: PointId
  /** Whoever wrote the user's records must act. */
  error: RecordError
}

/** What a collection has otherwise than the settings want it. */
export interface Difference {
  /** E.g. `index on segment`, `hnsw.m`. */
  what: string
  wanted: string
  found: string
  /** False: only a collection made anew has it. */
  mendable: boolean
}

/** The store of vectors: drivers/sqlite or drivers/qdrant. One contract suite holds every implementation. */
export interface VectorStore {
  /** Every search compares every vector: there is no index that could miss one. Left out: there may be one. */
  readonly alwaysExact?: boolean
  collections(): Promise<CollectionInfo[]>
  /** Creates it, or checks that it is the same. @throws {ConfigError} `collection-mismatch` when it differs */
  ensureCollection(spec: CollectionSpec): Promise<void>
  dropCollection(name: CollectionName): Promise<void>
  ensureVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void>
  dropVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void>
  /** Which vector a reader of an instruction gets, at the cost of a look-up. @throws {ConfigError} `collection-missing` */
  readerNames(name: CollectionName): Promise<ReadonlyMap<InstructionId, VectorName>>
  setReaderNames(name: CollectionName, readerNames: ReadonlyMap<InstructionId, VectorName>): Promise<void>

  /**
   * Writes whole points under one version, fenced (V1); of one id listed twice the last counts.
   * Resolves when every point is durable and searchable, was refused by the fence, or is among the answer.
   *
   * @returns the points that the store will never take; none of them was written
   * @throws {UnavailableError} when the outcome is unknown
   * @throws {ConfigError} `collection-missing`, `vector-name-unknown`, `vector-dimension`
   * @throws {BugError} `vector-not-finite`, before anything is written
   */
  upsert(name: CollectionName, version: WriteVersion, points: readonly Point[]): Promise<RefusedPoint[]>
  /**
   * Reads points back; absent ids are absent from the map.
   *
   * @param vectorNames only these of each point's vectors; left out: all
   */
  get(
    name: CollectionName,
    ids: readonly PointId[],
    vectorNames?: readonly VectorName[],
  ): Promise<Map<PointId, StoredPoint>>
  /** Whether any point that has vectors has none of this name. May read all points. @throws {ConfigError} `collection-missing` */
  lacks(name: CollectionName, vectorName: VectorName): Promise<boolean>
  /** Purges stubs written before the given time by one delete with a filter (V3). @returns how many */
  purgeStubs(name: CollectionName, writtenBeforeMs: number): Promise<number>

  /** @returns hits by falling score; stubs and points without the name are never among them */
  search(name: CollectionName, query: SearchQuery): Promise<Hit[]>

  /** What `mend` would change, and what it could not. @throws {ConfigError} `collection-missing` */
  differences(name: CollectionName): Promise<Difference[]>
  /** Gives a collection the settings and indexes that it lacks, as far as that needs no new one. */
  mend(name: CollectionName): Promise<void>

  alias(alias: AliasName): Promise<CollectionName | null>
  /** Atomic for readers (V5). @throws {ConfigError} `collection-missing` */
  setAlias(alias: AliasName, name: CollectionName): Promise<void>
  close(): Promise<void>
}
