/** A store of vectors that needn't be reachable yet: until it is, every call says so, and whoever called tries again. */

import type { UnavailableError } from '../errors.ts'
import type { CollectionName, Point, VectorStore, WriteVersion } from '../vectors/vector-store.ts'

export class DeferredVectorStore implements VectorStore {
  /** By collection, the newest version under which vectors are known to have been written. */
  readonly written = new Map<CollectionName, WriteVersion>()

  private store: VectorStore | undefined
  private why: UnavailableError

  constructor(why: UnavailableError) {
    this.why = why
  }

  /** From here on calls go through. @param written what was written before */
  reached(store: VectorStore, written: ReadonlyMap<CollectionName, WriteVersion>): void {
    this.store = store
    for (const [name, version] of written) this.note(name, version)
  }

  /** Why it can't be reached, as of the last attempt. */
  unreached(why: UnavailableError): void {
    this.why = why
  }

  collections: VectorStore['collections'] = async () => this.there.collections()
  ensureCollection: VectorStore['ensureCollection'] = async (spec) => this.there.ensureCollection(spec)
  dropCollection: VectorStore['dropCollection'] = async (name) => this.there.dropCollection(name)
  ensureVectorNames: VectorStore['ensureVectorNames'] = async (name, names) =>
    this.there.ensureVectorNames(name, names)
  dropVectorNames: VectorStore['dropVectorNames'] = async (name, names) =>
    this.there.dropVectorNames(name, names)
  readerNames: VectorStore['readerNames'] = async (name) => this.there.readerNames(name)
  setReaderNames: VectorStore['setReaderNames'] = async (name, names) =>
    this.there.setReaderNames(name, names)
  upsert: VectorStore['upsert'] = async (name, version, points) => {
    const refused = await this.there.upsert(name, version, points)
    const isWritten = ({ kind, id }: Point) => kind === 'vectors' && !refused.some((one) => one.id === id)
    // Stubs are purged one day, so that they would not be found again.
    if (points.some(isWritten)) this.note(name, version)
    return refused
  }
  get: VectorStore['get'] = async (name, ids, names) => this.there.get(name, ids, names)
  lacks: VectorStore['lacks'] = async (name, vectorName) => this.there.lacks(name, vectorName)
  purgeStubs: VectorStore['purgeStubs'] = async (name, beforeMs) => this.there.purgeStubs(name, beforeMs)
  search: VectorStore['search'] = async (name, query) => this.there.search(name, query)
  differences: VectorStore['differences'] = async (name) => this.there.differences(name)
  mend: VectorStore['mend'] = async (name) => this.there.mend(name)
  alias: VectorStore['alias'] = async (alias) => this.there.alias(alias)
  setAlias: VectorStore['setAlias'] = async (alias, name) => this.there.setAlias(alias, name)
  close: VectorStore['close'] = async () => this.store?.close()

  private note(name: CollectionName, version: WriteVersion): void {
    const known = this.written.get(name)
    const isNewer =
      known === undefined ||
      known.epoch < version.epoch ||
      (known.epoch === version.epoch && known.write < version.write)
    if (isNewer) this.written.set(name, version)
  }

  private get there(): VectorStore {
    if (this.store === undefined) throw this.why
    return this.store
  }
}
