/** The vectors that a group shares, as somebody sees them who only looks, beside running workers or without any. */

import type { Settings } from '../config/settings.ts'
import { KafkaControlLog } from '../drivers/kafka/kafka-control-log.ts'
import type { Clock } from '../pipeline/clock.ts'
import type { ModelRecord } from '../vectors/model-registry.ts'
import { openSharedVectors } from './group-vectors.ts'
import { openKafka } from './kafka-access.ts'
import { ownTopics } from './kafka-settings.ts'
import { type LookedAt, silentVectors, storedView } from './open-vectors.ts'
import { hasMain, requestRebuild } from './rebuild.ts'
import { sayNote, sayWhile } from './say-while.ts'

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
    const { store, server } = await sayWhile(
      () => sayNote('vectors', silentVectors(settings)),
      () => openSharedVectors(settings, clock),
    )
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
  const { cluster, producer, close } = await openKafka(settings, clock)
  try {
    const { instructions, models } = ownTopics(settings)
    const topics = { instructions, models, tombstones: null }
    const controlLog = await sayWhile(
      () =>
        sayNote(
          'kafka',
          `${instructions} and ${models} are not told of yet: a topic that was just made may still appear`,
        ),
      () => KafkaControlLog.open(cluster, producer, topics, () => null),
    )
    return { controlLog, close }
  } catch (error) {
    await close()
    throw error
  }
}
