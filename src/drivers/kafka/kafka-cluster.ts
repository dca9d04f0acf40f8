/** The brokers of a cluster: found from any of them, connected when needed, asked who leads what. */

import { ConfigError, UnavailableError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { BrokerLink } from './broker-link.ts'
import { type ClusterMetadata, metadataRequest, type TopicMetadata } from './cluster-metadata.ts'
import { type KafkajsParts, kafkajsParts } from './kafka-client.ts'
import { CODE, expectNone, refusal } from './kafka-errors.ts'
import type { KafkaSettings } from './kafka-settings.ts'

const COORDINATOR_OF_GROUP = 0

/** A topic that is missing for so long isn't there. A guess. */
const MISSING_MS_MAX = 15_000

export class KafkaCluster {
  readonly settings: KafkaSettings
  readonly clock: Clock
  private readonly parts: KafkajsParts
  /** Shared ones, by node. */
  private readonly links = new Map<number, BrokerLink>()
  /** All, those of coordinators, too. */
  private readonly opened = new Set<BrokerLink>()
  private readonly opening = new Map<number, Promise<BrokerLink>>()
  private nodes: ClusterMetadata['nodes'] = new Map()
  /** By topic. */
  private readonly missingSinceMs = new Map<string, number>()
  private seed: BrokerLink | undefined
  private seeding: Promise<BrokerLink> | undefined
  private nextSeed = 0
  private isClosed = false

  private constructor(settings: KafkaSettings, clock: Clock, parts: KafkajsParts) {
    this.settings = settings
    this.clock = clock
    this.parts = parts
  }

  /** Nothing is connected yet. @throws {ConfigError} `kafkajs-version`, `kafka-token-module` */
  static async create(settings: KafkaSettings, clock: Clock): Promise<KafkaCluster> {
    return new KafkaCluster(settings, clock, await kafkajsParts(settings))
  }

  /**
   * Asks any broker.
   *
   * @returns topics that can't be told about are there with their code
   * @throws {ConfigError | UnavailableError}
   */
  async metadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const link = await this.anybody()
    const metadata = await link.own(metadataRequest(topics))
    this.know(metadata.nodes)
    return metadata
  }

  /** A request that any broker answers. @throws {ConfigError | UnavailableError} */
  async ask<Answer>(
    api: 'AlterConfigs' | 'DescribeConfigs' | 'InitProducerId',
    options: object,
  ): Promise<Answer> {
    return (await this.anybody()).request<Answer>(api, options)
  }

  /** @throws {ConfigError | UnavailableError} when the topic is missing, or nobody can tell now */
  async topic(name: string): Promise<TopicMetadata> {
    return this.found(await this.metadata([name]), name)
  }

  /**
   * A topic of metadata just read. One that is missing may be known to others in a moment: it is new, or a broker has
   * just started.
   *
   * @throws {UnavailableError} when it was there, or may be, some seconds ago
   * @throws {ConfigError} `kafka-topic-missing`, when it has been missing for longer
   */
  found(metadata: ClusterMetadata, name: string): TopicMetadata {
    try {
      const topic = foundTopic(metadata, name)
      this.missingSinceMs.delete(name)
      return topic
    } catch (error) {
      if (!(error instanceof ConfigError) || error.code !== 'kafka-topic-missing') throw error
      const nowMs = this.clock.nowMs()
      const sinceMs = this.missingSinceMs.get(name) ?? nowMs
      this.missingSinceMs.set(name, sinceMs)
      if (nowMs - sinceMs >= MISSING_MS_MAX) throw error
      throw new UnavailableError('kafka-refused', error.message, { cause: error })
    }
  }

  /**
   * Who leads these partitions now, node ids in their order.
   *
   * @throws {ConfigError | UnavailableError} when a topic is missing, or a partition has no leader now
   */
  async leaders(partitions: readonly { topic: string; partition: number }[]): Promise<number[]> {
    const names = [...new Set(partitions.map(({ topic }) => topic))]
    const metadata = await this.metadata(names)
    return partitions.map(({ topic, partition }) => {
      const leader = this.found(metadata, topic).partitions[partition]?.leader ?? -1
      if (leader < 0)
        throw refusal(`name a leader of partition ${partition} of ${topic}`, CODE.leaderNotAvailable)
      return leader
    })
  }

  /**
   * The link to a broker, for fetching, listing and producing; shared, and opened anew after a failure.
   *
   * @throws {ConfigError | UnavailableError}
   */
  async broker(node: number): Promise<BrokerLink> {
    const known = this.links.get(node)
    if (known?.isOpen) return known
    const under = this.opening.get(node)
    if (under !== undefined) return under
    const opening = this.open(node).finally(() => this.opening.delete(node))
    this.opening.set(node, opening)
    return opening
  }

  /**
   * A link of its own to the coordinator of a group: a join that waits for the others holds back whatever else is asked
   * over the same connection. The caller closes it.
   *
   * @throws {ConfigError | UnavailableError}
   */
  async coordinator(groupId: string): Promise<BrokerLink> {
    const link = await this.anybody()
    const found = await link.request<{
      errorCode: number
      coordinator: { host: string; port: number }
    }>('GroupCoordinator', { groupId, coordinatorType: COORDINATOR_OF_GROUP })
    expectNone(`name the coordinator of group ${groupId}`, found.errorCode)
    return this.link(found.coordinator.host, found.coordinator.port)
  }

  close(): void {
    this.isClosed = true
    for (const link of this.opened) link.close()
  }

  /** An open link, whoever it is to; else one to a known broker, else one to those in the settings. */
  private async anybody(): Promise<BrokerLink> {
    for (const link of this.links.values()) if (link.isOpen) return link
    if (this.seed?.isOpen) return this.seed
    this.seeding ??= this.firstThatAnswers().finally(() => {
      this.seeding = undefined
    })
    return this.seeding
  }

  private async firstThatAnswers(): Promise<BrokerLink> {
    for (const node of this.nodes.keys()) {
      try {
        return await this.broker(node)
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
      }
    }
    const { brokers } = this.settings
    let last: unknown
    for (let tries = 0; tries < brokers.length; tries++) {
      const { host, port } = hostAndPort(brokers[this.nextSeed++ % brokers.length]!)
      try {
        this.seed = await this.link(host, port)
        return this.seed
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        last = error
      }
    }
    throw (
      last ??
      new ConfigError('kafka-brokers', 'expected events.kafka.brokers to name one broker at least, got none')
    )
  }

  private async open(node: number): Promise<BrokerLink> {
    const at = this.nodes.get(node)
    if (at === undefined)
      throw new UnavailableError(
        'kafka-refused',
        `expected node ${node} to be one of the cluster's, got none of that number: its metadata is asked for again`,
      )
    const link = await this.link(at.host, at.port)
    this.links.set(node, link)
    return link
  }

  private async link(host: string, port: number): Promise<BrokerLink> {
    if (this.isClosed)
      throw new UnavailableError(
        'kafka-closed',
        `expected to connect to ${host}:${port}, got a stop: nothing is connected any more`,
      )
    for (const link of this.opened) if (!link.isOpen) this.opened.delete(link)
    const link = await BrokerLink.open(this.parts, host, port)
    this.opened.add(link)
    if (this.isClosed) link.close()
    return link
  }

  /** A node that moved is connected anew, one that left no longer. */
  private know(nodes: ClusterMetadata['nodes']): void {
    for (const [node, link] of this.links) {
      const at = nodes.get(node)
      if (at !== undefined && link.address === `${at.host}:${at.port}`) continue
      link.close()
      this.links.delete(node)
    }
    this.nodes = nodes
  }
}

/** @throws {ConfigError} `kafka-topic-missing` */
export function foundTopic(metadata: ClusterMetadata, name: string): TopicMetadata {
  const topic = metadata.topics.get(name)
  if (topic === undefined || topic.code === CODE.unknownTopicOrPartition)
    throw new ConfigError(
      'kafka-topic-missing',
      `expected topic ${name} to exist, got none: run freshet topics apply, which makes it, or correct its name in events.topics or events.kafka.topicPrefix`,
    )
  if (topic.code !== CODE.none) throw refusal(`describe topic ${name}`, topic.code)
  return topic
}

/** `host:port` or `[::1]:port`. @throws {ConfigError} `kafka-brokers` */
export function hostAndPort(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535)
    throw new ConfigError(
      'kafka-brokers',
      `expected each of events.kafka.brokers as host:port, got ${address}: correct it; IPv6 addresses go into brackets`,
    )
  return { host: (match[1] ?? match[2])!, port }
}
