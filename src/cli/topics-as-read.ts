/** The source topics as workers read them: those of other partitioners from their copies, by key. */

import type { Settings } from '../config/settings.ts'
import type { CopiedTopic } from '../drivers/kafka/repartition.ts'
import { repartitionTopic } from './kafka-settings.ts'

type Topics = Settings['events']['topics']

/** What the topics hold, under the names that are read. */
export function asRead(settings: Settings): Topics {
  return settings.events.topics.map((topic) =>
    topic.partitioner === 'other' ? { ...topic, topic: repartitionTopic(settings, topic.topic) } : topic,
  )
}

/** What a worker copies while it runs; empty: nothing. */
export function copiedTopics(settings: Settings): CopiedTopic[] {
  return settings.events.topics.flatMap(({ topic, partitioner }) =>
    partitioner === 'other' ? [{ from: topic, to: repartitionTopic(settings, topic) }] : [],
  )
}
