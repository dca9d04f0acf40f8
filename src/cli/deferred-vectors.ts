/** A store of vectors that needn't be reachable yet: until it is, every call says so, and whoever called tries again. */

import type { UnavailableError } from '../errors.ts'
import type { VectorStore } from '../vectors/vector-store.ts'

export class DeferredVectorStore implements VectorStore {
  private store: VectorStore | undefined
  private why: UnavailableError

  constructor(why: UnavailableError) {
    this.why = why
  }

  /** From here on calls go through. */
  reached(store: VectorStore): void {
    this.store = store
  }

  /** Why it can't be reached, as of the last attempt. */
  unreached(why: UnavailableError): void {
    this.why = why
  }

  get isReached(): boolean {
    return this.store !== undefined
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
  upsert: VectorStore['upsert'] = async (name, version, points) => this.there.upsert(name, version, points)
  get: VectorStore['get'] = async (name, ids, names) => this.there.get(name, ids, names)
  purgeStubs: VectorStore['purgeStubs'] = async (name, beforeMs) => this.there.purgeStubs(name, beforeMs)
  search: VectorStore['search'] = async (name, query) => this.there.search(name, query)
  differences: VectorStore['differences'] = async (name) => this.there.differences(name)
  mend: VectorStore['mend'] = async (name) => this.there.mend(name)
  alias: VectorStore['alias'] = async (alias) => this.there.alias(alias)
  setAlias: VectorStore['setAlias'] = async (alias, name) => this.there.setAlias(alias, name)
  close: VectorStore['close'] = async () => this.store?.close()

  private get there(): VectorStore {
    if (this.store === undefined) throw this.why
    return this.store
  }
}
