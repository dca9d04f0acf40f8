/** A store under test, and what its promises need: collections of their own, a clock, and names for the tests. */

import { test } from 'node:test'
import type { GroupName, VectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import type { Clock } from '../../src/pipeline/clock.ts'
import { collectionName } from '../../src/vectors/names.ts'
import type {
  CollectionName,
  CollectionSpec,
  PointId,
  SearchQuery,
  VectorStore,
} from '../../src/vectors/vector-store.ts'
import { A, B, DIMENSIONS } from './points.ts'

export interface StoreUnderTest {
  store: VectorStore
  dispose(): Promise<void>
}

export class StoreScene {
  /** What the store takes for the time of its writes. */
  nowMs = 1_700_000_000_000
  readonly clock: Clock = { nowMs: () => this.nowMs, sleep: async () => {} }
  /** A test of that sentence. */
  readonly promise: (sentence: string, work: () => Promise<void>) => void
  private under: StoreUnderTest | undefined
  private readonly made: CollectionName[] = []

  constructor(what: string) {
    this.promise = (sentence, work) => void test(`${what}: ${sentence}`, work)
  }

  async open(open: (clock: Clock) => Promise<StoreUnderTest>): Promise<void> {
    this.under = await open(this.clock)
  }

  async dispose(): Promise<void> {
    for (const name of this.made) await this.store.dropCollection(name)
    await this.under?.dispose()
  }

  get store(): VectorStore {
    return this.under!.store
  }

  spec(name: CollectionName): CollectionSpec {
    return {
      name,
      group: 'contract' as GroupName,
      model: 'tiny' as ModelId,
      precision: 'fp32',
      provider: 'cpu',
      dimensions: DIMENSIONS,
      horizonDays: 90,
    }
  }

  /** A new collection, dropped at the end. */
  async fresh(names: VectorName[] = [A, B]): Promise<CollectionName> {
    const model = `m${process.pid}-${this.made.length}` as ModelId
    const name = collectionName('contract' as GroupName, model)
    this.made.push(name)
    await this.store.ensureCollection(this.spec(name))
    await this.store.ensureVectorNames(name, names)
    return name
  }

  async searchIds(name: CollectionName, query: SearchQuery): Promise<PointId[]> {
    return (await this.store.search(name, query)).map((hit) => hit.id)
  }
}
