/** A worker over Kafka as a bench needs it: the whole pipeline with the defaults of a service, a model and a store of the bench's choice. */

import { join } from 'node:path'
import { KafkaChangelog } from '../src/drivers/kafka/kafka-changelog.ts'
import { KafkaCluster } from '../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../src/drivers/kafka/kafka-control-log.ts'
import { KafkaDeadLetters } from '../src/drivers/kafka/kafka-dead-letters.ts'
import { KafkaEventSource } from '../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../src/drivers/kafka/kafka-settings.ts'
import { SafeProducer } from '../src/drivers/kafka/safe-producer.ts'
import { SqliteDatabase } from '../src/drivers/sqlite/sqlite-database.ts'
import { LOCAL_STATES_MIGRATIONS, SqliteLocalStates } from '../src/drivers/sqlite/sqlite-local-states.ts'
import type { EmbeddingModel, ModelId, UserInput } from '../src/model/embedding-model.ts'
import { ChangelogStateStore } from '../src/pipeline/changelog-state-store.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS, type PipelineSettings } from '../src/pipeline/settings.ts'
import type { StateStore } from '../src/pipeline/state-store.ts'
import { tombstoneReader } from '../src/pipeline/tombstone-reader.ts'
import { Updater } from '../src/pipeline/updater.ts'
import type { VectorStore } from '../src/vectors/vector-store.ts'
import type { WindowSnapshot } from '../src/window/user-state.ts'
import { CAPS, decoderOf, kafkaSettingsOf, type OwnTopics, type Place, topicsOf } from './kafka-place.ts'

const DIMENSIONS = 64
const ONE_VECTOR = new Float32Array(DIMENSIONS).fill(1 / Math.sqrt(DIMENSIONS))

/** Gives everybody the same vector: whatever is measured is not the model. */
export const FREE_MODEL: EmbeddingModel = {
  id: 'free' as ModelId,
  precision: 'fp32',
  provider: 'cpu',
  dimensions: DIMENSIONS,
  rendererVersion: 1,
  horizonDays: 90,
  slots: CAPS,
  tabularFeatures: null,
  contentHash: '0'.repeat(64),
  positions: () => 1,
  embedUsers: async (users, instructions) => users.map(() => instructions.map(() => ONE_VECTOR)),
  embedTexts: async (texts) => texts.map(() => ONE_VECTOR),
  counts: () => ({
    encoderComputed: 0,
    encoderCached: 0,
    backboneComputed: 0,
    backboneShared: 0,
    eventsEncoded: 0,
    eventsCached: 0,
    backboneRuns: 0,
    encodeMs: 0,
    backboneMs: 0,
  }),
  close: async () => {},
}

/** States in memory alone: what keeping them costs is what is missing here. */
const NOTHING_KEPT: StateStore = {
  restore: async () => ({ checkpoint: null, highestEpoch: 0 }),
  release() {},
  read: () => undefined,
  users: () => [],
  spill() {},
  appendStates: async () => {},
  appendCheckpoint: async () => {},
  close: async () => {},
}

export interface WorkerOptions {
  place: Place
  group: string
  own: OwnTopics
  /** Of the local copy of the states. */
  folder: string
  vectors: VectorStore
  model?: EmbeddingModel
  render?: (window: WindowSnapshot) => UserInput
  /** `nothing`: no changelog, no local copy, no checkpoints. */
  kept?: 'states' | 'nothing'
  kafka?: Partial<KafkaSettings>
  settings?: Partial<PipelineSettings>
}

export interface Worker {
  updater: Updater
  source: KafkaEventSource
  /** Resolves when it has stopped; rejects with what it died of. */
  running: Promise<void>
  stop(): Promise<void>
}

/** Opens and starts it. */
export async function openWorker(options: WorkerOptions): Promise<Worker> {
  const { place, group, own, folder, vectors, model = FREE_MODEL, kept = 'states' } = options
  const settings = kafkaSettingsOf(place, group, options.kafka)
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  const decoder = decoderOf(place)
  const topics = topicsOf(place)
  const names = topics.map(({ topic }) => topic)
  const source = await KafkaEventSource.open(settings, names, systemClock)
  const tombstones = topics.find(({ holds }) => holds === 'tombstone')!.topic
  const { instructions, models, state } = own
  const control = { instructions, models, tombstones }
  const controlLog = await KafkaControlLog.open(cluster, producer, control, tombstoneReader(decoder))
  await register(controlLog, model)
  const migrations = LOCAL_STATES_MIGRATIONS
  const database = new SqliteDatabase({ path: join(folder, 'states.db'), migrations, isCache: true })
  const disk = new SqliteLocalStates(database)
  const { partitionCount } = place
  const changelogOptions = { topic: state, partitionCount }
  const changelog = await KafkaChangelog.open(cluster, producer, changelogOptions)
  const updater = new Updater({
    source,
    decoder,
    store: kept === 'nothing' ? NOTHING_KEPT : new ChangelogStateStore(changelog, disk, () => model.slots),
    controlLog,
    deadLetters: new KafkaDeadLetters(producer),
    models: new Map([[model.id, model]]),
    render: (_target, window) => options.render?.(window) ?? { events: {}, tabular: null },
    vectors,
    clock: systemClock,
    settings: { ...DEFAULT_PIPELINE_SETTINGS, ...options.settings },
  })
  source.failed = (error) => updater.ownership.failed(error)
  const running = updater.run()
  running.catch((error) => console.error(error))
  const stop = async () => {
    await updater.stop()
    await source.close()
    await running
    await producer.close()
    cluster.close()
    database.close()
  }
  return { updater, source, running, stop }
}

async function register(controlLog: KafkaControlLog, { id, dimensions }: EmbeddingModel): Promise<void> {
  if ((await controlLog.models(-1)).length > 0) return
  await controlLog.appendModel(
    { active: id, also: null, existing: [id] },
    { modelId: id, stage: 'active', parentModelId: null, artifactUri: null, artifactSha256: '', dimensions },
  )
}
