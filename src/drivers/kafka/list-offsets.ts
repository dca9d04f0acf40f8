/** Where the logs of partitions begin and end. */

import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, refusal } from './kafka-errors.ts'

/** The first offset that is still there, the offset behind the last that may be read, or the first of a time or later. */
export type LogPlace = 'start' | 'end' | { sinceMs: number }

export interface TopicPartition {
  topic: string
  partition: number
}

interface OffsetAnswer {
  responses: readonly {
    topic: string
    partitions: readonly { partition: number; errorCode: number; offset: string }[]
  }[]
}

const TIMESTAMPS = { start: -2, end: -1 } as const
const NO_REPLICA = -1
const READ_COMMITTED = 1

/**
 * Asks the partitions' leaders.
 *
 * @returns offsets in the order of the partitions; -1: there is no record of the time or later
 * @throws {ConfigError | UnavailableError}
 */
export async function listOffsets(
  cluster: KafkaCluster,
  partitions: readonly TopicPartition[],
  which: LogPlace,
): Promise<number[]> {
  const leaders = await cluster.leaders(partitions)
  const byLeader = Map.groupBy(partitions, (_, index) => leaders[index]!)
  const found = new Map<string, number>()
  const timestamp = typeof which === 'string' ? TIMESTAMPS[which] : which.sinceMs
  await Promise.all(
    [...byLeader].map(async ([leader, led]) => {
      const link = await cluster.broker(leader)
      const topics = [...Map.groupBy(led, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
        topic,
        partitions: ofTopic.map(({ partition }) => ({ partition, timestamp })),
      }))
      const answer = await link.request<OffsetAnswer>('ListOffsets', {
        replicaId: NO_REPLICA,
        isolationLevel: READ_COMMITTED,
        topics,
      })
      for (const { topic, partitions: told } of answer.responses)
        for (const { partition, errorCode, offset } of told) {
          if (errorCode !== CODE.none) throw refusal(`tell the offsets of ${topic}`, errorCode)
          found.set(`${topic} ${partition}`, Number(offset))
        }
    }),
  )
  return partitions.map(({ topic, partition }) => found.get(`${topic} ${partition}`) ?? 0)
}
