/** The DeleteRecords request: what lies before an offset of a partition goes for good. */

import type { OwnRequest } from './broker-link.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { expectNone } from './kafka-errors.ts'
import type { TopicPartition } from './list-offsets.ts'
import { WireReader, WireWriter } from './wire.ts'

const VERSION = 1

/** @throws {ConfigError | UnavailableError} when it isn't known whether they are gone, or we may not remove them */
export async function deleteRecords(
  cluster: KafkaCluster,
  at: TopicPartition,
  beforeOffset: number,
): Promise<void> {
  const [leader = -1] = await cluster.leaders([at])
  const link = await cluster.broker(leader)
  const { requestTimeoutMs } = cluster.settings
  expectNone(
    `remove records of ${at.topic}`,
    await link.own(deleteRecordsRequest(at, beforeOffset, requestTimeoutMs)),
  )
}

function deleteRecordsRequest(
  { topic, partition }: TopicPartition,
  beforeOffset: number,
  timeoutMs: number,
): OwnRequest<number> {
  const writer = new WireWriter(64 + topic.length)
  writer.array([topic], () =>
    writer.string(topic).array([partition], () => writer.int32(partition).int64(beforeOffset)),
  )
  writer.int32(timeoutMs)
  return { api: 'DeleteRecords', apiKey: 21, version: VERSION, body: writer.written(), read }
}

/** @returns the code of the one partition */
function read(payload: Buffer): number {
  const reader = new WireReader(payload)
  reader.int32() // How long we are held back.
  const topics = reader.array(() => {
    reader.string()
    return reader.array(() => {
      reader.int32() // The partition.
      reader.int64() // Where the log starts now.
      return reader.int16()
    })
  })
  const code = topics[0]?.[0]
  if (code === undefined) throw new RangeError('expected an answer for the partition, got none')
  return code
}
