/** What the Kafka driver has to be told; `config/` fills it, and every number has its unit in its name. */

interface TlsSettings {
  /** PEM texts, not paths. null: the system's certificate authorities; no certificate of our own. */
  ca: string | null
  cert: string | null
  key: string | null
  /** Name expected in the brokers' certificates; null: the host connected to. */
  servername: string | null
  /** False trusts anybody who answers: for trying only. */
  rejectUnauthorized: boolean
}

type SaslSettings =
  | { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string }
  /**
   * Path of a module whose default export gives a token whenever a connection needs one: a `TokenProvider`. It caches
   * and refreshes by itself.
   */
  | { mechanism: 'oauthbearer'; tokenModule: string }

/** What the module of `oauthbearer` exports by default. */
export type TokenProvider = () => Promise<{ value: string; extensions?: Record<string, string> }>

/** What to do when the log no longer holds the records that are to be read next (retention), or not yet (truncation). */
type OutOfRangePolicy = 'earliest' | 'latest' | 'fail'

export interface KafkaSettings {
  /** `host:port`; IPv6 addresses in brackets. */
  brokers: readonly string[]
  clientId: string
  groupId: string
  /** Goes before the name of every topic that is freshet's own, so that environments can share a cluster. */
  topicPrefix: string
  tls: TlsSettings | null
  sasl: SaslSettings | null
  /** A member that was silent for so long is thrown out of the group. */
  sessionTimeoutMs: number
  heartbeatIntervalMs: number
  /** How long the group waits for its members to join again. */
  rebalanceTimeoutMs: number
  /** A fetch waits so long for records when there are none. */
  fetchWaitMs: number
  fetchBytesMax: number
  fetchPartitionBytesMax: number
  offsetOutOfRange: OutOfRangePolicy
  connectTimeoutMs: number
  requestTimeoutMs: number
  /** At start: how long brokers may be away before it is given up. */
  startTimeoutMs: number
  /** Metadata older than this is asked for again: how late a new partition is noticed. */
  metadataAgeMs: number
  /** Without progress for so long though records wait, only a restart mends it. */
  stuckAfterMs: number
  /** How long a stop may wait for brokers. */
  stopTimeoutMs: number
}
