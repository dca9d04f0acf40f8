/** `VectorStore` on a Qdrant server: one collection per group and model, whole points, every write fenced. */

import { BugError } from '../../errors.ts'
import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import type { Clock } from '../../pipeline/clock.ts'
import type {
  AliasName,
  CollectionInfo,
  CollectionName,
  CollectionSpec,
  Difference,
  Hit,
  Point,
  PointId,
  RefusedPoint,
  SearchQuery,
  StoredPoint,
  VectorStore,
  WriteVersion,
} from '../../vectors/vector-store.ts'
import type { QdrantSettings } from './qdrant-settings.ts'

const nothing = (..._: unknown[]): never => {
  throw new BugError('invariant', 'this driver is being written')
}

export class QdrantVectorStore implements VectorStore {
  constructor(settings: QdrantSettings, clock: Clock) {
    void [settings, clock]
  }

  collections = async (): Promise<CollectionInfo[]> => nothing()
  ensureCollection = async (spec: CollectionSpec): Promise<void> => nothing(spec)
  dropCollection = async (name: CollectionName): Promise<void> => nothing(name)
  ensureVectorNames = async (name: CollectionName, names: readonly VectorName[]): Promise<void> =>
    nothing(name, names)
  dropVectorNames = async (name: CollectionName, names: readonly VectorName[]): Promise<void> =>
    nothing(name, names)
  readerNames = async (name: CollectionName): Promise<ReadonlyMap<InstructionId, VectorName>> => nothing(name)
  setReaderNames = async (
    name: CollectionName,
    readers: ReadonlyMap<InstructionId, VectorName>,
  ): Promise<void> => nothing(name, readers)
  upsert = async (
    name: CollectionName,
    version: WriteVersion,
    points: readonly Point[],
  ): Promise<RefusedPoint[]> => nothing(name, version, points)
  get = async (
    name: CollectionName,
    ids: readonly PointId[],
    vectorNames?: readonly VectorName[],
  ): Promise<Map<PointId, StoredPoint>> => nothing(name, ids, vectorNames)
  purgeStubs = async (name: CollectionName, beforeMs: number): Promise<number> => nothing(name, beforeMs)
  search = async (name: CollectionName, query: SearchQuery): Promise<Hit[]> => nothing(name, query)
  differences = async (name: CollectionName): Promise<Difference[]> => nothing(name)
  mend = async (name: CollectionName): Promise<void> => nothing(name)
  alias = async (alias: AliasName): Promise<CollectionName | null> => nothing(alias)
  setAlias = async (alias: AliasName, name: CollectionName): Promise<void> => nothing(alias, name)
  close = async (): Promise<void> => {}
}
