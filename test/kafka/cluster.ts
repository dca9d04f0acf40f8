/** Several Kafka nodes on one machine, for tests in which leaders move, nodes go and others stand in. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, type BrokerOptions, Node } from './broker.ts'
import { installKafka } from './jars.ts'
import { withAdmin } from './kafkajs-records.ts'
import { electPreferredLeaders, fetchPartitions, type Partition } from './node-requests.ts'
import { freePorts } from './ports.ts'
import type { NodePlace } from './properties.ts'

/** An election takes tenths of a second; a dead leader is noticed after its session of 3 s. */
const AGREED_MS_MAX = 60_000
const POLL_MS = 20

export interface ClusterOptions {
  /** Of the nodes, in their order; free ones without it. */
  ports?: readonly number[]
  /** Holds a folder a node and is kept; without it, new folders that go with the cluster. */
  data?: string
  properties?: Readonly<Record<string, string>>
  onDeath?: (how: string) => void
}

export interface Cluster {
  /** All nodes, with commas between. */
  readonly bootstrap: string
  /** Node ids are 1, 2, 3. */
  readonly nodes: readonly Broker[]
  /** In order, once all running nodes say the same of leaders and replicas. */
  partitions(topic: string): Promise<Partition[]>
  /** Node id of each partition's leader, once all running nodes say the same. */
  leaders(topic: string): Promise<Map<number, number>>
  /**
   * Every partition gets another leader, the next of its in-sync replicas; no node restarts, no record is copied.
   * The leader of `__consumer_offsets`, which has one partition here, coordinates every group: moved or killed, all
   * groups lose their coordinator.
   *
   * @returns the new leaders
   */
  moveLeaders(topic: string): Promise<Map<number, number>>
  /** What the node leads of the topic goes to others, who lead some already; the node stays. */
  giveUpLeading(topic: string, nodeId: number): Promise<void>
  /**
   * All nodes end, and the data stay. A node can be shut down only while a quorum lives: without one it would ask in vain
   * for five minutes, so the last ones are killed.
   */
  stop(): Promise<void>
  close(): Promise<void>
}

/**
 * Three nodes keep every partition three times and acknowledge (acks -1) what two have; one node is `startBroker` with other options.
 *
 * @throws {KafkaError} when Kafka can't be had here or does not start
 */
export async function startCluster(count = 3, options: ClusterOptions = {}): Promise<Cluster> {
  const { ports, data, ...rest } = options
  const kafka = await installKafka()
  const free = await freePorts(2 * count)
  const places: NodePlace[] = Array.from({ length: count }, (_, at) => ({
    nodeId: at + 1,
    port: ports?.[at] ?? free[at]!,
    controllerPort: free[count + at]!,
  }))
  const nodes = places.map((place) => {
    const own: BrokerOptions =
      data === undefined ? rest : { ...rest, data: join(data, `node-${place.nodeId}`) }
    return new Node(kafka, place, places, own)
  })
  const closeAll = async () => {
    await Promise.all(nodes.map((node) => node.close()))
  }
  try {
    // Together: a controller serves only once most of them do. All are waited for, or one that still starts would be left.
    const starts = await Promise.allSettled(nodes.map((node) => node.start()))
    for (const start of starts) if (start.status === 'rejected') throw start.reason
  } catch (error) {
    await closeAll()
    throw error
  }
  const bootstrap = nodes.map((node) => node.bootstrap).join(',')
  return {
    bootstrap,
    nodes,
    partitions: (topic) => agreedPartitions(nodes, topic),
    leaders: (topic) => leadersOf(nodes, topic),
    moveLeaders: (topic) => moveLeaders(nodes, topic),
    giveUpLeading: (topic, nodeId) => giveUpLeading(nodes, topic, nodeId),
    stop: () => stopAll(nodes),
    close: closeAll,
  }
}

async function stopAll(nodes: readonly Broker[]): Promise<void> {
  const quorum = Math.floor(nodes.length / 2) + 1
  const stopped = nodes.length - quorum + 1
  for (const node of nodes.slice(0, stopped)) await node.stop()
  await Promise.all(nodes.slice(stopped).map((node) => node.kill()))
}

function addressOf({ bootstrap }: Broker): { host: string; port: number } {
  const [host = '', port = ''] = bootstrap.split(':')
  return { host, port: Number(port) }
}

/**
 * What all running nodes say alike. kafkajs asks whichever it likes, and a node that lags behind would answer with leaders that
 * have moved on.
 */
async function agreedPartitions(
  nodes: readonly Broker[],
  topic: string,
  isWanted: (partition: Partition) => boolean = () => true,
): Promise<Partition[]> {
  const deadlineMs = Date.now() + AGREED_MS_MAX
  for (;;) {
    const running = nodes.filter((node) => node.isRunning)
    // A node that is going away accepts no more connections.
    const ask = (node: Broker) => fetchPartitions(addressOf(node), topic).catch(() => null)
    const views = await Promise.all(running.map(ask))
    const said = views.map((view) =>
      view?.map(({ leader, replicas }) => `${leader} of ${replicas}`).join('; '),
    )
    const [view] = views
    if (view && new Set(said).size === 1 && view.every(isWanted)) return view
    if (Date.now() > deadlineMs)
      throw new Error(
        `the leaders of ${topic} were not agreed on, as wanted, within ${AGREED_MS_MAX} ms:\n${said.join('\n')}`,
      )
    await sleep(POLL_MS)
  }
}

async function leadersOf(nodes: readonly Broker[], topic: string): Promise<Map<number, number>> {
  const partitions = await agreedPartitions(nodes, topic)
  return new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]))
}

/** The next replica after the leader that is in sync. */
function nextLeader({ partitionId, leader, replicas, isr }: Partition): number {
  const at = replicas.indexOf(leader)
  const next = [...replicas.slice(at + 1), ...replicas.slice(0, at)].find((node) => isr.includes(node))
  if (next === undefined) throw new Error(`partition ${partitionId} has no other replica in sync`)
  return next
}

/** The preferred leader is the first replica: the same replicas in another order, then an election. */
async function prefer(nodes: readonly Broker[], topic: string, partitions: readonly Preferred[]) {
  const partitionAssignment = partitions.map(({ partitionId, replicas, first }) => ({
    partition: partitionId,
    replicas: [first, ...replicas.filter((node) => node !== first)],
  }))
  const topics = [{ topic, partitionAssignment }]
  const bootstrap = nodes.map((node) => node.bootstrap).join(',')
  await withAdmin(bootstrap, (admin) => admin.alterPartitionReassignments({ topics }))
  const wanted = new Map(partitions.map(({ partitionId, first }) => [partitionId, first]))
  const isIn = ({ partitionId }: Partition, node: number | undefined) =>
    !wanted.has(partitionId) || wanted.get(partitionId) === node
  await agreedPartitions(nodes, topic, (partition) => isIn(partition, partition.replicas[0]))
  await electPreferredLeaders(addressOf(nodes.find((node) => node.isRunning)!), topic, [...wanted.keys()])
  await agreedPartitions(nodes, topic, (partition) => isIn(partition, partition.leader))
  return wanted
}

interface Preferred extends Partition {
  first: number
}

async function moveLeaders(nodes: readonly Broker[], topic: string): Promise<Map<number, number>> {
  const partitions = await agreedPartitions(nodes, topic)
  const moved = partitions.map((partition) => ({ ...partition, first: nextLeader(partition) }))
  return prefer(nodes, topic, moved)
}

async function giveUpLeading(nodes: readonly Broker[], topic: string, nodeId: number): Promise<void> {
  const partitions = await agreedPartitions(nodes, topic)
  const led = partitions.filter(({ leader }) => leader === nodeId)
  await prefer(
    nodes,
    topic,
    led.map((partition) => ({ ...partition, first: nextLeader(partition) })),
  )
}
