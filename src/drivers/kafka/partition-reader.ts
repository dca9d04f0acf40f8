/** Reads a partition from an offset to the end that it has then, without a group: changelogs, control topics, dead letters. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import { fetchRequest } from './fetch.ts'
import { type Chunk, chunksOf } from './fetched-chunks.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, refusal } from './kafka-errors.ts'
import { listOffsets, type TopicPartition } from './list-offsets.ts'
import { untilAvailable } from './retry.ts'

/**
 * Parts of the log, in order, and the end that it had; the last part's `next` is there, or beyond it where a batch is longer.
 *
 * @param from offsets before the log's start are passed over: retention or compaction has taken their records
 * @throws {UnavailableError} between two parts, when no answer came in `requestTimeoutMs`
 * @throws {ConfigError} `log-truncated`, when the log ends before `from`
 */
export async function* readPartition(
  cluster: KafkaCluster,
  at: TopicPartition,
  from: number,
  signal?: AbortSignal,
): AsyncGenerator<Chunk & { end: number }> {
  const { clock, settings } = cluster
  const retried = <Result>(attempt: () => Promise<Result>) =>
    untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, attempt, signal)
  const [end = 0] = await retried(() => listOffsets(cluster, [at], 'end'))
  if (from > end)
    throw new ConfigError(
      'log-truncated',
      `expected partition ${at.partition} of ${at.topic} to reach offset ${from}, which was read from it before, got its end at ${end}: Kafka has lost records; stop the workers, remove their local state, and rebuild`,
    )
  if (from === end) return
  const [start = 0] = await retried(() => listOffsets(cluster, [at], 'start'))
  let position = Math.max(from, start)
  let movedMs = clock.nowMs()
  while (position < end && signal?.aborted !== true) {
    const fetched = await retried(() => fetchOnce(cluster, at, position))
    for await (const chunk of chunksOf(fetched, position)) {
      position = chunk.next
      movedMs = clock.nowMs()
      yield { ...chunk, end }
      if (signal?.aborted) return
    }
    // A leader that is new may not yet know how far it may be read.
    if (clock.nowMs() - movedMs > settings.requestTimeoutMs) throw nothingRead(at, position)
  }
}

async function fetchOnce(cluster: KafkaCluster, at: TopicPartition, offset: number) {
  const { settings } = cluster
  const [leader = -1] = await cluster.leaders([at])
  const link = await cluster.broker(leader)
  const limits = {
    waitMs: settings.fetchWaitMs,
    bytesMax: settings.fetchBytesMax,
    partitionBytesMax: settings.fetchBytesMax,
  }
  const { code, partitions } = await link.own(fetchRequest([{ ...at, offset }], limits))
  const [fetched] = partitions
  if (code !== CODE.none || fetched === undefined) throw refusal(`fetch records of ${at.topic}`, code)
  if (fetched.code !== CODE.none) throw refusal(`fetch records of ${at.topic}`, fetched.code)
  return fetched
}

function nothingRead({ topic, partition }: TopicPartition, position: number): UnavailableError {
  return new UnavailableError(
    'kafka-refused',
    `expected records of partition ${partition} of ${topic} from ${position} on, got none: they are fetched again`,
  )
}
