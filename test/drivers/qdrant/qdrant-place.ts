/** A Qdrant server to hold the driver against: the double, or a real one, in an environment of its own that is cleaned up. */

import { randomBytes } from 'node:crypto'
import { QdrantClient } from '@qdrant/js-client-rest'
import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { QdrantSettings } from '../../../src/drivers/qdrant/qdrant-settings.ts'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import type { GroupName, VectorName } from '../../../src/instructions/instruction.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import { collectionName } from '../../../src/vectors/names.ts'
import type { CollectionName, CollectionSpec } from '../../../src/vectors/vector-store.ts'
import { A, DIMENSIONS } from '../../vectors/points.ts'
import type { QdrantDouble } from './double/qdrant-double.ts'
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts'
import { settingsOf } from './settings-of.ts'

/** Where the server is. */
export interface Server {
  url: string
  /** null: points are written over REST. */
  grpcUrl: string | null
  apiKey: string | null
  /** null: a real one, which takes no orders. */
  double: QdrantDouble | null
  dispose(): Promise<void>
}

/** Everything that a test needs there; what it makes is gone afterwards. */
export class QdrantPlace {
  readonly server: Server
  /** Before every name, so that nothing of others is met. */
  readonly prefix: string
  readonly clock: Clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }
  /** Past the driver: what others do on the server. */
  readonly client: QdrantClient
  private readonly stores: QdrantVectorStore[] = []
  private readonly proxies: FaultyProxy[] = []
  private collections = 0

  constructor(server: Server) {
    this.server = server
    this.prefix = `t${randomBytes(6).toString('hex')}-`
    const { url, apiKey } = server
    const headers: Record<string, string> = { 'accept-encoding': 'identity' }
    if (apiKey !== null) headers['api-key'] = apiKey
    this.client = new QdrantClient({ url, headers, checkCompatibility: false })
  }

  settings(changes: Partial<QdrantSettings> = {}): QdrantSettings {
    const { url, grpcUrl, apiKey, double } = this.server
    // A real one may be far away, with its disk at work.
    const timeoutMs = double === null ? 30_000 : 5_000
    return settingsOf(url, { grpcUrl, apiKey, timeoutMs, prefix: this.prefix, ...changes })
  }

  async open(changes: Partial<QdrantSettings> = {}): Promise<QdrantVectorStore> {
    const store = await openQdrant(this.settings(changes), this.clock)
    this.stores.push(store)
    return store
  }

  /** A way to the server with faults on it. */
  async proxy(): Promise<FaultyProxy> {
    const proxy = await startFaultyProxy(this.server.url)
    this.proxies.push(proxy)
    return proxy
  }

  /** A store whose every request goes that way. */
  behind(proxy: FaultyProxy, changes: Partial<QdrantSettings> = {}): Promise<QdrantVectorStore> {
    return this.open({ url: proxy.url, grpcUrl: null, ...changes })
  }

  spec(changes: Partial<CollectionSpec> = {}): CollectionSpec {
    const group = 'g' as GroupName
    const model = (changes.model ?? `m${this.collections++}`) as ModelId
    return {
      name: collectionName(group, model),
      group,
      model,
      precision: 'fp32',
      provider: 'cpu',
      dimensions: DIMENSIONS,
      horizonDays: 90,
      ...changes,
    }
  }

  async collection(store: QdrantVectorStore, names: VectorName[] = [A]): Promise<CollectionName> {
    const spec = this.spec()
    await store.ensureCollection(spec)
    await store.ensureVectorNames(spec.name, names)
    return spec.name
  }

  async dispose(): Promise<void> {
    for (const proxy of this.proxies) await proxy.close()
    for (const store of this.stores) await store.close()
    const { collections } = await this.client.getCollections()
    for (const { name } of collections)
      if (name.startsWith(this.prefix)) await this.client.deleteCollection(name)
    await this.server.dispose()
  }
}
