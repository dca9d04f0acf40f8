/** One worker of the consistency model: the real pipeline over fake drivers, whose answers come when the model says. */

import { UnavailableError } from '../../../src/errors.ts'
import type { EmbeddingModel, ModelId, UserInput } from '../../../src/model/embedding-model.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import type { EventSource, Positions, SourceListener } from '../../../src/pipeline/event-source.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../../src/pipeline/settings.ts'
import type { StateStore } from '../../../src/pipeline/state-store.ts'
import type { Updater } from '../../../src/pipeline/updater.ts'
import type { VectorStore } from '../../../src/vectors/vector-store.ts'
import type { WindowSnapshot } from '../../../src/window/user-state.ts'
import type { PipelineModules } from './pipeline-modules.ts'
import { NOT_IN_THE_MODEL } from './sinks.ts'
import { changelogOf, localStatesOf } from './worker-stores.ts'
import { PARTITIONS, type PendingAppend, TOPICS, UNIT_MS, type World, type WorldRecord } from './world.ts'

/** What a window reads like in a vector: the oracle writes the same text without freshet. */
export function inputText(model: string, input: UserInput): string {
  const events = Object.entries(input.events).flatMap(([modality, texts]) =>
    texts!.map((text) => `${modality} ${text}`),
  )
  return `${model} ${events.sort().join(',')} ${input.tabular?.[0] ?? ''}`
}

/** What two texts are apart in the vectors that stand for them, radians: far more than float32 rounds. */
const STEP = Math.PI / 20_000

/** Texts stand in vectors by number, as directions, so that a wrong vector can be read. */
export class Ink {
  private readonly numbers = new Map<string, number>()
  readonly texts: string[] = []

  write(text: string): Float32Array {
    let number = this.numbers.get(text)
    if (number === undefined) {
      number = this.texts.push(text) - 1
      this.numbers.set(text, number)
    }
    if (number * STEP >= 2 * Math.PI) throw new Error('more texts than directions')
    return Float32Array.of(Math.cos(number * STEP), Math.sin(number * STEP))
  }

  read(vector: Float32Array): string {
    const angle = Math.atan2(vector[1]!, vector[0]!)
    return this.texts[Math.round((angle < 0 ? angle + 2 * Math.PI : angle) / STEP)]!
  }
}

export const DIMENSIONS = 2

export const MODELS: Record<string, { slots: Record<'paybill' | 'search', number>; horizonDays: number }> = {
  ma: { slots: { paybill: 2, search: 0 }, horizonDays: 3 },
  mb: { slots: { paybill: 2, search: 2 }, horizonDays: 3 },
}

export class Worker {
  readonly id: number
  readonly diskId: number
  skewUnits: number
  alive = true
  joined = -1
  failure: unknown
  readonly updater: Updater
  readonly appends: PendingAppend[] = []
  readonly sleeps: (() => void)[] = []
  readonly embeddings: (() => void)[] = []
  /** Embeddings wait until the model lets them go. */
  holdEmbeddings = false
  /** Restores wait, so that they last. */
  holdRestores = false

  readonly vectorsPort: VectorStore

  private readonly world: World
  private readonly ink: Ink
  private listener: SourceListener | undefined
  private readonly positions = new Map<number, Map<string, number>>()

  constructor(
    world: World,
    modules: PipelineModules,
    store: VectorStore,
    ink: Ink,
    id: number,
    diskId: number,
    skewUnits: number,
    batch: number,
  ) {
    this.world = world
    this.ink = ink
    this.id = id
    this.diskId = diskId
    this.skewUnits = skewUnits
    const states: StateStore = new modules.ChangelogStateStore(
      changelogOf(world, this.appends, async () => {
        if (this.holdRestores) await new Promise<void>((resolve) => this.sleeps.push(resolve))
      }),
      localStatesOf(world, diskId),
      () => ({
        paybill: 2,
        search: 2,
        miniprogram: 0,
        spm: 0,
        app: 0,
      }),
    )
    this.vectorsPort = this.vectors(store)
    const models = new Map(Object.keys(MODELS).map((name) => [name as ModelId, this.model(name)]))
    this.updater = new modules.Updater({
      source: this.source(),
      decoder: { decode: (record) => (record as WorldRecord).says },
      store: states,
      controlLog: {
        instructions: async (after) => world.instructions.filter(({ offset }) => offset > after),
        models: async (after) => world.models.filter(({ offset }) => offset > after),
        tombstones: async (partition) => this.tombstones(partition),
      },
      deadLetters: { put: async () => {} },
      models,
      render: (target, window) => render(target.model, window),
      vectors: this.vectorsPort,
      clock: this.clock(),
      settings: {
        ...DEFAULT_PIPELINE_SETTINGS,
        minEvents: 1,
        quietMs: 0,
        maxDelayMs: 0,
        attemptsMax: 2,
        windowSlotsMin: 2,
        batchUsersMax: batch,
        sendAttemptsMax: 3,
        repeatMsMax: 20 * UNIT_MS,
        sessionTimeoutMs: 20 * UNIT_MS,
        maxFutureSkewMs: 1_000 * UNIT_MS,
        memoryBytesMax: batch === 1 ? 1 : 1_000_000,
      },
    })
    this.updater.ownership.failed = (error) => {
      this.failure = error
    }
    void this.source().start(this.updater)
    this.listener = this.updater
  }

  /** The process dies: nothing of it runs any more; what it had sent lands later, what it had not is lost. */
  die(): void {
    this.alive = false
    while (this.appends.length > 0 && this.world.flip()) this.appends.pop()
  }

  join(): void {
    this.joined = this.world.generation
    this.positions.clear()
    const partitions = [...Array(PARTITIONS).keys()].filter((p) => this.world.assignment[p] === this.id)
    for (const partition of this.updater.ownership.partitions.values())
      if (partitions.includes(partition.number)) {
        // A partition that is kept is read on from where it was.
        this.positions.set(partition.number, new Map(partition.readPositions))
      }
    this.listener!.assigned({ generation: this.world.generation, partitions })
  }

  /** Hands over the next record of a topic. @returns false: there is none */
  poll(partition: number, topicIndex: number): boolean {
    const topic = TOPICS[topicIndex]!
    const positions = this.positions.get(partition)
    const from = positions?.get(topic)
    if (positions === undefined || from === undefined || !this.updater.ownership.partitions.has(partition))
      return false
    const record = this.world.logs[topicIndex]![partition]!.find(
      ({ offset, gone }) => offset >= from && !gone,
    )
    if (record === undefined) return false
    positions.set(topic, record.offset + 1)
    this.listener!.records([record])
    return true
  }

  /**
   * Lets the next record of the append queue land. States land in order, and so do checkpoints; but they are sent apart,
   * and only who waits for an answer knows which came first.
   *
   * @param twice the producer repeats it
   */
  landAppend(twice: boolean, checkpointFirst = false): boolean {
    const isCheckpoint = ({ records }: PendingAppend) => records[0]?.kind === 'checkpoint'
    const at = checkpointFirst ? Math.max(this.appends.findIndex(isCheckpoint), 0) : 0
    const append = this.appends[at]
    const record = append?.records.shift()
    if (append === undefined || record === undefined) return false
    append.positions.push(this.world.land(append.partition, record))
    if (twice) this.world.land(append.partition, record)
    if (append.records.length === 0) {
      this.appends.splice(at, 1)
      if (this.alive) append.done()
    }
    return true
  }

  get idle(): boolean {
    return (
      this.updater.idle &&
      this.appends.length === 0 &&
      this.sleeps.length === 0 &&
      this.embeddings.length === 0
    )
  }

  private tombstones(partition: number) {
    const latest = new Map<string, number>()
    for (const { says } of this.world.logs[3]![partition]!)
      if (says.kind === 'tombstone') latest.set(says.user, Math.max(says.atMs, latest.get(says.user) ?? 0))
    return [...latest].map(([user, atMs]) => ({ tenant: 'default' as never, user: user as never, atMs }))
  }

  private clock(): Clock {
    return {
      nowMs: () => (this.world.nowUnits + this.skewUnits) * UNIT_MS,
      sleep: () => new Promise((resolve) => this.sleeps.push(resolve)),
    }
  }

  private source(): EventSource {
    const { world } = this
    return {
      topics: TOPICS,
      partitionCount: PARTITIONS,
      start: async () => {},
      seek: (partition, positions) => {
        this.positions.set(partition, new Map(positions))
      },
      pause: () => {},
      resume: () => {},
      commit: async (generation, offsets) => {
        const isCurrent = generation === world.generation && this.joined === generation
        // A commit of a former generation is refused, or lands and is reported as what it is: not ours.
        if (isCurrent || world.flip())
          for (const [partition, positions] of offsets) world.groupOffsets[partition] = new Map(positions)
        return isCurrent
      },
      committed: async (partition): Promise<Positions> => world.groupOffsets[partition]!,
      endOffsets: async () => new Map(),
      stop: async () => {},
    }
  }

  /** The store, with writes that are on their way until the model lets them land. */
  private vectors(store: VectorStore): VectorStore {
    const { world } = this
    return {
      ...NOT_IN_THE_MODEL,
      ensureCollection: (spec) => world.track(store.ensureCollection(spec)),
      ensureVectorNames: (name, vectorNames) => world.track(store.ensureVectorNames(name, vectorNames)),
      upsert: (name, version, points) => this.request(() => store.upsert(name, version, points)),
      get: (name, ids, vectorNames) => world.track(store.get(name, ids, vectorNames)),
      alias: (alias) => world.track(store.alias(alias)),
      setAlias: (alias, name) => this.request(() => store.setAlias(alias, name)),
    }
  }

  /** A request on its way: it lands once, some time or never, and its answer comes, or patience ends before. */
  private request<T>(effect: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let reply = () => {}
      this.world.requests.push({
        land: () =>
          this.world.track(
            effect().then(
              (result) => {
                reply = () => resolve(result)
              },
              (error: unknown) => {
                reply = () => reject(error)
              },
            ),
          ),
        reply: () => {
          if (this.alive) reply()
        },
        expire: () => {
          if (this.alive) reject(new UnavailableError('test-time-out', 'no answer', { retryAfterMs: 1 }))
        },
        sentUnits: this.world.nowUnits,
        sender: this,
        answered: false,
      })
    })
  }

  private model(name: string): EmbeddingModel {
    const { slots, horizonDays } = MODELS[name]!
    return {
      id: name as ModelId,
      precision: 'fp32',
      provider: 'cpu',
      dimensions: DIMENSIONS,
      rendererVersion: 1,
      horizonDays,
      slots: { paybill: slots.paybill, search: slots.search, miniprogram: 0, spm: 0, app: 0 },
      tabularFeatures: ['f'],
      contentHash: name,
      positions: () => 1,
      embedUsers: async (users, instructions) => {
        if (this.holdEmbeddings) await new Promise<void>((resolve) => this.embeddings.push(resolve))
        return users.map((input) => {
          const text = inputText(name, input)
          if (!this.world.healed && text.includes('bad')) throw new Error('a bad user')
          return instructions.map((instruction) => this.ink.write(`${text} ? ${instruction}`))
        })
      },
      embedTexts: async () => [],
      counts: () => ({}) as never,
      close: async () => {},
    }
  }
}

function render(model: ModelId, window: WindowSnapshot): UserInput {
  const events: Record<string, string[]> = {}
  for (const modality of ['paybill', 'search'] as const)
    events[modality] = window.events[modality].map((event) => {
      const text =
        event.modality === 'paybill'
          ? event.fields.merchantName
          : event.modality === 'search'
            ? event.fields.query
            : ''
      return `${event.eventId}@${event.eventTimeMs / UNIT_MS}${text}`
    })
  void model
  return { events, tabular: window.tabular === null ? null : [window.tabular.numeric.f ?? null] }
}
