/** Collections on the server: which are ours, what they are for, and how they come, change and go. */

import type { Schemas } from '@qdrant/js-client-rest'
import { ConfigError } from '../../errors.ts'
import type { InstructionId, VectorName } from '../../instructions/instruction.ts'
import { checkSameCollection } from '../../vectors/checks.ts'
import type {
  CollectionInfo,
  CollectionName,
  CollectionSpec,
  Difference,
  WriteVersion,
} from '../../vectors/vector-store.ts'
import { collectionMissing, errorOf, type Verdict } from './answers.ts'
import { creation, differences, mendingPatch, vectorCreation } from './collection-config.ts'
import { missingIndexes, PAYLOAD_INDEXES } from './payload-indexes.ts'
import { sinceFilter, stubFilter } from './point-filters.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import type { RestClient } from './rest-client.ts'
import { checkVectorName, localName, type ServerName, serverName } from './server-names.ts'

type Info = Schemas['CollectionInfo']

/**
 * Keys in a collection's metadata. A PATCH replaces whole keys and leaves the others alone, so what never changes has
 * one and what does has another: whoever writes readers' names can't undo what the collection is for.
 */
const SPEC_KEY = 'freshet'
const READERS_KEY = 'freshet_readers'
/** Of whoever writes there: whose it is, and as of when. */
const NOTE_KEY = 'freshet_writer'

/** Above this an exact count would read the ids of all points. Guess. */
const EXACT_COUNT_MAX = 100_000

/** An index over the points of a filled collection takes as long as it takes. */
const INDEX_MS_MAX = 600_000

/** A collection of ours, as the server has it. */
export interface OwnCollection {
  server: ServerName
  spec: CollectionSpec
  readerNames: ReadonlyMap<InstructionId, VectorName>
  vectorNames: ReadonlySet<VectorName>
  info: Info
}

export class ServerCollections {
  private readonly rest: RestClient
  private readonly settings: Pick<QdrantSettings, 'prefix' | 'timeoutMs' | 'collection' | 'writeOrdering'>
  private noteOfNew: string | undefined

  constructor(rest: RestClient, settings: QdrantSettings) {
    this.rest = rest
    this.settings = settings
  }

  serverName(name: CollectionName): ServerName {
    return serverName(this.settings.prefix, name)
  }

  /** Those of this environment that freshet made; what others keep on the server is not looked at. */
  async infos(): Promise<CollectionInfo[]> {
    const infos = await Promise.all((await this.all()).map((found) => this.info(found)))
    return infos.filter((info) => info !== null)
  }

  private async all(): Promise<OwnCollection[]> {
    const asked = { what: 'list collections', collection: null }
    const { collections } = await this.rest.result(asked, (api, init) => api.getCollections({}, init))
    const names = collections.flatMap(({ name }) => localName(this.settings.prefix, name) ?? [])
    const found = await Promise.all(names.sort().map((name) => this.find(name)))
    return found.filter((one) => one !== null && one !== 'foreign')
  }

  /** @returns null where it was dropped while it was looked at */
  private async info(found: OwnCollection): Promise<CollectionInfo | null> {
    const { spec, readerNames, vectorNames, info, server } = found
    const isExact = (info.points_count ?? 0) <= EXACT_COUNT_MAX
    try {
      const stubs = await this.count(server, stubFilter(), isExact)
      const all = isExact ? await this.count(server, undefined, true) : (info.points_count ?? 0)
      const points = Math.max(0, all - stubs)
      return { ...spec, vectorNames: [...vectorNames], readerNames, points, stubs }
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }

  async count(server: ServerName, filter: Schemas['Filter'] | undefined, exact: boolean): Promise<number> {
    const asked = { what: 'count points', collection: server }
    const body = { collection_name: server, exact, ...(filter === undefined ? {} : { filter }) }
    return (await this.rest.result(asked, (api, init) => api.countPoints(body, init))).count
  }

  /** @throws {ConfigError} `collection-missing`, `collection-foreign` */
  async existing(name: CollectionName): Promise<OwnCollection> {
    return this.owned(name, await this.find(name))
  }

  private owned(name: CollectionName, found: OwnCollection | 'foreign' | null): OwnCollection {
    if (found === 'foreign') throw foreign(this.serverName(name))
    if (found !== null) return found
    throw collectionMissing({ what: '', collection: this.serverName(name) }, 'none')
  }

  /** Creates it with its indexes, or checks that it is the same. @throws {ConfigError} `collection-mismatch`, `collection-foreign` */
  async ensure(spec: CollectionSpec): Promise<OwnCollection> {
    let looked = await this.find(spec.name)
    if (looked === null) {
      await this.create(spec)
      looked = await this.find(spec.name)
    }
    const found = this.owned(spec.name, looked)
    checkSameCollection(found.spec, spec)
    checkVectors(found)
    // A crash between the creation and its indexes; with points in it, making them is the operator's to begin.
    if ((found.info.points_count ?? 0) === 0) await this.createIndexes(found, this.settings.timeoutMs)
    return found
  }

  private async create(spec: CollectionSpec): Promise<void> {
    const server = this.serverName(spec.name)
    const asked = { what: 'create', collection: server }
    const note = this.noteOfNew === undefined ? {} : { [NOTE_KEY]: this.noteOfNew }
    const metadata = { [SPEC_KEY]: spec, ...note }
    const body = { collection_name: server, ...creation(this.settings.collection, metadata) }
    const verdict = await this.rest.ask(asked, (api, init) => api.createCollection(body, init))
    // Another process may have been faster; what it made is looked at like any other.
    if (verdict.kind !== 'done' && !isAlreadyThere(verdict)) throw errorOf(asked, verdict)
  }

  /** Nothing happens where there is none. @throws {ConfigError} `collection-foreign` */
  async drop(name: CollectionName): Promise<void> {
    const found = await this.find(name)
    if (found === null) return
    if (found === 'foreign') throw foreign(this.serverName(name))
    const { server } = found
    const asked = { what: 'drop', collection: server }
    const call = { collection_name: server }
    await this.rest.result(asked, (api, init) => api.deleteCollection(call, init))
  }

  async addVectorNames(collection: OwnCollection, names: readonly VectorName[]): Promise<void> {
    const missing = [...new Set(names)].filter((name) => !collection.vectorNames.has(name))
    for (const name of names) checkVectorName(name)
    const { server, spec } = collection
    const { collection: settings, writeOrdering: ordering } = this.settings
    for (const name of missing) {
      const asked = { what: `create the vector name ${name}`, collection: server }
      const path = { collection_name: server, vector_name: name, wait: true, ordering }
      const body = { ...path, ...vectorCreation(settings, spec) }
      await this.rest.result(asked, (api, init) => api.createVectorName(body, init))
    }
    // What else a name has it takes from the collection, but for where it is kept: that is ignored at its creation.
    if (settings.onDisk && missing.length > 0)
      await this.patch(server, {
        vectors: Object.fromEntries(missing.map((name) => [name, { on_disk: true }])),
      })
  }

  async dropVectorNames(collection: OwnCollection, names: readonly VectorName[]): Promise<void> {
    for (const name of names) checkVectorName(name)
    const { server } = collection
    for (const name of new Set(names)) {
      if (!collection.vectorNames.has(name)) continue
      const asked = { what: `drop the vector name ${name}`, collection: server }
      const path = { collection_name: server, vector_name: name, wait: true }
      const { writeOrdering: ordering } = this.settings
      const body = { ...path, ordering }
      await this.rest.result(asked, (api, init) => api.deleteVectorName(body, init))
    }
  }

  async setReaderNames(name: CollectionName, readers: ReadonlyMap<InstructionId, VectorName>): Promise<void> {
    const { server } = await this.existing(name)
    await this.patch(server, { metadata: { [READERS_KEY]: Object.fromEntries(readers) } })
  }

  /** What whoever writes has noted on each collection of this environment; null: nothing. */
  async notes(): Promise<Map<CollectionName, string | null>> {
    const found = await this.all()
    return new Map(
      found.map(({ spec, info }) => {
        const note = (info.config.metadata as Record<string, unknown> | undefined)?.[NOTE_KEY]
        return [spec.name, typeof note === 'string' ? note : null]
      }),
    )
  }

  /** The note of those that are made from now on. */
  noteNew(note: string): void {
    this.noteOfNew = note
  }

  /** Whether any point bears the version, or a newer one: where none does, the points are of a former time. */
  async holdsSince(name: CollectionName, version: WriteVersion): Promise<boolean> {
    const { server } = await this.existing(name)
    return this.holdsAny(server, sinceFilter(version))
  }

  /** Whether any point passes the filter. */
  async holdsAny(server: ServerName, filter: Schemas['Filter']): Promise<boolean> {
    const asked = { what: 'look for points', collection: server }
    const body = { filter, limit: 1, with_payload: false, with_vector: false }
    const { points } = await this.rest.result<Schemas['ScrollResult']>(asked, (api, init) =>
      api.scrollPoints({ collection_name: server, ...body }, init),
    )
    return points.length > 0
  }

  async noteAll(note: string): Promise<void> {
    for (const { server } of await this.all())
      try {
        await this.patch(server, { metadata: { [NOTE_KEY]: note } })
      } catch (error) {
        // Dropped since it was listed: there is nothing left to note it on.
        if (!(error instanceof ConfigError && error.code === 'collection-missing')) throw error
      }
  }

  async differences(name: CollectionName): Promise<Difference[]> {
    const { info } = await this.existing(name)
    return differences(this.settings.collection, info)
  }

  async mend(name: CollectionName): Promise<void> {
    const found = await this.existing(name)
    await this.createIndexes(found, Math.max(this.settings.timeoutMs, INDEX_MS_MAX))
    const patch = mendingPatch(this.settings.collection, found.info)
    if (patch !== null) await this.patch(found.server, patch)
  }

  private async createIndexes({ server, info }: OwnCollection, timeoutMs: number): Promise<void> {
    const { writeOrdering: ordering } = this.settings
    for (const field of missingIndexes(info.payload_schema)) {
      const asked = { what: `create the index on ${field}`, collection: server }
      const field_schema = PAYLOAD_INDEXES[field]!
      const body = { collection_name: server, field_name: field, field_schema, wait: true, ordering }
      await this.rest.result(asked, (api, init) => api.createFieldIndex(body, init), timeoutMs)
    }
  }

  private async patch(server: ServerName, patch: Schemas['UpdateCollection']): Promise<void> {
    const asked = { what: 'change settings', collection: server }
    const body = { collection_name: server, ...patch }
    await this.rest.result(asked, (api, init) => api.updateCollection(body, init))
  }

  /** @returns null: there is none; `foreign`: somebody else's under our name */
  private async find(name: CollectionName): Promise<OwnCollection | 'foreign' | null> {
    const server = this.serverName(name)
    const asked = { what: 'read the settings', collection: server }
    const verdict = await this.rest.ask(asked, (api, init) =>
      api.getCollection({ collection_name: server }, init),
    )
    if (verdict.kind === 'error' && isMissing(verdict.error)) return null
    if (verdict.kind !== 'done') throw errorOf(asked, verdict)
    const info = verdict.result as Info
    const metadata: Record<string, unknown> = info.config.metadata ?? {}
    const spec = metadata[SPEC_KEY] as CollectionSpec | undefined
    if (spec?.name !== name) return 'foreign'
    const readers = (metadata[READERS_KEY] ?? {}) as Record<InstructionId, VectorName>
    return {
      server,
      spec,
      readerNames: new Map(Object.entries(readers) as [InstructionId, VectorName][]),
      vectorNames: new Set(Object.keys(info.config.params.vectors ?? {}).sort() as VectorName[]),
      info,
    }
  }
}

/** What the metadata says counts for nothing if somebody made its vectors by hand. @throws {ConfigError} `collection-mismatch` */
function checkVectors({ server, spec, info }: OwnCollection): void {
  const vectors = Object.entries(
    (info.config.params.vectors ?? {}) as Record<string, Schemas['VectorParams']>,
  )
  for (const [name, { size, distance }] of vectors)
    if (size !== spec.dimensions || distance !== 'Cosine')
      throw new ConfigError(
        'collection-mismatch',
        `expected vectors of ${spec.dimensions} dimensions compared by Cosine in collection ${server}, got ${name} with ${size} by ${distance}: delete that vector name, or set another vectors.qdrant.prefix`,
      )
}

function isMissing(error: unknown): boolean {
  return error instanceof ConfigError && error.code === 'collection-missing'
}

/** @returns whether a creation found that it is there: 409, in older servers 400 */
function isAlreadyThere(verdict: Verdict): boolean {
  return verdict.kind === 'exists' || (verdict.kind === 'refused' && /already exists/.test(verdict.reason))
}

function foreign(server: ServerName): ConfigError {
  return new ConfigError(
    'collection-foreign',
    `expected collection ${server} to be one that freshet made, got one without its metadata: delete or rename it, or set another vectors.qdrant.prefix`,
  )
}
