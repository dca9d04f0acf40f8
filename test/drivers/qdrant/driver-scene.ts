/** A driver under test on some server, and what its promises ask of it again and again. */

import { test } from 'node:test'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import type { CollectionName, Point, WriteVersion } from '../../../src/vectors/vector-store.ts'
import { A, idOf, pointOf, unit, vectorOf } from '../../vectors/points.ts'
import { QdrantPlace, type Server } from './qdrant-place.ts'

export class DriverScene {
  /** A test of that sentence. */
  readonly promise: (sentence: string, work: () => Promise<void>) => void
  /** The same for what needs faults on the way, which a proxy that knows no certificates can't lay on TLS. */
  readonly proxied: (sentence: string, work: () => Promise<void>) => void
  private opened: { place: QdrantPlace; store: QdrantVectorStore } | undefined

  constructor(what: string) {
    this.promise = (sentence, work) => void test(`${what}: ${sentence}`, work)
    this.proxied = (sentence, work) =>
      void test(`${what}: ${sentence}`, async (context) => {
        if (this.place.server.url.startsWith('https:')) context.skip('the server is reached by https')
        else await work()
      })
  }

  async open(start: () => Promise<Server>): Promise<void> {
    const place = new QdrantPlace(await start())
    this.opened = { place, store: await place.open() }
  }

  async dispose(): Promise<void> {
    await this.opened?.place.dispose()
  }

  get place(): QdrantPlace {
    return this.opened!.place
  }

  get store(): QdrantVectorStore {
    return this.opened!.store
  }

  /** `u0`, `u1`, ... with a vector along an axis each. */
  users(count: number, axis = 0): Point[] {
    return Array.from({ length: count }, (_, i) => pointOf(`u${i}`, { [A]: unit(axis) }))
  }

  async versionOf(name: CollectionName, user: string): Promise<WriteVersion | undefined> {
    return (await this.store.get(name, [idOf(user)], [])).get(idOf(user))?.version
  }

  /** @returns the users whose vector lies along the axis, sorted */
  async found(name: CollectionName, axis = 0): Promise<string[]> {
    const query = { vectorName: A, vector: vectorOf(unit(axis)), k: 100, scoreThreshold: 0.9 }
    const hits = await this.store.search(name, query)
    return hits.map(({ payload }) => payload.userId as string).sort()
  }
}
