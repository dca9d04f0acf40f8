/** Which topics the settings ask for, in the terms of the Kafka driver. */

import type { Settings } from '../config/settings.ts'
import type { SourceTopic, TopicNeeds } from '../drivers/kafka/topic-needs.ts'
import { ownTopics, repartitionTopic } from './kafka-settings.ts'

export function topicNeeds(settings: Settings): TopicNeeds {
  const { events, windows } = settings
  const { instructions, models, state, updates } = ownTopics(settings)
  return {
    sources: events.topics.map(({ topic, holds, partitioner }) => ({
      topic,
      holds: heldAs(holds),
      repartition: partitioner === 'other' ? repartitionTopic(settings, topic) : null,
    })),
    control: [instructions, models],
    state,
    updates: events.kafka.updates ? updates : null,
    valueBytesMax: events.valueBytesMax,
    userBytesMax: windows.userBytesMax,
    newTopics: events.kafka.newTopics,
  }
}

/** Topics that workers read, by the names of the settings. */
export function readTopics({ sources }: TopicNeeds): Map<string, string> {
  return new Map(sources.map(({ topic, repartition }) => [topic, repartition ?? topic]))
}

function heldAs(holds: Settings['events']['topics'][number]['holds']): SourceTopic['holds'] {
  if (holds === 'tombstone') return 'tombstones'
  return holds === 'tabular' ? 'latest' : 'events'
}
