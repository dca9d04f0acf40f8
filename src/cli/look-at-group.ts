/** The vectors that a group shares, as somebody sees them who only looks, beside running workers or without any. */

import type { Settings } from '../config/settings.ts'
import { KafkaCluster } from '../drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../drivers/kafka/kafka-control-log.ts'
import { SafeProducer } from '../drivers/kafka/safe-producer.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { ModelRecord } from '../vectors/model-registry.ts'
import { openSharedVectors } from './group-vectors.ts'
import { kafkaSettings, ownTopics } from './kafka-settings.ts'
import { type LookedAt, storedView } from './open-vectors.ts'
import { hasMain, requestRebuild } from './rebuild.ts'

/**
 * Changes nothing.
 *
 * @throws {ConfigError} `kafka-topic-missing`, `vectors-not-ours`, and what the drivers find
 * @throws {UnavailableError} brokers or server can't be reached
 */
export async function lookAtGroup(settings: Settings, clock: Clock): Promise<LookedAt> {
  const { controlLog, close: closeLog } = await openControlLog(settings, clock)
  try {
    const view = await storedView(controlLog)
    const { store, server } = await openSharedVectors(settings, clock)
    const isThere = view === null || (await hasMain(controlLog, store))
    const close = async () => {
      await store.close()
      await closeLog()
    }
    return { vectors: store, view, state: isThere ? 'matching' : 'lacking', server, close }
  } catch (error) {
    await closeLog()
    throw error
  }
}

/** Asks all workers to embed everybody anew; those that run begin within a second. */
export async function requestGroupRebuild(settings: Settings, clock: Clock): Promise<void> {
  const { controlLog, close } = await openControlLog(settings, clock)
  try {
    const appendModel = (record: Omit<ModelRecord, 'offset'>) =>
      controlLog.appendModel(record, {
        modelId: record.active,
        stage: 'active',
        parentModelId: null,
        artifactUri: null,
        artifactSha256: '',
        dimensions: 0,
      })
    await requestRebuild({ models: (after) => controlLog.models(after), appendModel })
  } finally {
    await close()
  }
}

async function openControlLog(settings: Settings, clock: Clock) {
  const kafka = kafkaSettings(settings)
  const cluster = await KafkaCluster.create(kafka, clock)
  const producer = await SafeProducer.open(kafka, clock)
  const close = async () => {
    await producer.close()
    cluster.close()
  }
  try {
    const { instructions, models } = ownTopics(settings)
    const topics = { instructions, models, tombstones: null }
    return { controlLog: await KafkaControlLog.open(cluster, producer, topics, () => null), close }
  } catch (error) {
    await close()
    throw error
  }
}
