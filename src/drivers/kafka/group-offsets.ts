/** A group from outside: who is in it, how far it has committed, and setting that while nobody is. */

import { ConfigError } from '../../errors.ts'
import type { BrokerLink } from './broker-link.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, expectNone } from './kafka-errors.ts'
import type { TopicPartition } from './list-offsets.ts'

export interface GroupDescription {
  /** Kafka's word: `Stable`, `Empty`; `Dead`: there is none. */
  state: string
  members: readonly { clientId: string; host: string }[]
}

export type PlacedOffset = TopicPartition & { offset: number }

interface DescribeAnswer {
  groups: readonly {
    errorCode: number
    state: string
    members: readonly { clientId: string; clientHost: string }[]
  }[]
}

interface FetchAnswer {
  errorCode: number
  responses: readonly {
    topic: string
    partitions: readonly { partition: number; offset: string; errorCode: number }[]
  }[]
}

interface CommitAnswer {
  responses: readonly { partitions: readonly { errorCode: number }[] }[]
}

/** Of who is no member. */
const NO_GENERATION = -1
const NO_MEMBER = ''

/** What the coordinator says to a stranger's commit where a group has members. */
const HAS_MEMBERS = new Set<number>([CODE.unknownMemberId, CODE.illegalGeneration, CODE.rebalanceInProgress])

/** @throws {ConfigError | UnavailableError} */
export async function describeGroup(cluster: KafkaCluster): Promise<GroupDescription> {
  const { groupId } = cluster.settings
  return asking(cluster, async (link) => {
    const { groups } = await link.request<DescribeAnswer>('DescribeGroups', { groupIds: [groupId] })
    const [group] = groups
    if (group === undefined) return { state: 'Dead', members: [] }
    expectNone(`describe group ${groupId}`, group.errorCode)
    const members = group.members.map(({ clientId, clientHost }) => ({ clientId, host: clientHost }))
    return { state: group.state, members }
  })
}

/** @returns by `placeOf`; none where nothing was ever committed. @throws {ConfigError | UnavailableError} */
export async function committedOffsets(
  cluster: KafkaCluster,
  partitions: readonly TopicPartition[],
): Promise<Map<string, number>> {
  const { groupId } = cluster.settings
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
    topic,
    partitions: ofTopic.map(({ partition }) => ({ partition })),
  }))
  return asking(cluster, async (link) => {
    const answer = await link.request<FetchAnswer>('OffsetFetch', { groupId, topics })
    const found = new Map<string, number>()
    expectNone('tell committed offsets', answer.errorCode)
    for (const { topic, partitions: ofTopic } of answer.responses)
      for (const { partition, offset, errorCode } of ofTopic) {
        expectNone(`tell committed offsets of ${topic}`, errorCode)
        if (Number(offset) >= 0) found.set(placeOf({ topic, partition }), Number(offset))
      }
    return found
  })
}

/**
 * Commits as a stranger, which the coordinator takes only while the group has no members.
 *
 * @throws {ConfigError} `group-has-members`; nothing was committed
 * @throws {UnavailableError} when it isn't known whether it was
 */
export async function commitForEmptyGroup(
  cluster: KafkaCluster,
  offsets: readonly PlacedOffset[],
): Promise<void> {
  const { groupId } = cluster.settings
  const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
    topic,
    partitions: ofTopic.map(({ partition, offset }) => ({
      partition,
      offset: String(offset),
      metadata: null,
    })),
  }))
  await asking(cluster, async (link) => {
    const { responses } = await link.request<CommitAnswer>('OffsetCommit', {
      groupId,
      groupGenerationId: NO_GENERATION,
      memberId: NO_MEMBER,
      topics,
    })
    for (const { errorCode } of responses.flatMap(({ partitions }) => partitions)) {
      if (HAS_MEMBERS.has(errorCode)) throw hasMembers(groupId, 'somebody who joined just now')
      expectNone('commit offsets', errorCode)
    }
  })
}

/** @throws {ConfigError} `group-has-members` @throws {UnavailableError} */
export async function expectNoMembers(cluster: KafkaCluster): Promise<void> {
  const { members } = await describeGroup(cluster)
  if (members.length === 0) return
  const names = members.map(({ clientId, host }) => `${clientId} at ${host.replace(/^\//, '')}`)
  throw hasMembers(cluster.settings.groupId, names.join(', '))
}

export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`
}

function hasMembers(groupId: string, who: string): ConfigError {
  return new ConfigError(
    'group-has-members',
    `expected group ${groupId} to have no members, got ${who}: stop the workers, and where one was killed wait until events.kafka.sessionTimeoutMs has passed; then repeat the command`,
  )
}

async function asking<Result>(
  cluster: KafkaCluster,
  ask: (link: BrokerLink) => Promise<Result>,
): Promise<Result> {
  const link = await cluster.coordinator(cluster.settings.groupId)
  try {
    return await ask(link)
  } finally {
    link.close()
  }
}
