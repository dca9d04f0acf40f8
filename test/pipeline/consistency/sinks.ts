/** The store of vectors of the consistency model: plain maps here, or the Qdrant driver over its double (qdrant-sink.ts). */

import { ConfigError } from '../../../src/errors.ts'
import type {
  CollectionName,
  Point,
  PointId,
  VectorStore,
  WriteVersion,
} from '../../../src/vectors/vector-store.ts'

export interface StoredInSink {
  version: WriteVersion
  atMs: number
  point: Point
}

export type SinkContent = ReadonlyMap<string, ReadonlyMap<PointId, StoredInSink>>

/** What whoever runs the store does with it, and the store as one worker reaches it: each call takes effect at once. */
export interface Sink {
  /** @param nowMs the time that writes are stamped with */
  store(nowMs: () => number): Promise<VectorStore>
  create(name: string): Promise<void>
  drop(name: string): Promise<void>
  alias(alias: string): Promise<string | null>
  setAlias(alias: string, name: string): Promise<void>
  /** V3: one delete with a filter. */
  purgeStubs(writtenBeforeMs: number): Promise<void>
  content(): Promise<SinkContent>
  takeSnapshot(): Promise<void>
  /** Puts the snapshot back as it was. @returns false: there is none */
  restoreSnapshot(): Promise<boolean>
  readonly hasSnapshot: boolean
  close(): Promise<void>
}

const absent = async (): Promise<never> => {
  throw new Error('not part of the model')
}

/** What no worker of the model asks of a store, and a list of collections that housekeeping alone would read. */
export const NOT_IN_THE_MODEL = {
  collections: async () => [],
  dropCollection: absent,
  dropVectorNames: absent,
  readerNames: absent,
  setReaderNames: absent,
  lacks: absent,
  purgeStubs: absent,
  differences: absent,
  mend: absent,
  search: absent,
  close: absent,
} satisfies Partial<VectorStore>

export class MapSink implements Sink {
  collections = new Map<string, Map<PointId, StoredInSink>>()
  private aliases = new Map<string, string>()
  private snapshot: (Pick<MapSink, 'collections'> & { aliases: Map<string, string> }) | null = null

  get hasSnapshot(): boolean {
    return this.snapshot !== null
  }

  async store(nowMs: () => number): Promise<VectorStore> {
    return {
      ...NOT_IN_THE_MODEL,
      ensureCollection: ({ name }) => this.create(name),
      ensureVectorNames: async () => {},
      upsert: async (name, version, points) => {
        this.upsert(name, version, points, nowMs())
        return []
      },
      get: async (name, ids) => {
        const points = this.collections.get(name)
        const found = ids.flatMap((id) => {
          const stored = points?.get(id)
          if (stored === undefined) return []
          const { version, atMs, point } = stored
          return [[id, { version, writtenAtMs: atMs, point }] as const]
        })
        return new Map(found)
      },
      alias: async (alias) => this.alias(alias) as Promise<CollectionName | null>,
      setAlias: (alias, name) => this.setAlias(alias, name),
    }
  }

  async create(name: string): Promise<void> {
    if (!this.collections.has(name)) this.collections.set(name, new Map())
  }

  async drop(name: string): Promise<void> {
    this.collections.delete(name)
  }

  async alias(alias: string): Promise<string | null> {
    return this.aliases.get(alias) ?? null
  }

  async setAlias(alias: string, name: string): Promise<void> {
    this.aliases.set(alias, name)
  }

  async purgeStubs(writtenBeforeMs: number): Promise<void> {
    for (const points of this.collections.values())
      for (const [id, { point, atMs }] of points)
        if (point.kind === 'stub' && atMs < writtenBeforeMs) points.delete(id)
  }

  async content(): Promise<SinkContent> {
    return this.collections
  }

  async takeSnapshot(): Promise<void> {
    const copy = [...this.collections].map(([name, points]) => [name, new Map(points)] as const)
    this.snapshot = { collections: new Map(copy), aliases: new Map(this.aliases) }
  }

  async restoreSnapshot(): Promise<boolean> {
    if (this.snapshot === null) return false
    this.collections = this.snapshot.collections
    this.aliases = this.snapshot.aliases
    this.snapshot = null
    return true
  }

  async close(): Promise<void> {}

  private upsert(name: string, version: WriteVersion, points: readonly Point[], atMs: number): void {
    const collection = this.collections.get(name)
    if (collection === undefined) throw new ConfigError('collection-missing', `no collection ${name}`)
    for (const point of points) {
      const old = collection.get(point.id)?.version
      const isRefused =
        old !== undefined &&
        (old.epoch > version.epoch || (old.epoch === version.epoch && old.write > version.write))
      if (!isRefused) collection.set(point.id, { version, atMs, point })
    }
  }
}
