/** The backend of a worker: events, control records and dead letters lie in Kafka, states in a copy of the changelog. */

import type { KafkaCluster } from '../drivers/kafka/kafka-cluster.ts'
import type { KafkaControlLog } from '../drivers/kafka/kafka-control-log.ts'
import type { KafkaEventSource } from '../drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../drivers/kafka/kafka-settings.ts'
import { listOffsets } from '../drivers/kafka/list-offsets.ts'
import { readPartition } from '../drivers/kafka/partition-reader.ts'
import { partitionOf } from '../drivers/kafka/partitioner.ts'
import type { RecordToWrite } from '../drivers/kafka/record-batch-writer.ts'
import type { SafeProducer } from '../drivers/kafka/safe-producer.ts'
import type { WorkerDirectory } from '../drivers/sqlite/worker-directory.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { EmbeddingModel } from '../model/embedding-model.ts'
import type { Letters } from '../pipeline/letters.ts'
import type { Backend } from './backend.ts'

interface KafkaBackendParts {
  kafka: KafkaSettings
  cluster: KafkaCluster
  producer: SafeProducer
  source: KafkaEventSource
  controlLog: KafkaControlLog
  directory: WorkerDirectory
  letters: Letters
  model: EmbeddingModel
  /** Topics whose records are read from a copy: appended there, they need no copying. */
  readAs: ReadonlyMap<string, string>
}

export function kafkaBackend(parts: KafkaBackendParts): Backend {
  const { kafka, cluster, source, controlLog, directory, letters, model } = parts
  const { topics, partitionCount } = source
  const placesOf = (partition: number) => topics.map((topic) => ({ topic, partition }))
  return {
    place: `group ${kafka.groupId} at ${kafka.brokers.join(', ')}`,
    letters,
    append: (records) => append(parts, records),
    appendInstruction: (instruction) => controlLog.appendInstruction(instruction),
    appendGroup: (group) => controlLog.appendGroup(group),
    appendModel: (record) => controlLog.appendModel(record, descriptionOf(model)),
    partitionOf: (user) => partitionOf(Buffer.from(user), partitionCount),
    tombstone: async (tenant, user) => {
      const all = await controlLog.tombstones(partitionOf(Buffer.from(user), partitionCount))
      return all.find((one) => one.tenant === tenant && one.user === user)
    },
    endOf: (topic, partition) => source.knownEnd(topic, partition),
    storedUsers: (partition) => directory.states.userCount(partition),
    history: async function* (partition) {
      for (const at of placesOf(partition))
        for await (const { records } of readPartition(cluster, at, 0)) yield records
    },
    isWhole: async (partition) =>
      (await listOffsets(cluster, placesOf(partition), 'start')).every((start) => start === 0),
    announce: (url) => directory.announce(url),
    // The setting is the group's, and a collection knows the horizon that it was made with.
    keepHorizon: () => {},
  }
}

/** What the topic of models says of this one. */
export function descriptionOf({ id, contentHash, dimensions }: EmbeddingModel) {
  return {
    modelId: id,
    stage: 'active' as const,
    parentModelId: null,
    artifactUri: null,
    artifactSha256: contentHash,
    dimensions,
  }
}

async function append(
  { producer, source, readAs }: KafkaBackendParts,
  records: readonly NewRecord[],
): Promise<void> {
  const places = Map.groupBy(records, ({ topic, key }) => {
    const partition = key === null ? 0 : partitionOf(Buffer.from(key), source.partitionCount)
    return `${partition} ${readAs.get(topic) ?? topic}`
  })
  await Promise.all(
    [...places].map(([place, ofPlace]) => {
      const at = place.indexOf(' ')
      return producer.send(place.slice(at + 1), Number(place.slice(0, at)), ofPlace.map(toWrite))
    }),
  )
}

function toWrite({ key, value, headers = {} }: NewRecord): RecordToWrite {
  const named = Object.entries(headers).map(([name, text]): [string, Buffer] => [name, Buffer.from(text)])
  return { key, value, headers: named }
}
