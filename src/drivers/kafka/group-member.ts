/**
 * Membership in a consumer group, by Kafka's own classic protocol: join, learn the partitions, send heartbeats, commit.
 *
 * kafkajs hides the generation, retries commits across a rejoin, and joins anew for every leader that moves; what we
 * promise (O1, O2) hangs on the true generation of each commit, so the membership is ours.
 */

import { ConfigError, UnavailableError } from '../../errors.ts'
import { unavailable } from '../../pipeline/channels.ts'
import type { Positions } from '../../pipeline/event-source.ts'
import type { BrokerLink } from './broker-link.ts'
import {
  PROTOCOL_NAME,
  readAssignment,
  readMetadata,
  writeAssignment,
  writeMetadata,
} from './group-protocol.ts'
import type { KafkaCluster } from './kafka-cluster.ts'
import { CODE, codeName, refusal } from './kafka-errors.ts'
import { Backoff, untilAvailable } from './retry.ts'
import { assignPartitions, type Claim } from './sticky-assigner.ts'

export interface GroupListener {
  joined(generation: number, partitions: readonly number[]): void
  /** The group moves on. */
  left(): void
  /** Only a restart mends it, if anything does. */
  failed(error: unknown): void
}

interface JoinAnswer {
  errorCode: number
  generationId: number
  leaderId: string
  memberId: string
  members: readonly { memberId: string; memberMetadata: Buffer }[]
}

interface CommitAnswer {
  responses: readonly { partitions: readonly { errorCode: number }[] }[]
}

interface OffsetAnswer {
  errorCode: number
  responses: readonly {
    topic: string
    partitions: readonly { partition: number; offset: string; errorCode: number }[]
  }[]
}

/** Between generations. */
const NONE = -1

/** Of one request, as a share of the session time-out: a coordinator that hangs is noticed while we still are a member. */
const REQUEST_SHARE = 1 / 3

/** To join: for a member id, and once more if the group moves on meanwhile. */
const ATTEMPTS_AT_ONCE_MAX = 3

const MOVED_ON = new Set<number>([CODE.illegalGeneration, CODE.unknownMemberId, CODE.rebalanceInProgress])
const ELSEWHERE = new Set<number>([CODE.notCoordinator, CODE.coordinatorNotAvailable])

export class GroupMember {
  private readonly cluster: KafkaCluster
  private readonly topics: readonly string[]
  private readonly partitionCount: number
  private readonly listener: GroupListener
  private readonly stopping = new AbortController()
  private coordinator: Promise<BrokerLink> | undefined
  private running: Promise<void> | undefined
  private generation = NONE
  private memberId = ''
  private claim: Claim | null = null
  /** Ends the pause between heartbeats. */
  private wake = new AbortController()

  constructor(
    cluster: KafkaCluster,
    topics: readonly string[],
    partitionCount: number,
    listener: GroupListener,
  ) {
    this.cluster = cluster
    this.topics = topics
    this.partitionCount = partitionCount
    this.listener = listener
  }

  /** Joins, and joins again whenever the group moves on, until `stop`. */
  start(): void {
    this.running ??= this.run()
  }

  /** Joins no more; stays a member, whose commits are taken, until the group moves on or `close`. */
  stop(): void {
    this.stopping.abort()
  }

  /** Leaves the group, so that the others needn't wait for its time-out. */
  async close(): Promise<void> {
    this.stop()
    this.generation = NONE
    this.wake.abort()
    // A join that waits for others would hold back what comes after it: over another connection, then.
    this.dropLink()
    if (this.memberId !== '') {
      const { groupId } = this.cluster.settings
      const { memberId } = this
      await this.ask('LeaveGroup', { groupId, memberId }).catch(() => {}) // Else its time-out ends the membership.
    }
    this.dropLink()
    await this.running
    this.dropLink()
  }

  /** @see EventSource.commit */
  async commit(generation: number, offsets: ReadonlyMap<number, Positions>): Promise<boolean> {
    const { clock, settings } = this.cluster
    const topics = this.topics
      .map((topic) => ({ topic, partitions: offsetsOf(topic, offsets) }))
      .filter(({ partitions }) => partitions.length > 0)
    return untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, async () => {
      const { memberId } = this
      if (generation !== this.generation) return false
      if (topics.length === 0) return true
      const { responses } = await this.ask<CommitAnswer>('OffsetCommit', {
        groupId: settings.groupId,
        groupGenerationId: generation,
        memberId,
        topics,
      })
      const codes = responses.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
      if (codes.some((code) => MOVED_ON.has(code))) {
        if (generation === this.generation) this.wake.abort() // A heartbeat will say how.
        return false
      }
      const bad = codes.find((code) => code !== CODE.none)
      if (bad !== undefined) throw this.coordinatorRefusal('commit offsets', bad)
      return true
    })
  }

  /** @see EventSource.committed */
  async committed(partition: number): Promise<Positions> {
    const { clock, settings } = this.cluster
    const topics = this.topics.map((topic) => ({ topic, partitions: [{ partition }] }))
    return untilAvailable(clock, clock.nowMs() + settings.requestTimeoutMs, async () => {
      const answer = await this.ask<OffsetAnswer>('OffsetFetch', { groupId: settings.groupId, topics })
      const positions = new Map<string, number>()
      const codes = [answer.errorCode]
      for (const { topic, partitions } of answer.responses)
        for (const { offset, errorCode } of partitions) {
          codes.push(errorCode)
          if (Number(offset) >= 0) positions.set(topic, Number(offset))
        }
      const bad = codes.find((code) => code !== CODE.none)
      if (bad !== undefined) throw this.coordinatorRefusal('tell committed offsets', bad)
      return positions
    })
  }

  private async run(): Promise<void> {
    const { clock } = this.cluster
    const { signal } = this.stopping
    const backoff = new Backoff()
    let attempts = 0
    while (!signal.aborted) {
      try {
        const partitions = await this.join()
        if (partitions === null) {
          // Mostly the next attempt succeeds; a broker that refuses all of them must not be asked without a pause.
          if (++attempts > ATTEMPTS_AT_ONCE_MAX) await clock.sleep(backoff.nextMs(), signal)
          continue
        }
        if (signal.aborted) return
        backoff.reset()
        attempts = 0
        this.listener.joined(this.generation, partitions)
        await this.stayAMember()
        this.generation = NONE
        this.listener.left()
      } catch (error) {
        this.generation = NONE
        if (!(error instanceof UnavailableError)) {
          if (!signal.aborted) this.listener.failed(error)
          return
        }
        if (!signal.aborted) unavailable.publish({ what: 'source', error, attempt: ++attempts })
        await clock.sleep(backoff.nextMs(), signal)
      }
    }
  }

  /** @returns our partitions; null: the group has moved on meanwhile, join again */
  private async join(): Promise<readonly number[] | null> {
    const { groupId, sessionTimeoutMs, rebalanceTimeoutMs } = this.cluster.settings
    const metadata = writeMetadata({ topics: this.topics, claim: this.claim })
    const joinedAs = {
      groupId,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      memberId: this.memberId,
      protocolType: 'consumer',
      groupProtocols: [{ name: PROTOCOL_NAME, metadata }],
    }
    const waitMs = rebalanceTimeoutMs + sessionTimeoutMs
    const joined = await this.ask<JoinAnswer>('JoinGroup', joinedAs, waitMs)
    if (joined.errorCode === CODE.memberIdRequired) this.memberId = joined.memberId
    else if (joined.errorCode === CODE.unknownMemberId) this.memberId = ''
    else if (joined.errorCode !== CODE.none && joined.errorCode !== CODE.rebalanceInProgress)
      throw this.joinRefusal(joined.errorCode)
    if (joined.errorCode !== CODE.none) return null
    this.memberId = joined.memberId
    const { generationId: generation } = joined
    const synced = await this.ask<{ errorCode: number; memberAssignment: Buffer | null }>(
      'SyncGroup',
      {
        groupId,
        generationId: generation,
        memberId: joined.memberId,
        groupAssignment: joined.leaderId === joined.memberId ? this.assign(joined.members) : [],
      },
      waitMs,
    )
    if (synced.errorCode === CODE.unknownMemberId) this.memberId = ''
    else if (synced.errorCode !== CODE.none && !MOVED_ON.has(synced.errorCode))
      throw this.joinRefusal(synced.errorCode)
    if (synced.errorCode !== CODE.none) return null
    const partitions = readAssignment(synced.memberAssignment ?? Buffer.alloc(0))
    this.generation = generation
    this.claim = { generation, partitions }
    return partitions
  }

  /** We lead the group, and say who gets what. */
  private assign(members: JoinAnswer['members']): { memberId: string; memberAssignment: Buffer }[] {
    const told = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      ...readMetadata(memberMetadata),
    }))
    const partitions = assignPartitions(told, this.partitionCount)
    return told.map(({ memberId, topics }) => {
      // A worker of another version may read fewer topics; of those it gets the same numbers.
      return { memberId, memberAssignment: writeAssignment(topics, partitions.get(memberId)!) }
    })
  }

  /** Sends heartbeats; returns when we are no longer a member of this generation. */
  private async stayAMember(): Promise<void> {
    const { clock, settings } = this.cluster
    const { groupId, heartbeatIntervalMs, sessionTimeoutMs } = settings
    const { generation: groupGenerationId, memberId } = this
    let heardMs = clock.nowMs()
    let failures = 0
    while (this.generation === groupGenerationId) {
      this.wake = new AbortController()
      // After a failure sooner: the session goes on meanwhile.
      await clock.sleep(failures === 0 ? heartbeatIntervalMs : heartbeatIntervalMs / 4, this.wake.signal)
      if (this.generation !== groupGenerationId) return
      try {
        const { errorCode } = await this.ask<{ errorCode: number }>('Heartbeat', {
          groupId,
          groupGenerationId,
          memberId,
        })
        if (errorCode === CODE.unknownMemberId) this.memberId = ''
        if (MOVED_ON.has(errorCode)) return
        if (errorCode !== CODE.none) throw this.coordinatorRefusal('take a heartbeat', errorCode)
        heardMs = clock.nowMs()
        failures = 0
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        unavailable.publish({ what: 'source', error, attempt: ++failures })
        // The coordinator will have given us up; what we held may be another's.
        if (clock.nowMs() - heardMs > sessionTimeoutMs) return
      }
    }
  }

  /** Asks the coordinator; where that can't be reached, another may be in its place the next time. */
  private async ask<Answer>(
    api: 'JoinGroup' | 'SyncGroup' | 'Heartbeat' | 'LeaveGroup' | 'OffsetCommit' | 'OffsetFetch',
    options: object,
    timeoutMs = this.cluster.settings.sessionTimeoutMs * REQUEST_SHARE,
  ): Promise<Answer> {
    this.coordinator ??= this.cluster.coordinator(this.cluster.settings.groupId)
    const { coordinator } = this
    try {
      return await (await coordinator).request<Answer>(api, options, timeoutMs)
    } catch (error) {
      if (this.coordinator === coordinator) this.dropLink()
      throw error
    }
  }

  private dropLink(): void {
    const { coordinator } = this
    this.coordinator = undefined
    coordinator?.then(
      (link) => link.close(),
      () => {}, // It was never opened.
    )
  }

  private coordinatorRefusal(what: string, code: number): ConfigError | UnavailableError {
    if (ELSEWHERE.has(code)) this.dropLink()
    return refusal(what, code)
  }

  private joinRefusal(code: number): ConfigError | UnavailableError {
    const { groupId } = this.cluster.settings
    switch (code) {
      case CODE.inconsistentGroupProtocol:
        return new ConfigError(
          'kafka-group-taken',
          `expected group ${groupId} to be freshet's own, got members that share partitions differently: stop them, or choose another kafka.groupId`,
        )
      case CODE.invalidGroupId:
      case CODE.invalidSessionTimeout:
      case CODE.groupMaxSizeReached:
        return new ConfigError(
          'kafka-group-refused',
          `expected to join group ${groupId}, got ${codeName(code)}: correct kafka.groupId and kafka.sessionTimeoutMs, or the broker's limits for groups`,
        )
      default:
        return this.coordinatorRefusal(`let us join group ${groupId}`, code)
    }
  }
}

function offsetsOf(
  topic: string,
  offsets: ReadonlyMap<number, Positions>,
): { partition: number; offset: string; metadata: null }[] {
  const partitions = []
  for (const [partition, positions] of offsets) {
    const offset = positions.get(topic)
    if (offset !== undefined) partitions.push({ partition, offset: String(offset), metadata: null })
  }
  return partitions
}
