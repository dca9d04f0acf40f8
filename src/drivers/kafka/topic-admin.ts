/** Looks at the topics of a cluster, makes what a plan says, and refuses to start on what is missing or wrong. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import { createKafka } from './kafka-client.ts'
import { foundTopic, type KafkaCluster } from './kafka-cluster.ts'
import { CODE, codeName, connectionError, refusal } from './kafka-errors.ts'
import { listOffsets } from './list-offsets.ts'
import { untilAvailable } from './retry.ts'
import {
  type FoundTopic,
  type FoundTopics,
  type TopicNeeds,
  type WantedTopic,
  wantedTopics,
} from './topic-needs.ts'
import { planTopics, type TopicFinding, type TopicPlan } from './topic-plan.ts'

/** Kafka's numbers for a topic as what is configured, and for a setting that is the topic's own. */
const TOPIC_RESOURCE = 2
const TOPIC_CONFIG = 1

/** The broker's own default: kafkajs and Kafka mean the same by it. */
const DEFAULT_REPLICAS = -1

/** Brokers may take a moment to hear of what was just made; as long may one that has just started miss topics. */
const SEEN_MS_MAX = 10_000
const MISSING_MS_MAX = 3_000

/** The same request would be refused again. */
const REFUSED = new Set<number>([
  CODE.invalidTopic,
  CODE.invalidPartitions,
  CODE.invalidReplicationFactor,
  CODE.invalidConfig,
  CODE.invalidRequest,
  CODE.policyViolation,
])

interface ConfigsAnswer {
  resources: readonly {
    errorCode: number
    resourceName: string
    configEntries: readonly { configName: string; configValue: string | null; configSource: number }[]
  }[]
}

interface AlterAnswer {
  resources: readonly { errorCode: number; errorMessage: string | null; resourceName: string }[]
}

/** The settings of a topic: in force, and those among them that are its own. */
interface Configs {
  inForce: ReadonlyMap<string, string>
  own: ReadonlyMap<string, string>
}

/** @throws {ConfigError | UnavailableError} */
export async function planFor(cluster: KafkaCluster, needs: TopicNeeds): Promise<TopicPlan> {
  return planTopics(needs, await lookAtTopics(cluster, needs))
}

/**
 * Makes what is missing, and sets what is to be changed; returns when brokers tell of it. Who makes the same topics at the
 * same time does no harm.
 *
 * @throws {ConfigError} `topic-refused`, `kafka-authorization`
 * @throws {UnavailableError} when it isn't known whether all is made: the next plan says
 */
export async function applyPlan(cluster: KafkaCluster, needs: TopicNeeds, plan: TopicPlan): Promise<void> {
  if (plan.create.length > 0) await createTopics(cluster, plan.create, needs.newTopics.replicas)
  if (plan.change.size > 0) await changeConfigs(cluster, plan.change)
  const { clock } = cluster
  await untilAvailable(clock, clock.nowMs() + SEEN_MS_MAX, async () => {
    const { create, change } = await planFor(cluster, needs)
    const [left] = [...create.map(({ topic }) => topic), ...change.keys()]
    if (left !== undefined)
      throw new UnavailableError(
        'kafka-refused',
        `expected brokers to tell of ${left} as it was made, got it as it was before: ask again with freshet topics plan`,
      )
  })
}

/**
 * What has to be true of the topics before a worker starts.
 *
 * @returns what doesn't hinder a start, for the operator to know
 * @throws {ConfigError} `topics-not-ready`, with all that is missing or wrong
 * @throws {UnavailableError} when nobody can tell in `startTimeoutMs`
 */
export async function checkTopics(cluster: KafkaCluster, needs: TopicNeeds): Promise<TopicFinding[]> {
  const { clock, settings } = cluster
  const startMs = clock.nowMs()
  const findings = await untilAvailable(clock, startMs + settings.startTimeoutMs, async () => {
    const found = (await planFor(cluster, needs)).findings
    const hindering = found.filter(hinders)
    if (hindering.length === 0) return found
    const error = notReady(hindering)
    const mayCome = hindering.every(({ action }) => action === 'create')
    if (mayCome && clock.nowMs() - startMs < Math.min(MISSING_MS_MAX, settings.startTimeoutMs))
      throw new UnavailableError('kafka-refused', error.message, { cause: error })
    throw error
  }).catch((error: Error) => {
    throw error.cause instanceof ConfigError ? error.cause : error
  })
  return [...findings]
}

/** Dead letters that are too small for some records are no reason to stand still. */
function hinders({ action, use }: TopicFinding): boolean {
  return action === 'create' || action === 'refuse' || (action === 'change' && use !== 'dead-letters')
}

function notReady(findings: readonly TopicFinding[]): ConfigError {
  const all = findings.map(findingText).join('; ')
  return new ConfigError(
    'topics-not-ready',
    `expected all topics to be as freshet needs them, got: ${all}: run freshet topics apply, which makes what is missing and says what to do about the rest`,
  )
}

/** `freshet.state: cleanup.policy is delete, expected compact`. */
export function findingText({ topic, action, what, found, wanted }: TopicFinding): string {
  if (action === 'create') return `${topic} is missing`
  return `${topic}: ${what} is ${found ?? 'not told'}, expected ${wanted}`
}

async function lookAtTopics(cluster: KafkaCluster, needs: TopicNeeds): Promise<FoundTopics> {
  const names = [...new Set(wantedTopics(needs, new Map()).map(({ topic }) => topic))]
  const metadata = await cluster.metadata(names)
  const there = names.filter((name) => isThere(metadata.topics.get(name)?.code, name))
  if (there.length === 0) return new Map()
  const configs = await describeConfigs(cluster, there)
  const empty = await emptyOf(
    cluster,
    needs.control.filter((topic) => there.includes(topic)),
    (topic) => foundTopic(metadata, topic).partitions.length,
  )
  return new Map(
    there.map((name): [string, FoundTopic] => [
      name,
      {
        partitionCount: foundTopic(metadata, name).partitions.length,
        configs: configs.get(name)!.inForce,
        isEmpty: empty.has(name),
      },
    ]),
  )
}

function isThere(code: number | undefined, topic: string): boolean {
  if (code === CODE.invalidTopic) throw refused(topic, code, null)
  return code !== undefined && code !== CODE.unknownTopicOrPartition
}

/** @returns those topics in which no record ever was */
async function emptyOf(
  cluster: KafkaCluster,
  topics: readonly string[],
  partitionCount: (topic: string) => number,
): Promise<Set<string>> {
  const partitions = topics.flatMap((topic) =>
    Array.from({ length: partitionCount(topic) }, (_, partition) => ({ topic, partition })),
  )
  const ends = await listOffsets(cluster, partitions, 'end')
  const used = new Set(partitions.filter((_, index) => ends[index]! > 0).map(({ topic }) => topic))
  return new Set(topics.filter((topic) => !used.has(topic)))
}

async function describeConfigs(
  cluster: KafkaCluster,
  topics: readonly string[],
): Promise<Map<string, Configs>> {
  const resources = topics.map((name) => ({ type: TOPIC_RESOURCE, name }))
  const answer = await cluster.ask<ConfigsAnswer>('DescribeConfigs', { resources, includeSynonyms: false })
  const found = new Map<string, Configs>()
  for (const { errorCode, resourceName, configEntries } of answer.resources) {
    if (errorCode !== CODE.none) throw refusal(`tell the settings of topic ${resourceName}`, errorCode)
    const own = configEntries.filter(({ configSource }) => configSource === TOPIC_CONFIG)
    found.set(resourceName, { inForce: valuesOf(configEntries), own: valuesOf(own) })
  }
  for (const topic of topics)
    if (!found.has(topic)) throw refusal(`tell the settings of topic ${topic}`, CODE.unknownTopicOrPartition)
  return found
}

function valuesOf(
  entries: readonly { configName: string; configValue: string | null }[],
): Map<string, string> {
  return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? '']))
}

async function createTopics(
  cluster: KafkaCluster,
  wanted: readonly WantedTopic[],
  replicas: number | null,
): Promise<void> {
  const { settings } = cluster
  const admin = (await createKafka(settings)).admin()
  try {
    await admin.connect()
    await admin.createTopics({
      waitForLeaders: false,
      topics: wanted.map(({ topic, partitionCount, configs }) => ({
        topic,
        numPartitions: partitionCount,
        replicationFactor: replicas ?? DEFAULT_REPLICAS,
        configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })),
      })),
    })
  } catch (error) {
    const { errors } = error as { errors?: readonly { topic: string; code: number }[] }
    if (errors === undefined) throw connectionError(settings.brokers.join(','), error)
    // Of several, the first: the next attempt tells of the others. Those that others have made are made.
    const real = errors.find(({ code }) => code !== CODE.topicAlreadyExists)
    if (real !== undefined) throw refused(real.topic, real.code, null)
  } finally {
    await admin.disconnect().catch(() => {}) // What failed is told above.
  }
}

/** The request replaces all settings of a topic: those that are its own already go along. */
async function changeConfigs(cluster: KafkaCluster, change: TopicPlan['change']): Promise<void> {
  const configs = await describeConfigs(cluster, [...change.keys()])
  const resources = [...change].map(([name, changes]) => ({
    type: TOPIC_RESOURCE,
    name,
    configEntries: [...new Map([...configs.get(name)!.own, ...changes])].map(([key, value]) => ({
      name: key,
      value,
    })),
  }))
  const answer = await cluster.ask<AlterAnswer>('AlterConfigs', { resources, validateOnly: false })
  for (const { errorCode, errorMessage, resourceName } of answer.resources)
    if (errorCode !== CODE.none) throw refused(resourceName, errorCode, errorMessage)
}

function refused(topic: string, code: number, message: string | null): ConfigError | UnavailableError {
  if (!REFUSED.has(code)) return refusal(`make or change topic ${topic}`, code)
  const said = message === null ? '' : ` (${message})`
  return new ConfigError(
    'topic-refused',
    `expected Kafka to take topic ${topic} as freshet needs it, got ${codeName(code)}${said}: correct its name, events.kafka.topicPrefix or newTopics, or the brokers' limits and policies`,
  )
}
