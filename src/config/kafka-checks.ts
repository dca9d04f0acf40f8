/** What the settings of Kafka must agree on, with each other and with where vectors are kept. */

import { type Contradiction, LOOPBACK } from './contradiction.ts'
import type { Settings } from './settings.ts'

type KafkaSection = Settings['events']['kafka']

const SECTION = 'events.kafka'
/** Two heartbeats may be lost before a member counts as dead. */
const HEARTBEATS_A_SESSION = 3
const ADDRESS = /^(?<host>\[[0-9a-fA-F:.]+\]|[^\s:/@]+):(?<port>\d{1,5})$/

export function kafkaChecks({ events, vectors }: Settings): Contradiction[] {
  const { driver, kafka, topics } = events
  const found = [
    ...brokerChecks(kafka),
    ...timeChecks(kafka),
    ...tlsChecks(kafka),
    ...saslChecks(kafka),
    ...topics.flatMap(({ topic, holds, partitioner }, at) =>
      partitioner === 'other' && holds === 'tombstone'
        ? [
            {
              path: `events.topics.${at}.partitioner`,
              message: `partitioner of ${topic} must be murmur2: tombstones are read at each take-over, from the partition of their user; write them with murmur2`,
            },
          ]
        : [],
    ),
  ]
  if (driver === 'sqlite' && vectors.sqliteFile !== null)
    found.push({
      path: 'vectors.sqliteFile',
      message:
        'sqliteFile is for workers of events.driver kafka; a freshet of its own keeps vectors in dataDir: remove it, or set events.driver to kafka',
    })
  if (driver === 'kafka' && vectors.driver === 'sqlite' && vectors.sqliteFile === null)
    found.push({
      path: 'vectors.driver',
      message:
        'driver must be qdrant where events come from kafka, or vectors.sqliteFile must name a file that all workers share, got sqlite in dataDir: workers would each hold a part of the vectors; set one of them',
    })
  if (driver === 'kafka' && kafka.brokers === null)
    found.push({
      path: `${SECTION}.brokers`,
      message: 'brokers must name one broker at least where events come from kafka, got none: set host:port',
    })
  return found
}

function brokerChecks({ brokers }: KafkaSection): Contradiction[] {
  return (brokers ?? []).flatMap((broker, at) => {
    const port = Number(ADDRESS.exec(broker)?.groups?.port ?? 0)
    if (port >= 1 && port <= 65_535) return []
    return [
      {
        path: `${SECTION}.brokers.${at}`,
        message: `must be host:port such as kafka.example:9092, got ${JSON.stringify(broker.slice(0, 60))}: correct it`,
      },
    ]
  })
}

function timeChecks({ heartbeatIntervalMs, sessionTimeoutMs, stuckAfterMs }: KafkaSection): Contradiction[] {
  const found: Contradiction[] = []
  if (heartbeatIntervalMs * HEARTBEATS_A_SESSION > sessionTimeoutMs)
    found.push({
      path: `${SECTION}.heartbeatIntervalMs`,
      message: `heartbeatIntervalMs (${heartbeatIntervalMs}) must be at most a third of sessionTimeoutMs (${sessionTimeoutMs}), so that one may be lost: lower it, or raise sessionTimeoutMs`,
    })
  if (stuckAfterMs < sessionTimeoutMs)
    found.push({
      path: `${SECTION}.stuckAfterMs`,
      message: `stuckAfterMs (${stuckAfterMs}) must be at least sessionTimeoutMs (${sessionTimeoutMs}): a rebalance alone may take that long; raise it`,
    })
  return found
}

function tlsChecks({ tls }: KafkaSection): Contradiction[] {
  const { enabled, caFile, certFile, keyFile, servername, rejectUnauthorized } = tls
  const found: Contradiction[] = []
  if ((certFile === null) !== (keyFile === null))
    found.push({
      path: `${SECTION}.tls.${certFile === null ? 'keyFile' : 'certFile'}`,
      message: 'certFile and keyFile belong together, got one without the other: set both, or neither',
    })
  const isSet = caFile !== null || certFile !== null || servername !== null || !rejectUnauthorized
  if (!enabled && isSet)
    found.push({
      path: `${SECTION}.tls.enabled`,
      message:
        'enabled must be true where anything else of tls is set, got false: set it, or remove the rest',
    })
  return found
}

function saslChecks({ brokers, sasl, tls }: KafkaSection): Contradiction[] {
  const { mechanism, username, password, tokenModule } = sasl
  const path = `${SECTION}.sasl.mechanism`
  const hasName = username !== null && password !== null
  if (mechanism === null)
    return username === null && password === null && tokenModule === null
      ? []
      : [{ path, message: 'mechanism must be set where anything else of sasl is, got none: set it' }]
  if (mechanism === 'oauthbearer')
    return tokenModule === null
      ? [{ path, message: 'oauthbearer needs tokenModule, a module that gives tokens, got none: set it' }]
      : []
  if (!hasName)
    return [{ path, message: `${mechanism} needs username and password, got one or none: set both` }]
  const isFar = (brokers ?? []).some((broker) => !LOOPBACK.test(ADDRESS.exec(broker)?.groups?.host ?? ''))
  if (mechanism === 'plain' && !tls.enabled && isFar)
    return [
      {
        path,
        message:
          'plain sends the password as it is, and everybody on the way could read it without tls: set tls.enabled, or choose scram-sha-512',
      },
    ]
  return []
}
