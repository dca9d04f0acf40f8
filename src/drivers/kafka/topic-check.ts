/** What must be true of the topics before anybody reads them: they exist, and a user lies in the same partition of each. */

import { ConfigError } from '../../errors.ts'
import type { ClusterMetadata } from './cluster-metadata.ts'
import { foundTopic } from './kafka-cluster.ts'

/**
 * @returns the partition count of all of them
 * @throws {ConfigError} `kafka-topic-missing`, `topics-not-co-partitioned`
 */
export function partitionCountOf(metadata: ClusterMetadata, topics: readonly string[]): number {
  const counts = topics.map((topic) => foundTopic(metadata, topic).partitions.length)
  const [first = 0] = counts
  if (counts.some((count) => count !== first)) {
    const found = topics.map((topic, index) => `${topic}: ${counts[index]}`).join(', ')
    throw new ConfigError(
      'topics-not-co-partitioned',
      `expected the same number of partitions in all topics, so that a user has one owner, got ${found}: create the topics that differ anew with the right number and copy their records, or set their partitioner to other in events.topics`,
    )
  }
  return first
}

/** @throws {ConfigError} `kafka-topic-missing`, `topic-partitions-changed` */
export function checkUnchanged(
  metadata: ClusterMetadata,
  topics: readonly string[],
  partitionCount: number,
): void {
  for (const topic of topics) {
    const { length } = foundTopic(metadata, topic).partitions
    if (length !== partitionCount)
      throw new ConfigError(
        'topic-partitions-changed',
        `expected ${partitionCount} partitions in ${topic}, as when we started, got ${length}: keys have other partitions now; stop all workers, give all topics the same number, and create the state anew`,
      )
  }
}
