/** Builds a worker of a consumer group: events, control records and states in Kafka, vectors where all workers see them. */

import type { Settings } from '../config/settings.ts'
import { KafkaChangelog } from '../drivers/kafka/kafka-changelog.ts'
import { KafkaControlLog } from '../drivers/kafka/kafka-control-log.ts'
import { KafkaDeadLetters } from '../drivers/kafka/kafka-dead-letters.ts'
import { KafkaEventSource } from '../drivers/kafka/kafka-event-source.ts'
import { KafkaLetters } from '../drivers/kafka/kafka-letters.ts'
import type { KafkaSettings } from '../drivers/kafka/kafka-settings.ts'
import { KafkaUpdates } from '../drivers/kafka/kafka-updates.ts'
import { Repartition } from '../drivers/kafka/repartition.ts'
import { checkTopics } from '../drivers/kafka/topic-admin.ts'
import { openWorkerDirectory, type WorkerDirectory } from '../drivers/sqlite/worker-directory.ts'
import { ConfigError } from '../errors.ts'
import { createRecordDecoder } from '../events/decoder.ts'
import { createIngestEncoder } from '../events/ingest.ts'
import type { SchemaSource } from '../events/schema-source.ts'
import type { EmbeddingModel } from '../model/embedding-model.ts'
import { userInput } from '../model/user-input.ts'
import { ChangelogStateStore } from '../pipeline/changelog-state-store.ts'
import { type Clock, systemClock } from '../pipeline/clock.ts'
import { Housekeeping } from '../pipeline/housekeeping.ts'
import { tombstoneReader } from '../pipeline/tombstone-reader.ts'
import { Updater } from '../pipeline/updater.ts'
import { windowCaps } from '../pipeline/window-caps.ts'
import { closeAll } from './close-all.ts'
import { Freshet } from './freshet.ts'
import { openGroupVectors } from './group-vectors.ts'
import { openKafka, patienceOfWorkers } from './kafka-access.ts'
import { descriptionOf, kafkaBackend } from './kafka-backend.ts'
import { ownTopics } from './kafka-settings.ts'
import { openCachedModel } from './open-cached-model.ts'
import type { OpenedModel } from './open-model.ts'
import { type OpenSchemas, openSchemas } from './open-schemas.ts'
import type { Parts } from './parts.ts'
import { pipelineSettings } from './pipeline-settings.ts'
import { type Say, sayNote, sayWhile } from './say-while.ts'
import { topicNeeds } from './topic-needs.ts'
import { asRead, copiedTopics } from './topics-as-read.ts'

type Closers = (() => unknown)[]

/**
 * Connects and opens everything; nothing runs yet, and the group isn't joined.
 *
 * @param say told what it waits for
 * @throws {ConfigError} what is wrong with directory, bundle, provider, topics, brokers or settings; nothing stays open
 * @throws {UnavailableError} no broker answers in `events.kafka.startTimeoutMs`
 */
export async function openWorker(
  settings: Settings,
  clock: Clock = systemClock,
  say: Say = sayNote,
): Promise<Freshet> {
  const closers: Closers = []
  try {
    const directory = openWorkerDirectory({
      path: settings.dataDir,
      nowMs: clock.nowMs(),
    })
    closers.push(() => directory.close())
    const { opened, cacheWarning } = await openCachedModel(settings, clock, closers)
    const { schemas, findId, close: closeSchemas } = await openSchemas(settings, say)
    closers.push(closeSchemas)
    const driver = await openDriver(settings, clock, say, schemas, closers)
    const repartition = await openRepartition(settings, driver.kafka, clock, closers)
    await registerModel(driver.controlLog, opened.model)
    const parts = assemble(settings, clock, directory, { schemas, findId }, driver, opened)
    driver.source.failed = (error) => parts.updater.ownership.failed(error)
    // Before the group is left: whoever takes over finds nothing of ours under way.
    closers.push(() => parts.opensVectors.close())
    if (repartition !== null) {
      repartition.failed = driver.source.failed
      await repartition.start()
    }
    const neighbours = {
      stopTimeoutMs: driver.kafka.stopTimeoutMs,
      giveUp: () => hangUp(driver, repartition),
    }
    return new Freshet({ parts: { ...parts, cacheWarning }, closers, isAlone: false, neighbours })
  } catch (error) {
    // What went wrong first is what is told.
    await closeAll(closers).catch(() => {})
    throw error
  }
}

/** @returns null: every topic is read as it is */
async function openRepartition(settings: Settings, kafka: KafkaSettings, clock: Clock, closers: Closers) {
  const topics = copiedTopics(settings)
  if (topics.length === 0) return null
  const { commitIntervalMs } = settings.refresh
  const repartition = await Repartition.open({ settings: kafka, clock, topics, commitIntervalMs })
  closers.push(() => repartition.close())
  return repartition
}

type Driver = Awaited<ReturnType<typeof openDriver>>

async function openDriver(
  settings: Settings,
  clock: Clock,
  say: Say,
  schemas: SchemaSource,
  closers: Closers,
) {
  const { valueBytesMax } = settings.events
  const topics = asRead(settings)
  // Who sends over HTTP names topics as their producers do.
  const named = [...new Map([...settings.events.topics, ...topics].map((one) => [one.topic, one])).values()]
  const decoder = createRecordDecoder({ topics: named, schemas, valueBytesMax })
  const { kafka, cluster, producer, close } = await openKafka(
    settings,
    clock,
    patienceOfWorkers(settings, say),
  )
  closers.push(close)
  await sayWhile(
    () =>
      say(
        'kafka',
        'topics are not as freshet needs them, or can not be told of; those that were just made may still appear',
      ),
    () => checkTopics(cluster, topicNeeds(settings)),
  )
  const names = topics.map(({ topic }) => topic)
  const source = await KafkaEventSource.open(kafka, names, clock)
  closers.push(() => source.close())
  const { instructions, models, state } = ownTopics(settings)
  const tombstones = topics.find(({ holds }) => holds === 'tombstone')?.topic ?? null
  const controlTopics = { instructions, models, tombstones }
  const controlLog = await KafkaControlLog.open(cluster, producer, controlTopics, tombstoneReader(decoder))
  const changelog = await KafkaChangelog.open(cluster, producer, {
    topic: state,
    partitionCount: source.partitionCount,
  })
  return { kafka, decoder, cluster, producer, source, controlLog, changelog }
}

/** Whatever waits for brokers fails; closing again, in the order of closers, is no harm. */
async function hangUp({ source, producer, cluster }: Driver, repartition: Repartition | null): Promise<void> {
  cluster.close()
  await Promise.all([source.close(), producer.close(0), repartition?.close()])
}

/** The first worker of all names its bundle's model active; from then on the record decides. */
async function registerModel(controlLog: KafkaControlLog, model: EmbeddingModel): Promise<void> {
  const { id } = model
  const last = async () => (await controlLog.models(-1)).at(-1)
  let record = await last()
  if (record === undefined) {
    await controlLog.appendModel({ active: id, also: null, existing: [id] }, descriptionOf(model))
    // Others may have found nothing, too: the last of them decides.
    record = await last()
  }
  if (record?.active !== id)
    throw new ConfigError(
      'model-not-active',
      `expected the bundle of model ${record?.active}, which the group's topic of models names, got ${id}: name that bundle in model.bundle, or choose another events.kafka.topicPrefix and groupId`,
    )
}

function assemble(
  settings: Settings,
  clock: Clock,
  directory: WorkerDirectory,
  { schemas, findId }: Pick<OpenSchemas, 'schemas' | 'findId'>,
  driver: Driver,
  opened: OpenedModel,
): Omit<Parts, 'cacheWarning'> {
  const { kafka, decoder, producer, source, controlLog, changelog } = driver
  const { model, render } = opened
  const ofPipeline = { ...pipelineSettings(settings), sessionTimeoutMs: kafka.sessionTimeoutMs }
  const models = new Map([[model.id, model]])
  const caps = () => windowCaps(updater.control.view, models, ofPipeline)
  // Letters of a copied topic bear the name of the copy, unless the copy itself refused them.
  const topicNames = new Set([...settings.events.topics.map(({ topic }) => topic), ...source.topics])
  const readAs = new Map(copiedTopics(settings).map(({ from, to }) => [from, to]))
  const letters = new KafkaLetters(producer, [...topicNames])
  const backend = kafkaBackend({ ...driver, directory, letters, model, readAs })
  const modelLog = { models: (after: number) => controlLog.models(after), appendModel: backend.appendModel }
  const wasUsedBefore = async () => (await source.committed(0)).size > 0
  const opensVectors = openGroupVectors({ settings, clock, modelLog, wasUsedBefore })
  const { vectors } = opensVectors
  const updater: Updater = new Updater({
    source,
    decoder,
    store: new ChangelogStateStore(changelog, directory.states, caps, settings.windows.userBytesMax),
    controlLog,
    deadLetters: new KafkaDeadLetters(producer),
    models,
    render: (_target, window) => userInput(model, render, window),
    vectors,
    ...(settings.events.kafka.updates
      ? { updates: new KafkaUpdates(producer, ownTopics(settings).updates) }
      : {}),
    clock,
    settings: ofPipeline,
  })
  const housekeeping = new Housekeeping({
    updater,
    vectors,
    clock,
    appendRetiredText: (retired) => controlLog.appendRetiredText(retired),
    tidyLog: async () => {},
  })
  const encoder = createIngestEncoder({ topics: settings.events.topics, schemas, findId })
  return {
    settings,
    clock,
    backend,
    source,
    vectors,
    opensVectors,
    decoder,
    encoder,
    opened,
    pipelineSettings: ofPipeline,
    updater,
    housekeeping,
  }
}
