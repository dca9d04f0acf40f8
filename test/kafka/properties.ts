/** What a node's server.properties says: KRaft, loopback only, and small enough for several nodes on two cores. */

export interface NodePlace {
  nodeId: number
  port: number
  controllerPort: number
}

const BASE: Readonly<Record<string, string>> = {
  'process.roles': 'broker,controller',
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  // A topic that is missing must be noticed, not made up with the wrong number of partitions.
  'auto.create.topics.enable': 'false',
  'offsets.topic.num.partitions': '1',
  'transaction.state.log.num.partitions': '1',
  // Members join at once, and are missed as soon as a test wants.
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'num.network.threads': '1',
  'num.io.threads': '2',
  'background.threads': '2',
  'log.cleaner.dedupe.buffer.size': '2000000',
  // How soon the cleaner looks again: 15 s by default, which a test of compaction would wait for.
  'log.cleaner.backoff.ms': '500',
  /**
   * A broker that was killed comes back only after its old session has ended (DUPLICATE_BROKER_REGISTRATION until then):
   * 9 s by default. Shorter than 3 s, a busy machine would lose live brokers. A controlled shutdown ends the session itself,
   * so `controlled.shutdown.enable` stays on.
   */
  'broker.session.timeout.ms': '3000',
  'broker.heartbeat.interval.ms': '500',
}

/**
 * @param nodes all nodes of the cluster, each a broker and a controller
 * @param more wins over ours
 */
export function serverProperties(
  node: NodePlace,
  nodes: readonly NodePlace[],
  logFolder: string,
  more: Readonly<Record<string, string>> = {},
): string {
  const replicas = Math.min(3, nodes.length)
  const inSyncMin = Math.max(1, replicas - 1)
  const all = {
    ...BASE,
    'node.id': `${node.nodeId}`,
    'controller.quorum.voters': nodes
      .map(({ nodeId, controllerPort }) => `${nodeId}@127.0.0.1:${controllerPort}`)
      .join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'log.dirs': logFolder,
    'default.replication.factor': `${replicas}`,
    'min.insync.replicas': `${inSyncMin}`,
    'offsets.topic.replication.factor': `${replicas}`,
    'transaction.state.log.replication.factor': `${replicas}`,
    'transaction.state.log.min.isr': `${inSyncMin}`,
    ...more,
  }
  return `${Object.entries(all)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')}\n`
}
