/** For verbs that speak to Kafka themselves: opens the cluster that the settings name, and closes it. */

import type { Settings } from '../config/settings.ts'
import { KafkaCluster } from '../drivers/kafka/kafka-cluster.ts'
import { untilAvailable } from '../drivers/kafka/retry.ts'
import { ConfigError } from '../errors.ts'
import { systemClock } from '../pipeline/clock.ts'
import { kafkaSettings } from './kafka-settings.ts'

/** Somebody waits, and can ask again; leaders that move take seconds. */
const PATIENCE_MS = 10_000

export interface KafkaAccess {
  cluster: KafkaCluster
  /** Tries again while brokers are away, for some seconds. */
  patiently: <Result>(attempt: () => Promise<Result>) => Promise<Result>
}

/** @throws {ConfigError} `events-not-in-kafka`, and what `act` throws */
export async function withKafka<Result>(
  settings: Settings,
  act: (access: KafkaAccess) => Promise<Result>,
): Promise<Result> {
  if (settings.events.driver !== 'kafka')
    throw new ConfigError(
      'events-not-in-kafka',
      `expected events.driver to be kafka, got ${settings.events.driver}: this verb looks after topics of Kafka; name the settings of the workers (--config)`,
    )
  const cluster = await KafkaCluster.create(kafkaSettings(settings), systemClock)
  const patiently = <Result>(attempt: () => Promise<Result>) =>
    untilAvailable(systemClock, systemClock.nowMs() + PATIENCE_MS, attempt)
  try {
    return await act({ cluster, patiently })
  } finally {
    cluster.close()
  }
}
