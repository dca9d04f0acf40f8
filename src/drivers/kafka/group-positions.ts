/** Where a group stands in what it reads, and moving it: checkpoints are the truth, the group offset bounds them (O4, O9). */

import type { Checkpoint } from '../../pipeline/state-store.ts'
import { decodeRecord } from './changelog-codec.ts'
import {
  commitForEmptyGroup,
  committedOffsets,
  expectNoMembers,
  type PlacedOffset,
  placeOf,
} from './group-offsets.ts'
import { type ChangelogOptions, KafkaChangelog } from './kafka-changelog.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { listOffsets, type TopicPartition } from './list-offsets.ts'
import { readPartition } from './partition-reader.ts'
import { untilAvailable } from './retry.ts'
import { SafeProducer } from './safe-producer.ts'
import { partitionCountOf } from './topic-check.ts'

/** What a changelog says beside states. */
interface ChangelogHead {
  /** The confirmed one of the highest epoch; null: nobody ever owned the partition. */
  checkpoint: Checkpoint | null
  /** Of any record; 0: there is none. */
  highestEpoch: number
}

export interface Position extends TopicPartition {
  /** What the group has committed; null: nothing. */
  groupOffset: number | null
  /** Null: the last checkpoint doesn't know the topic, or there is none. */
  checkpoint: number | null
  start: number
  end: number
  /** Records between where the next owner begins and the end. */
  lag: number
  /** Of the last owner; null: there never was one. */
  epoch: number | null
}

/** The beginning of a log, its end, or the first record of a time (of the topic's timestamps) or later. */
export type ResetTarget = 'earliest' | 'latest' | { sinceMs: number }

export interface Reset {
  /** Of the topics that are read. */
  topics: readonly string[]
  partitions: readonly number[]
  to: ResetTarget
}

export interface Moved extends TopicPartition {
  /** Where the next owner would have begun: the smaller of checkpoint and group offset, as far as the log goes back. */
  from: number
  to: number
}

/** @param done called with each partition whose changelog was read */
type Progress = (done: number) => void

/** @returns the partition count of all topics that are read. @throws {ConfigError | UnavailableError} */
export async function readPartitionCount(cluster: KafkaCluster, topics: readonly string[]): Promise<number> {
  return partitionCountOf(await cluster.metadata(topics), topics)
}

/** By topic, then partition. @throws {ConfigError | UnavailableError} */
export async function positionsOf(
  cluster: KafkaCluster,
  topics: readonly string[],
  changelog: { topic: string; partitionCount: number },
  progress: Progress,
): Promise<Position[]> {
  const numbers = Array.from({ length: changelog.partitionCount }, (_, partition) => partition)
  const heads = await readHeads(cluster, changelog.topic, numbers, progress)
  const places = topics.flatMap((topic) => numbers.map((partition) => ({ topic, partition })))
  const [committed, starts, ends] = await retried(cluster, () =>
    Promise.all([
      committedOffsets(cluster, places),
      listOffsets(cluster, places, 'start'),
      listOffsets(cluster, places, 'end'),
    ]),
  )
  return places.map((place, index) => {
    const { checkpoint } = heads.get(place.partition)!
    const groupOffset = committed.get(placeOf(place)) ?? null
    const position = checkpoint?.positions.get(place.topic) ?? null
    const [start, end] = [starts[index]!, ends[index]!]
    const begin = Math.max(start, beginOf(groupOffset, position))
    const lag = Math.max(0, end - begin)
    return { ...place, groupOffset, checkpoint: position, start, end, lag, epoch: checkpoint?.epoch ?? null }
  })
}

/**
 * Moves a group without members (O9). A confirmed checkpoint of a new epoch comes first, in each partition: it outdates all
 * before it. Then the group offset: the next owner begins at the smaller of the two, so that whoever joins meanwhile, or a
 * crash between them, reads more than was asked for, never less.
 *
 * @param isDry says what would move, and writes nothing
 * @throws {ConfigError} `group-has-members`; where it comes between, nothing is lost
 * @throws {UnavailableError} when it isn't known whether all was moved: repeat it
 */
export async function resetPositions(
  cluster: KafkaCluster,
  { topics, partitions, to }: Reset,
  options: ChangelogOptions,
  isDry: boolean,
  progress: Progress,
): Promise<Moved[]> {
  if (!isDry) await retried(cluster, () => expectNoMembers(cluster))
  const heads = await readHeads(cluster, options.topic, partitions, progress)
  const places = topics.flatMap((topic) => partitions.map((partition) => ({ topic, partition })))
  const [committed, starts, offsets] = await retried(cluster, () =>
    Promise.all([
      committedOffsets(cluster, places),
      listOffsets(cluster, places, 'start'),
      targetsOf(cluster, places, to),
    ]),
  )
  const moved = places.map((place, index) => {
    const position = heads.get(place.partition)!.checkpoint?.positions.get(place.topic) ?? null
    const begin = beginOf(committed.get(placeOf(place)) ?? null, position)
    return { ...place, from: Math.max(starts[index]!, begin), to: offsets[index]! }
  })
  if (isDry) return moved
  await appendCheckpoints(cluster, options, heads, moved)
  const placed: PlacedOffset[] = moved.map(({ topic, partition, to: offset }) => ({
    topic,
    partition,
    offset,
  }))
  await retried(cluster, () => commitForEmptyGroup(cluster, placed))
  return moved
}

/** O4. */
function beginOf(groupOffset: number | null, checkpoint: number | null): number {
  return Math.min(groupOffset ?? 0, checkpoint ?? 0)
}

async function targetsOf(
  cluster: KafkaCluster,
  places: readonly TopicPartition[],
  to: ResetTarget,
): Promise<number[]> {
  if (to === 'earliest') return listOffsets(cluster, places, 'start')
  const ends = await listOffsets(cluster, places, 'end')
  if (to === 'latest') return ends
  const since = await listOffsets(cluster, places, to)
  // Nothing is of that time or later: what comes is.
  return since.map((offset, index) => (offset < 0 ? ends[index]! : offset))
}

async function appendCheckpoints(
  cluster: KafkaCluster,
  options: ChangelogOptions,
  heads: ReadonlyMap<number, ChangelogHead>,
  moved: readonly Moved[],
): Promise<void> {
  const producer = await SafeProducer.open(cluster.settings, cluster.clock)
  try {
    const changelog = await KafkaChangelog.open(cluster, producer, options)
    const highest = Math.max(...[...heads.values()].map(({ highestEpoch }) => highestEpoch))
    const epoch = Math.max(highest + 1, Math.floor(cluster.clock.nowMs() / 1_000))
    for (const [partition, ofPartition] of Map.groupBy(moved, ({ partition }) => partition)) {
      const last = heads.get(partition)!.checkpoint
      const checkpoint: Checkpoint = {
        epoch,
        // Those of other topics stay.
        positions: new Map([
          ...(last?.positions ?? []),
          ...ofPartition.map(({ topic, to }): [string, number] => [topic, to]),
        ]),
        confirmed: true,
        // Of a partition that nobody owned yet: a day before any other says nothing.
        day: last?.day ?? 0,
        partitionCount: last?.partitionCount ?? options.partitionCount,
      }
      await changelog.append(partition, [{ kind: 'checkpoint', epoch, checkpoint }])
    }
  } finally {
    await producer.close()
  }
}

async function readHeads(
  cluster: KafkaCluster,
  topic: string,
  partitions: readonly number[],
  progress: Progress,
): Promise<Map<number, ChangelogHead>> {
  const heads = new Map<number, ChangelogHead>()
  for (const partition of partitions) {
    heads.set(partition, await readHead(cluster, topic, partition))
    progress(heads.size)
  }
  return heads
}

/** All of it is read: a former owner may have appended late, so the last record needn't be of the highest epoch. */
async function readHead(cluster: KafkaCluster, topic: string, partition: number): Promise<ChangelogHead> {
  const checkpoints = new Map<number, Checkpoint>()
  let highestEpoch = 0
  for await (const { records } of readPartition(cluster, { topic, partition }, 0))
    for (const source of records) {
      const record = decodeRecord(source)
      if (record === null) continue
      highestEpoch = Math.max(highestEpoch, record.epoch)
      if (record.kind !== 'checkpoint') continue
      if (record.checkpoint?.confirmed === true) checkpoints.set(record.epoch, record.checkpoint)
      else checkpoints.delete(record.epoch)
    }
  const newest = Math.max(...checkpoints.keys())
  return { checkpoint: checkpoints.get(newest) ?? null, highestEpoch }
}

function retried<Result>(cluster: KafkaCluster, attempt: () => Promise<Result>): Promise<Result> {
  const { clock, settings } = cluster
  return untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, attempt)
}
