/**
 * Reads the partitions that somebody wants: one loop a broker fetches from all that it leads, hands over what came in
 * small parts with turns of the event loop between, and follows leaders as they move. It never joins, commits or jumps.
 */

import { type ConfigError, UnavailableError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import { driverLog, unavailable } from '../../pipeline/channels.ts'
import type { ClusterMetadata } from './cluster-metadata.ts'
import { Cursor } from './cursor.ts'
import { type FetchedPartition, fetchRequest } from './fetch.ts'
import { chunksOf } from './fetched-chunks.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, refusal } from './kafka-errors.ts'
import { Backoff } from './retry.ts'

export interface FetcherListener {
  /** Of one topic and partition, in order; synchronous. */
  records(batch: readonly SourceRecord[]): void
  /** The log doesn't hold the cursor's position. @returns where to read on */
  outOfRange(cursor: Cursor): Promise<number>
  /** After each reading of the topics. @throws {ConfigError} when they are not what they were */
  metadata(metadata: ClusterMetadata): void
  /** Only a restart mends it, if anything does. */
  failed(error: unknown): void
}

/** Work of our own between two turns of the event loop, milliseconds: acknowledgements, probes and heartbeats want theirs. */
const TURN_MS = 8

export class Fetcher {
  private readonly cluster: KafkaCluster
  private readonly topics: readonly string[]
  private readonly listener: FetcherListener
  private readonly stopping = new AbortController()
  private readonly cursors = new Map<string, Cursor>()
  /** Nodes that a loop fetches from now, and the end of each loop. */
  private readonly loops = new Map<number, Promise<void>>()
  private readonly backoff = new Backoff()
  private refreshing: Promise<void> | undefined
  /** Since something was fetched. */
  private failures = 0
  private metadataAtMs = Number.NEGATIVE_INFINITY
  private turnAtMs = 0
  private readonly toldOfTimes = new Set<string>()

  constructor(cluster: KafkaCluster, topics: readonly string[], listener: FetcherListener) {
    this.cluster = cluster
    this.topics = topics
    this.listener = listener
  }

  private get isStopped(): boolean {
    return this.stopping.signal.aborted
  }

  /** All of one partition number, made when first asked for. */
  cursorsOf(partition: number): Cursor[] {
    return this.topics.map((topic) => {
      const name = `${topic} ${partition}`
      const cursor = this.cursors.get(name) ?? new Cursor(topic, partition)
      this.cursors.set(name, cursor)
      return cursor
    })
  }

  /** No longer ours: what is on its way from there is dropped. */
  forget(partition: number): void {
    for (const cursor of this.cursorsOf(partition)) {
      cursor.hold()
      this.cursors.delete(`${cursor.topic} ${partition}`)
    }
  }

  all(): Iterable<Cursor> {
    return this.cursors.values()
  }

  /** Something became readable, or may have. */
  schedule(): void {
    if (this.isStopped) return
    let isLeaderless = false
    for (const cursor of this.cursors.values()) {
      if (!cursor.isReadable) continue
      if (cursor.leader === null) isLeaderless = true
      else this.ensureLoop(cursor.leader)
    }
    const ageMs = this.cluster.clock.nowMs() - this.metadataAtMs
    if (isLeaderless || ageMs > this.cluster.settings.metadataAgeMs) this.refresh()
  }

  /** Nothing is handed over any more. */
  stop(): void {
    this.stopping.abort()
    for (const cursor of this.cursors.values()) cursor.hold()
  }

  /** Resolves when no request is under way; the cluster is closed before, or it may take a request's time-out. */
  async ended(): Promise<void> {
    await Promise.all([...this.loops.values(), this.refreshing])
  }

  private ensureLoop(node: number): void {
    if (this.loops.has(node)) return
    const loop = this.loop(node)
      .catch((error) => this.fail(error))
      .finally(() => {
        this.loops.delete(node)
        this.schedule()
      })
    this.loops.set(node, loop)
  }

  /** Fetches from one node as long as there is something to fetch. */
  private async loop(node: number): Promise<void> {
    const { settings } = this.cluster
    const limits = {
      waitMs: settings.fetchWaitMs,
      bytesMax: settings.fetchBytesMax,
      partitionBytesMax: settings.fetchPartitionBytesMax,
    }
    for (let first = 0; !this.isStopped; first++) {
      const wanted = [...this.cursors.values()].filter(
        (cursor) => cursor.isReadable && cursor.leader === node,
      )
      if (wanted.length === 0) return
      // Another comes first each time: an answer has a limit, and serves the first first.
      const cursors = [...wanted.slice(first % wanted.length), ...wanted.slice(0, first % wanted.length)]
      const versions = new Map(cursors.map((cursor) => [cursor, cursor.version]))
      for (const cursor of cursors) cursor.isFetching = true
      try {
        const link = await this.cluster.broker(node)
        const { code, partitions } = await link.own(fetchRequest(cursors, limits))
        if (code !== CODE.none) throw refusal('fetch records', code)
        for (const fetched of partitions) {
          const cursor = this.cursors.get(`${fetched.topic} ${fetched.partition}`)
          const version = cursor && versions.get(cursor)
          if (version !== undefined) await this.take(cursor!, version, fetched)
        }
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        this.doubt(cursors, error)
      } finally {
        for (const cursor of cursors) cursor.isFetching = false
      }
      if (this.cluster.clock.nowMs() - this.metadataAtMs > settings.metadataAgeMs) this.refresh()
      // Their leader moved while they were fetched: another loop's, from now on.
      if (cursors.some(({ leader }) => leader !== node)) this.schedule()
    }
  }

  private async take(cursor: Cursor, version: number, fetched: FetchedPartition): Promise<void> {
    const { clock } = this.cluster
    if (cursor.version !== version || this.isStopped) return
    if (fetched.code === CODE.offsetOutOfRange) {
      const position = await this.listener.outOfRange(cursor)
      if (cursor.version === version) cursor.position = position
      return
    }
    if (fetched.code !== CODE.none) {
      this.doubt([cursor], refusal(`fetch records of ${cursor.topic}`, fetched.code))
      return
    }
    this.backoff.reset()
    this.failures = 0
    cursor.heard(fetched.end, clock.nowMs())
    for await (const { records, next, hasProducerTimes } of chunksOf(fetched, cursor.position)) {
      // A pause, a seek or a rebalance may have come in between.
      if (cursor.version !== version || !cursor.isWanted || this.isStopped) return
      cursor.moved(next, clock.nowMs())
      if (hasProducerTimes) this.tellOfTimes(cursor.topic)
      if (records.length > 0) this.listener.records(records)
      await this.breathe()
    }
  }

  /** S4: lateness is judged by append times; where there are none, by what producers claim, and somebody should know. */
  private tellOfTimes(topic: string): void {
    if (this.toldOfTimes.has(topic)) return
    this.toldOfTimes.add(topic)
    const message = `the records of ${topic} have their producers' times, by which late and future events are judged: set message.timestamp.type=LogAppendTime`
    driverLog.publish({ driver: 'kafka', level: 'warn', message, peer: null })
  }

  /** Whatever failed, leaders may have moved: nobody fetches these before they were asked for again. */
  private doubt(cursors: readonly Cursor[], error: UnavailableError | ConfigError): void {
    if (this.isStopped) return
    if (!(error instanceof UnavailableError)) throw error
    unavailable.publish({ what: 'source', error, attempt: ++this.failures })
    for (const cursor of cursors) cursor.leader = null
    this.refresh()
  }

  /** Asks who leads what, again and again until somebody says. */
  private refresh(): void {
    if (this.refreshing !== undefined || this.isStopped) return
    this.refreshing = this.refreshOnce()
      .catch((error) => {
        if (!(error instanceof UnavailableError)) this.fail(error)
        else unavailable.publish({ what: 'source', error, attempt: ++this.failures })
      })
      .then(async () => {
        const { clock } = this.cluster
        // Between two readings there is a pause, however the first ended: a leader is not elected in no time.
        await clock.sleep(this.backoff.nextMs(), this.stopping.signal)
      })
      .finally(() => {
        this.refreshing = undefined
        this.schedule()
      })
  }

  private async refreshOnce(): Promise<void> {
    const metadata = await this.cluster.metadata(this.topics)
    this.metadataAtMs = this.cluster.clock.nowMs()
    for (const topic of this.topics) this.cluster.found(metadata, topic)
    this.listener.metadata(metadata)
    for (const cursor of this.cursors.values()) {
      const leader = metadata.topics.get(cursor.topic)?.partitions[cursor.partition]?.leader ?? -1
      cursor.leader = leader < 0 ? null : leader
    }
    this.schedule()
  }

  private fail(error: unknown): void {
    if (this.isStopped) return
    this.stop()
    this.listener.failed(error)
  }

  private async breathe(): Promise<void> {
    if (performance.now() - this.turnAtMs < TURN_MS) return
    await new Promise((resolve) => setImmediate(resolve))
    this.turnAtMs = performance.now()
  }
}
