/** The sink of the consistency model as the Qdrant driver reaches it: a server's own collections, behind a prefix of the run. */

import type { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import type { GroupName } from '../../../src/instructions/instruction.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import { pointId } from '../../../src/vectors/names.ts'
import type { AliasName, CollectionInfo, CollectionName } from '../../../src/vectors/vector-store.ts'
import { settingsOf } from '../../drivers/qdrant/settings-of.ts'
import type { Sink, SinkContent, StoredInSink } from './sinks.ts'
import { DIMENSIONS, MODELS } from './worker.ts'
import { keyOfUser, USERS } from './world.ts'

interface Snapshot {
  infos: readonly CollectionInfo[]
  content: SinkContent
  aliases: ReadonlyMap<string, string>
}

const ALIASES = ['freshet_main', 'freshet_slow']

export class QdrantSink implements Sink {
  private readonly open: () => Promise<QdrantVectorStore>
  private readonly operator: QdrantVectorStore
  private readonly stores: QdrantVectorStore[] = []
  private readonly clock: { nowMs: number }
  private snapshot: Snapshot | null = null

  private constructor(
    operator: QdrantVectorStore,
    clock: { nowMs: number },
    open: () => Promise<QdrantVectorStore>,
  ) {
    this.operator = operator
    this.clock = clock
    this.open = open
  }

  /** With the first model's collections and aliases. @param driver as it is, or as a mutant */
  static async begin(url: string, prefix: string, driver: typeof openQdrant): Promise<QdrantSink> {
    const clock = { nowMs: 0 }
    const settings = settingsOf(url, { prefix, requestPointsMax: 1, connectionsMax: 2 })
    const open = () => driver(settings, { nowMs: () => clock.nowMs, sleep: async () => {} })
    const sink = new QdrantSink(await open(), clock, open)
    for (const group of ['main', 'slow']) {
      await sink.create(`freshet_${group}_ma`)
      await sink.setAlias(`freshet_${group}`, `freshet_${group}_ma`)
    }
    return sink
  }

  get hasSnapshot(): boolean {
    return this.snapshot !== null
  }

  /** Each worker has a driver of its own, with what it remembers of the server. */
  async store(nowMs: () => number): Promise<QdrantVectorStore> {
    const store = await this.open()
    this.stores.push(store)
    const upsert = store.upsert.bind(store)
    store.upsert = (...write) => {
      this.clock.nowMs = nowMs()
      return upsert(...write)
    }
    return store
  }

  create(name: string): Promise<void> {
    const [, group = '', model = ''] = name.split('_')
    return this.operator.ensureCollection({
      name: name as CollectionName,
      group: group as GroupName,
      model: model as ModelId,
      precision: 'fp32',
      provider: 'cpu',
      dimensions: DIMENSIONS,
      horizonDays: MODELS[model]!.horizonDays,
    })
  }

  drop(name: string): Promise<void> {
    return this.operator.dropCollection(name as CollectionName)
  }

  alias(alias: string): Promise<string | null> {
    return this.operator.alias(alias as AliasName)
  }

  setAlias(alias: string, name: string): Promise<void> {
    return this.operator.setAlias(alias as AliasName, name as CollectionName)
  }

  async purgeStubs(writtenBeforeMs: number): Promise<void> {
    for (const { name } of await this.operator.collections())
      await this.operator.purgeStubs(name, writtenBeforeMs)
  }

  async content(): Promise<SinkContent> {
    const content = new Map<string, Map<never, StoredInSink>>()
    const ids = USERS.map((user) => pointId(keyOfUser(user)))
    for (const { name } of await this.operator.collections()) {
      const points = [...(await this.operator.get(name, ids))].map(
        ([id, { version, writtenAtMs, point }]) =>
          [id as never, { version, atMs: writtenAtMs, point }] as const,
      )
      content.set(name, new Map(points))
    }
    return content
  }

  async takeSnapshot(): Promise<void> {
    const aliases = new Map<string, string>()
    for (const alias of ALIASES) aliases.set(alias, (await this.alias(alias))!)
    this.snapshot = { infos: await this.operator.collections(), content: await this.content(), aliases }
  }

  async restoreSnapshot(): Promise<boolean> {
    const { snapshot } = this
    if (snapshot === null) return false
    this.snapshot = null
    for (const { name } of await this.operator.collections()) await this.drop(name)
    for (const { name, vectorNames } of snapshot.infos) {
      await this.create(name)
      await this.operator.ensureVectorNames(name, vectorNames)
      for (const { version, atMs, point } of snapshot.content.get(name)!.values()) {
        this.clock.nowMs = atMs
        await this.operator.upsert(name, version, [point])
      }
    }
    for (const [alias, name] of snapshot.aliases) await this.setAlias(alias, name)
    return true
  }

  async close(): Promise<void> {
    for (const { name } of await this.operator.collections()) await this.drop(name)
    for (const store of [this.operator, ...this.stores]) await store.close()
  }
}
