/** Events from Kafka: a group's partitions with their true generation, records from where they were sought, commits. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import { outOfRange } from '../../pipeline/channels.ts'
import type { Clock } from '../../pipeline/clock.ts'
import type { EventSource, Positions, SourceListener } from '../../pipeline/event-source.ts'
import type { Cursor } from './cursor.ts'
import { Fetcher } from './fetcher.ts'
import { GroupMember } from './group-member.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import type { KafkaSettings } from './kafka-settings.ts'
import { listOffsets } from './list-offsets.ts'
import { checkPartition } from './partitioner.ts'
import { untilAvailable } from './retry.ts'
import { checkUnchanged, partitionCountOf } from './topic-check.ts'

/** Brokers may take a moment to hear of a topic that was just created. */
const CREATED_MS_MAX = 3_000

/** How often it is looked whether anything is stuck. */
const WATCH_MS = 1_000

interface SourceOptions {
  /** Whether every record must lie where murmur2 puts its key; default true. False: its producers choose otherwise. */
  checksPartitions?: boolean
}

export class KafkaEventSource implements EventSource {
  readonly topics: readonly string[]
  readonly partitionCount: number
  /** Called with what only a restart mends, once; nothing is handed over from then on. */
  failed: (error: unknown) => void = () => {}

  private readonly cluster: KafkaCluster
  private readonly fetcher: Fetcher
  private readonly member: GroupMember
  private readonly stopping = new AbortController()
  private listener: SourceListener | undefined
  private watching: Promise<void> = Promise.resolve()
  private held: readonly number[] = []
  /** Not sought since the last assignment. */
  private readonly unsought = new Set<number>()
  private readonly checksPartitions: boolean
  private generation = -1
  private hasFailed = false

  private constructor(
    cluster: KafkaCluster,
    topics: readonly string[],
    partitionCount: number,
    { checksPartitions = true }: SourceOptions,
  ) {
    this.cluster = cluster
    this.checksPartitions = checksPartitions
    this.topics = topics
    this.partitionCount = partitionCount
    const failed = (error: unknown) => this.fail(error)
    this.fetcher = new Fetcher(cluster, topics, {
      records: (batch) => this.records(batch),
      outOfRange: (cursor) => this.outOfRange(cursor),
      metadata: (metadata) => checkUnchanged(metadata, topics, partitionCount),
      failed,
    })
    this.member = new GroupMember(cluster, topics, partitionCount, {
      joined: (generation, partitions) => this.joined(generation, partitions),
      left: () => this.left(),
      failed,
    })
  }

  /**
   * Connects, and checks the topics.
   *
   * @throws {ConfigError} when they are missing or not co-partitioned, or the brokers refuse us
   * @throws {UnavailableError} when no broker answered in `startTimeoutMs`
   */
  static async open(
    settings: KafkaSettings,
    topics: readonly string[],
    clock: Clock,
    options: SourceOptions = {},
  ): Promise<KafkaEventSource> {
    const cluster = await KafkaCluster.create(settings, clock)
    try {
      const deadlineMs = clock.nowMs() + settings.startTimeoutMs
      const missingDeadlineMs = clock.nowMs() + Math.min(CREATED_MS_MAX, settings.startTimeoutMs)
      const count = await untilAvailable(clock, deadlineMs, async () => {
        try {
          return partitionCountOf(await cluster.metadata(topics), topics)
        } catch (error) {
          const isMissing = error instanceof ConfigError && error.code === 'kafka-topic-missing'
          if (!isMissing || clock.nowMs() >= missingDeadlineMs) throw error
          throw new UnavailableError('kafka-refused', error.message, { cause: error })
        }
      })
      return new KafkaEventSource(cluster, topics, count, options)
    } catch (error) {
      cluster.close()
      throw error
    }
  }

  async start(listener: SourceListener): Promise<void> {
    this.listener = listener
    this.member.start()
    this.watching = this.watch()
  }

  seek(partition: number, positions: Positions): void {
    if (!this.held.includes(partition) || this.isStopped) return
    // Whoever takes a partition over knows of no pause of former days; a later seek leaves pauses as they are.
    const isFirst = this.unsought.delete(partition)
    for (const cursor of this.fetcher.cursorsOf(partition)) {
      if (isFirst) cursor.isPaused = false
      cursor.seek(positions.get(cursor.topic) ?? 0)
    }
    this.fetcher.schedule()
  }

  pause(partitions: readonly number[]): void {
    this.setPaused(partitions, true)
  }

  resume(partitions: readonly number[]): void {
    this.setPaused(partitions, false)
    this.fetcher.schedule()
  }

  commit(generation: number, offsets: ReadonlyMap<number, Positions>): Promise<boolean> {
    return this.member.commit(generation, offsets)
  }

  committed(partition: number): Promise<Positions> {
    return this.member.committed(partition)
  }

  async endOffsets(partition: number): Promise<Positions> {
    const { clock, settings } = this.cluster
    const wanted = this.topics.map((topic) => ({ topic, partition }))
    const ends = await untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, () =>
      listOffsets(this.cluster, wanted, 'end'),
    )
    return new Map(wanted.map(({ topic }, index) => [topic, ends[index]!]))
  }

  /** The end as last heard, without asking; null: not heard of yet. */
  knownEnd(topic: string, partition: number): number | null {
    if (!this.held.includes(partition)) return null
    return this.fetcher.cursorsOf(partition).find((cursor) => cursor.topic === topic)?.end ?? null
  }

  /** Nothing is handed over any more; commits are still taken, until `close`. */
  async stop(): Promise<void> {
    this.stopping.abort()
    this.fetcher.stop()
    this.member.stop()
  }

  /** Leaves the group and disconnects, in `stopTimeoutMs` at most. */
  async close(): Promise<void> {
    const { clock, settings } = this.cluster
    await this.stop()
    const done = new AbortController()
    const leaving = this.member.close().finally(() => done.abort())
    await Promise.race([leaving, clock.sleep(settings.stopTimeoutMs, done.signal)])
    this.cluster.close()
    await Promise.all([leaving, this.fetcher.ended(), this.watching])
  }

  private joined(generation: number, partitions: readonly number[]): void {
    if (this.isStopped) return
    // O2: nobody can have owned in between what was ours in the generation before.
    const isNext = generation === this.generation + 1
    for (const partition of this.held)
      if (!isNext || !partitions.includes(partition)) this.fetcher.forget(partition)
    this.generation = generation
    this.held = partitions
    this.unsought.clear()
    for (const partition of partitions) this.unsought.add(partition)
    this.listener?.assigned({ generation, partitions })
    this.fetcher.schedule()
  }

  private left(): void {
    if (this.isStopped) return
    this.listener?.revoked()
  }

  private records(batch: readonly SourceRecord[]): void {
    if (this.checksPartitions) for (const record of batch) checkPartition(record, this.partitionCount)
    this.listener?.records(batch)
  }

  private async outOfRange(cursor: Cursor): Promise<number> {
    const { topic, partition, position: from } = cursor
    const [[start = 0], [end = 0]] = await Promise.all([
      listOffsets(this.cluster, [cursor], 'start'),
      listOffsets(this.cluster, [cursor], 'end'),
    ])
    // Nothing was ever read here: the beginning is where the log begins now.
    if (from === 0) return start
    const { offsetOutOfRange: policy } = this.cluster.settings
    const to = { earliest: start, latest: end, fail: from }[policy]
    outOfRange.publish({ topic, partition, from, to, start, end, policy })
    if (policy === 'fail')
      throw new ConfigError(
        'offset-out-of-range',
        `expected partition ${partition} of ${topic} to hold offset ${from}, got a log from ${start} to ${end}: records were lost, or the topic is another; set events.kafka.offsetOutOfRange to earliest or latest to go on, or reset the offsets`,
      )
    return to
  }

  private fail(error: unknown): void {
    if (this.hasFailed) return
    this.hasFailed = true
    this.fetcher.stop()
    this.failed(error)
  }

  private get isStopped(): boolean {
    return this.stopping.signal.aborted
  }

  private setPaused(partitions: readonly number[], isPaused: boolean): void {
    for (const partition of partitions)
      if (this.held.includes(partition))
        for (const cursor of this.fetcher.cursorsOf(partition)) cursor.isPaused = isPaused
  }

  /** A reader that stands still for no known reason is worse than one that died: its group waits for it. */
  private async watch(): Promise<void> {
    const { clock, settings } = this.cluster
    while (!this.isStopped) {
      await clock.sleep(WATCH_MS, this.stopping.signal)
      for (const cursor of this.fetcher.all()) {
        const stuckMs = cursor.stuckMs(clock.nowMs())
        if (stuckMs <= settings.stuckAfterMs) continue
        const { topic, partition, position, end } = cursor
        const message = `expected partition ${partition} of ${topic} to be read on from ${position} (its end is ${end ?? 'not known'}), got nothing for ${stuckMs} ms: restart; another worker can take it over`
        this.fail(new UnavailableError('kafka-reading-stuck', message))
        return
      }
    }
  }
}
