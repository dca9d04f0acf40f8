/** The Metadata request in the version that tells topics' ids: who leads which partition. */

import type { OwnRequest } from './broker-link.ts'
import { WireReader, WireWriter } from './wire.ts'

interface PartitionMetadata {
  partition: number
  /** Node id; -1: there is none now. */
  leader: number
}

export interface TopicMetadata {
  /** 0, or why there is nothing to say. */
  code: number
  name: string
  /** Changes when the topic is deleted and created anew; 32 hex digits. */
  id: string
  /** By partition number. */
  partitions: readonly PartitionMetadata[]
}

export interface ClusterMetadata {
  nodes: ReadonlyMap<number, { host: string; port: number }>
  topics: ReadonlyMap<string, TopicMetadata>
}

const VERSION = 12
const NO_ID = Buffer.alloc(16)

/** @param topics empty: brokers only */
export function metadataRequest(topics: readonly string[]): OwnRequest<ClusterMetadata> {
  const writer = new WireWriter().noTags()
  writer.compactArray(topics, (topic) => writer.bytes(NO_ID).compactString(topic).noTags())
  writer
    .boolean(false) // Topics are not created by asking for them.
    .boolean(false) // Nor are rights.
    .noTags()
  return { api: 'Metadata', apiKey: 3, version: VERSION, body: Buffer.from(writer.written()), read }
}

function read(payload: Buffer): ClusterMetadata {
  const reader = new WireReader(payload)
  reader.skipTags()
  reader.int32() // How long the broker would have us wait.
  const nodes = reader.compactArray(() => {
    const node = { id: reader.int32(), host: reader.compactString() ?? '', port: reader.int32() }
    reader.compactString() // Its rack.
    reader.skipTags()
    return node
  })
  reader.compactString() // The cluster's id.
  reader.int32() // The controller.
  const topics = reader.compactArray(() => readTopic(reader))
  return {
    nodes: new Map(nodes.map(({ id, host, port }) => [id, { host, port }])),
    topics: new Map(topics.map((topic) => [topic.name, topic])),
  }
}

function readTopic(reader: WireReader): TopicMetadata {
  const code = reader.int16()
  const name = reader.compactString() ?? ''
  const id = reader.uuid()
  reader.boolean() // Internal.
  const partitions = reader.compactArray(() => {
    reader.int16() // Its code: whether there is a leader says enough.
    const partition = { partition: reader.int32(), leader: reader.int32() }
    reader.int32() // The leader's epoch.
    for (let list = 0; list < 3; list++) reader.compactArray(() => reader.int32()) // Replicas, in sync, offline.
    reader.skipTags()
    return partition
  })
  reader.int32() // Rights.
  reader.skipTags()
  return { code, name, id, partitions: partitions.toSorted((a, b) => a.partition - b.partition) }
}
