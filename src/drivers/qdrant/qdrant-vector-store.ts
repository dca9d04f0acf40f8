/** `VectorStore` on a Qdrant server: one collection per group and model, whole points, every write fenced. */

import { BugError, ConfigError, RequestError } from '../../errors.ts'
import type { TenantId, UserId } from '../../events/ids.ts'
import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { type CollectionShape, checkedPoints, checkQuery } from '../../vectors/checks.ts'
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
import { refusedRequest } from './answers.ts'
import { upsertAll } from './bulk-upsert.ts'
import { lackingFilter, oldStubFilter, toDeleteBy } from './point-filters.ts'
import { readPoints } from './point-reads.ts'
import { PointSearch } from './point-search.ts'
import type { PointBatch, PointWriter } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import type { RestClient } from './rest-client.ts'
import { type OwnCollection, ServerCollections } from './server-collections.ts'
import { localName, serverName } from './server-names.ts'

interface StoreParts {
  settings: QdrantSettings
  clock: Clock
  rest: RestClient
  writer: PointWriter
  server: ServerFacts
}

/** What was found out of the server when it was opened. */
export interface ServerFacts {
  version: string
  /** False: the key is for some collections only, and can make neither these nor aliases. */
  mayManage: boolean
}

/** UUIDv5 never gives this id. */
const NOBODY: Point = {
  kind: 'stub',
  id: '00000000-0000-0000-0000-000000000000' as PointId,
  userId: 'nobody' as UserId,
  tenantId: 'nobody' as TenantId,
}

export class QdrantVectorStore implements VectorStore {
  private readonly parts: StoreParts
  private readonly catalogue: ServerCollections
  private readonly searcher: PointSearch
  /** What a collection looked like when it was last looked at; another process may have changed it since. */
  private readonly seen = new Map<CollectionName, OwnCollection>()

  constructor(parts: StoreParts) {
    this.parts = parts
    this.catalogue = new ServerCollections(parts.rest, parts.settings)
    this.searcher = new PointSearch(parts.rest, parts.settings)
  }

  get server(): ServerFacts {
    return this.parts.server
  }

  collections(): Promise<CollectionInfo[]> {
    return this.catalogue.infos()
  }

  async ensureCollection(spec: CollectionSpec): Promise<void> {
    this.seen.set(spec.name, await this.catalogue.ensure(spec))
  }

  async dropCollection(name: CollectionName): Promise<void> {
    this.seen.delete(name)
    await this.catalogue.drop(name)
  }

  async ensureVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    await this.catalogue.addVectorNames(await this.look(name), vectorNames)
    this.seen.delete(name)
  }

  async dropVectorNames(name: CollectionName, vectorNames: readonly VectorName[]): Promise<void> {
    await this.catalogue.dropVectorNames(await this.look(name), vectorNames)
    this.seen.delete(name)
  }

  async readerNames(name: CollectionName): Promise<ReadonlyMap<InstructionId, VectorName>> {
    return (await this.look(name)).readerNames
  }

  setReaderNames(name: CollectionName, readerNames: ReadonlyMap<InstructionId, VectorName>): Promise<void> {
    return this.catalogue.setReaderNames(name, readerNames)
  }

  async upsert(
    name: CollectionName,
    version: WriteVersion,
    points: readonly Point[],
  ): Promise<RefusedPoint[]> {
    const { settings, clock, writer } = this.parts
    const { collection, result } = await this.checked(name, (seen) => checkedPoints(shapeOf(seen), points))
    const batch = {
      collection: collection.server,
      version,
      writtenAtMs: clock.nowMs(),
      points: result.points,
    }
    const refused = await upsertAll(writer, batch, settings, () => this.checkTaken(batch))
    return [...result.refused, ...refused]
  }

  async get(
    name: CollectionName,
    ids: readonly PointId[],
    vectorNames?: readonly VectorName[],
  ): Promise<Map<PointId, StoredPoint>> {
    const { rest, settings } = this.parts
    const read = async (collection: OwnCollection) => {
      const { vectorNames: known } = collection
      const wanted = vectorNames === undefined ? null : vectorNames.filter((one) => known.has(one))
      return await readPoints(rest, collection, ids, wanted, settings)
    }
    try {
      const seen = this.seen.get(name)
      const hasAll = seen !== undefined && (vectorNames ?? []).every((one) => seen.vectorNames.has(one))
      return await read(hasAll ? seen : await this.look(name))
    } catch (error) {
      // A name was dropped since we looked.
      if (!isVectorNameUnknown(error)) throw error
      return await read(await this.look(name))
    }
  }

  async lacks(name: CollectionName, vectorName: VectorName): Promise<boolean> {
    const { server, vectorNames } = await this.look(name)
    return this.catalogue.holdsAny(server, lackingFilter(vectorNames.has(vectorName) ? vectorName : null))
  }

  /** V3. @returns how many such stubs there were just before; one may be filled or come before they are deleted */
  async purgeStubs(name: CollectionName, writtenBeforeMs: number): Promise<number> {
    const collection_name = this.catalogue.serverName(name)
    const filter = oldStubFilter(writtenBeforeMs)
    const count = await this.catalogue.count(collection_name, filter, true)
    // A delete by filter waits for every write of its shard: not for nothing.
    if (count === 0) return 0
    const { rest, settings } = this.parts
    const body = { collection_name, filter: toDeleteBy(filter), wait: true, ordering: settings.writeOrdering }
    await rest.result({ what: 'purge stubs', collection: collection_name }, (api, init) =>
      api.deletePoints(body, init),
    )
    return count
  }

  async search(name: CollectionName, query: SearchQuery): Promise<Hit[]> {
    const { collection } = await this.checked(name, (seen) => checkQuery(shapeOf(seen), query))
    try {
      return await this.searcher.search(collection.server, query)
    } catch (error) {
      if (!isVectorNameUnknown(error)) throw error
      throw new RequestError('search-vector-name', error.message, { status: 404, cause: error })
    }
  }

  differences(name: CollectionName): Promise<Difference[]> {
    return this.catalogue.differences(name)
  }

  async mend(name: CollectionName): Promise<void> {
    await this.catalogue.mend(name)
  }

  async alias(alias: AliasName): Promise<CollectionName | null> {
    const { rest, settings } = this.parts
    const alias_name = serverName(settings.prefix, alias)
    const asked = { what: `read the alias ${alias_name}`, collection: null }
    const { aliases } = await rest.result(asked, (api, init) => api.getCollectionsAliases({}, init))
    const found = aliases.find((one) => one.alias_name === alias_name)
    return found === undefined ? null : localName(settings.prefix, found.collection_name)
  }

  /**
   * One action: it re-points an alias that is there. To delete it first would be as atomic for readers, but where the
   * new collection is missing the deletion stays done.
   */
  async setAlias(alias: AliasName, name: CollectionName): Promise<void> {
    const { rest, settings } = this.parts
    const collection_name = this.catalogue.serverName(name)
    const alias_name = serverName(settings.prefix, alias)
    const asked = { what: `set the alias ${alias_name}`, collection: collection_name }
    const actions = [{ create_alias: { collection_name, alias_name } }]
    await rest.result(asked, (api, init) => api.updateAliases({ actions }, init))
  }

  /** What whoever writes has noted on each collection; null: nothing. */
  notes(): Promise<Map<CollectionName, string | null>> {
    return this.catalogue.notes()
  }

  /** The note of collections that are made from now on. */
  noteNew(note: string): void {
    this.catalogue.noteNew(note)
  }

  /** Whether any point bears the version, or a newer one. */
  holdsSince(name: CollectionName, version: WriteVersion): Promise<boolean> {
    return this.catalogue.holdsSince(name, version)
  }

  /** Puts a note on every collection there is. @throws {ConfigError} `qdrant-key-rights`, `qdrant-key-read-only` */
  noteAll(note: string): Promise<void> {
    return this.catalogue.noteAll(note)
  }

  async close(): Promise<void> {
    await this.parts.writer.close()
    await this.parts.rest.close()
  }

  /** Looks at the server. @throws {ConfigError} `collection-missing`, `collection-foreign` */
  private async look(name: CollectionName): Promise<OwnCollection> {
    this.seen.delete(name)
    const collection = await this.catalogue.existing(name)
    this.seen.set(name, collection)
    return collection
  }

  /** Checks by the collection as it was last seen; where that fails it is looked at again before anybody is blamed. */
  private async checked<T>(
    name: CollectionName,
    check: (collection: OwnCollection) => T,
  ): Promise<{ collection: OwnCollection; result: T }> {
    const seen = this.seen.get(name)
    if (seen !== undefined) {
      try {
        return { collection: seen, result: check(seen) }
      } catch (error) {
        if (error instanceof BugError) throw error
      }
    }
    const collection = await this.look(name)
    return { collection, result: check(collection) }
  }

  /**
   * Writes nothing: a stub of nobody, if nobody is there; over the same way that was refused, for another may do.
   *
   * @throws {ConfigError} `qdrant-refused` when even that is refused
   */
  private async checkTaken(batch: PointBatch): Promise<void> {
    const outcome = await this.parts.writer.write({ ...batch, points: [NOBODY], onlyExisting: true })
    if (outcome.kind === 'written') return
    if (outcome.kind === 'cut-off') throw outcome.error
    throw refusedRequest({ what: 'write points', collection: batch.collection }, outcome.reason)
  }
}

function shapeOf({ spec, vectorNames }: OwnCollection): CollectionShape {
  const hasVectorName = (name: VectorName) => vectorNames.has(name)
  return { name: spec.name, dimensions: spec.dimensions, hasVectorName }
}

function isVectorNameUnknown(error: unknown): error is ConfigError {
  return error instanceof ConfigError && error.code === 'vector-name-unknown'
}
