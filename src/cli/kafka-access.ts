/** The one way to Kafka for every verb and for workers: opened, heard of, and closed. */

import type { Settings } from '../config/settings.ts'
import { KafkaCluster } from '../drivers/kafka/kafka-cluster.ts'
import type { KafkaSettings } from '../drivers/kafka/kafka-settings.ts'
import { untilAvailable } from '../drivers/kafka/retry.ts'
import { SafeProducer } from '../drivers/kafka/safe-producer.ts'
import { ConfigError, UnavailableError } from '../errors.ts'
import { type Clock, systemClock } from '../pipeline/clock.ts'
import { kafkaSettings } from './kafka-settings.ts'
import { type Say, sayNote, sayWhile } from './say-while.ts'

/** Somebody waits, and can ask again; leaders that move take seconds. */
const PATIENCE_MS = 10_000

export interface OpenedKafka {
  kafka: KafkaSettings
  /** Some broker has answered it. */
  cluster: KafkaCluster
  /** Connects when it is first used. */
  producer: SafeProducer
  /** Waits for what was sent, as long as a stop may. */
  close(): Promise<void>
}

interface Patience {
  /** How long brokers may be away. */
  limitMs: number
  /** Which setting says so; null: none does. */
  setting: string | null
  say: Say
}

const OF_VERBS: Patience = { limitMs: PATIENCE_MS, setting: null, say: sayNote }

/** @param say told of brokers that are silent */
export function patienceOfWorkers({ events }: Settings, say: Say): Patience {
  return { limitMs: events.kafka.startTimeoutMs, setting: 'events.kafka.startTimeoutMs', say }
}

/**
 * Waits for the first broker that answers, at an address that the cluster advertises.
 *
 * @throws {ConfigError} `events-not-in-kafka`, `kafka-authentication`, `kafka-tls` and what else waiting doesn't mend
 * @throws {UnavailableError} `kafka-unreachable`, with all brokers that were tried
 */
export async function openKafka(
  settings: Settings,
  clock: Clock = systemClock,
  patience: Patience = OF_VERBS,
): Promise<OpenedKafka> {
  if (settings.events.driver !== 'kafka')
    throw new ConfigError(
      'events-not-in-kafka',
      `expected events.driver to be kafka, got ${settings.events.driver}: this verb looks after topics of Kafka; name the settings of the workers (--config)`,
    )
  const kafka = kafkaSettings(settings)
  const cluster = await KafkaCluster.create(kafka, clock)
  try {
    await reach(cluster, patience)
    const producer = await SafeProducer.open(kafka, clock)
    const close = async () => {
      await producer.close()
      cluster.close()
    }
    return { kafka, cluster, producer, close }
  } catch (error) {
    cluster.close()
    throw error
  }
}

export interface KafkaAccess {
  cluster: KafkaCluster
  /** Tries again while brokers are away, for some seconds. */
  patiently: <Result>(attempt: () => Promise<Result>) => Promise<Result>
}

/** @throws what `openKafka` and `act` throw */
export async function withKafka<Result>(
  settings: Settings,
  act: (access: KafkaAccess) => Promise<Result>,
): Promise<Result> {
  const { cluster, close } = await openKafka(settings)
  const patiently = <Result>(attempt: () => Promise<Result>) =>
    untilAvailable(systemClock, systemClock.nowMs() + PATIENCE_MS, attempt)
  try {
    return await act({ cluster, patiently })
  } finally {
    await close()
  }
}

async function reach(cluster: KafkaCluster, { limitMs, setting, say }: Patience): Promise<void> {
  const { clock, settings } = cluster
  const deadlineMs = clock.nowMs() + limitMs
  const brokers = settings.brokers.join(', ')
  const limit = setting === null ? '' : ` (${setting})`
  let last: unknown = null
  const attempt = () =>
    answer(cluster).catch((error: unknown) => {
      last = error
      throw error
    })
  const told = () => {
    const leftSeconds = Math.max(0, Math.round((deadlineMs - clock.nowMs()) / 1_000))
    say(
      'kafka',
      `no broker answers yet; tried: ${brokers}; last error: ${reasonOf(last)}; given up in ${leftSeconds} s${limit}`,
    )
  }
  try {
    await sayWhile(told, () => untilDeadline(clock, limitMs, untilAvailable(clock, deadlineMs, attempt)))
  } catch (error) {
    if (!(error instanceof UnavailableError) || error.code === 'kafka-closed') throw error
    throw new UnavailableError(
      'kafka-unreachable',
      `expected one of ${brokers} to answer within ${Math.round(limitMs / 1_000)} s${limit}, got: ${reasonOf(last)}: see whether they run and can be reached from here, and whether events.kafka.brokers, tls and sasl are as their listener wants them`,
      { cause: last ?? error },
    )
  }
}

/** An attempt at a silent broker may take longer than there is time: it is left to end when the cluster is closed. */
async function untilDeadline(clock: Clock, limitMs: number, attempts: Promise<void>): Promise<void> {
  const done = new AbortController()
  const late = clock.sleep(limitMs, done.signal).then(() => {
    if (!done.signal.aborted) throw new UnavailableError('kafka-unreachable', 'expected an answer, got none')
  })
  attempts.catch(() => {})
  try {
    await Promise.race([attempts, late])
  } finally {
    done.abort()
  }
}

/** Who was found may advertise addresses that lead nowhere from here: one of them has to answer, too. */
async function answer(cluster: KafkaCluster): Promise<void> {
  const { nodes } = await cluster.metadata([])
  let last: unknown = null
  for (const node of nodes.keys()) {
    try {
      await cluster.broker(node)
      return
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      last = error
    }
  }
  const advertised = [...nodes.values()].map(({ host, port }) => `${host}:${port}`).join(', ')
  throw new UnavailableError(
    'kafka-unreachable',
    `expected an answer at one of the addresses that brokers advertise (${advertised}), got: ${reasonOf(last)}: correct their advertised.listeners`,
  )
}

/** Without the advice for somebody who has not begun to wait. */
function reasonOf(error: unknown): string {
  if (error === null) return 'none, they are silent'
  const { cause, message } = error as Error
  return cause instanceof Error ? cause.message : message
}
