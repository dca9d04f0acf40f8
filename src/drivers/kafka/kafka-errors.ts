/** Kafka's error codes, and what kafkajs throws, as errors that say who must act. */

import protocolErrors from 'kafkajs/src/protocol/error.js'
import { ConfigError, FreshetError, UnavailableError } from '../../errors.ts'

/** Those that something is done about; the others are named in messages only. */
export const CODE = {
  none: 0,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  messageTooLarge: 10,
  coordinatorLoadInProgress: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  invalidTopic: 17,
  recordListTooLarge: 18,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  invalidGroupId: 24,
  unknownMemberId: 25,
  invalidSessionTimeout: 26,
  rebalanceInProgress: 27,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  invalidTimestamp: 32,
  unsupportedSaslMechanism: 33,
  illegalSaslState: 34,
  topicAlreadyExists: 36,
  invalidPartitions: 37,
  invalidReplicationFactor: 38,
  invalidConfig: 40,
  invalidRequest: 42,
  policyViolation: 44,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  unknownProducerId: 59,
  memberIdRequired: 79,
  groupMaxSizeReached: 81,
  invalidRecord: 87,
} as const

const NAMES = new Map(protocolErrors.errorCodes.map(({ code, type }) => [code, type]))
const AUTHORIZATION = new Set<number>([
  CODE.topicAuthorizationFailed,
  CODE.groupAuthorizationFailed,
  CODE.clusterAuthorizationFailed,
])

/** `NOT_COORDINATOR_FOR_GROUP (16)`. */
export function codeName(code: number): string {
  return `${NAMES.get(code) ?? 'error'} (${code})`
}

/** The error for an answer with a code that nothing else is done about. @param what was asked for */
export function refusal(what: string, code: number): ConfigError | UnavailableError {
  if (AUTHORIZATION.has(code))
    return new ConfigError(
      'kafka-authorization',
      `expected to be allowed to ${what}, got ${codeName(code)}: grant it to the user of events.kafka.sasl`,
    )
  return new UnavailableError(
    'kafka-refused',
    `expected Kafka to ${what}, got ${codeName(code)}: it is tried again; look at the brokers if it lasts`,
  )
}

/** @throws {ConfigError | UnavailableError} unless the code is 0 */
export function expectNone(what: string, code: number): void {
  if (code !== CODE.none) throw refusal(what, code)
}

/** Certificates that don't fit are not mended by waiting. */
const TLS_CODES = /^(ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|CERT_)/

/** A listener that has another mechanism, or none, has it when it is asked again, too. */
const NOT_ITS_SASL = new Set<unknown>([CODE.unsupportedSaslMechanism, CODE.illegalSaslState])

/** kafkajs says that it was not let in when the connection ended meanwhile, too: a broker restarts. */
const CONNECTION_LOST = /closed|timed out|timeout|not connected|connection error/i

/**
 * What a request to a broker failed with. An error that isn't kafkajs's own goes on as it is: it is a mistake of ours.
 *
 * @param broker `host:port`
 */
export function connectionError(broker: string, error: unknown): unknown {
  if (error instanceof FreshetError || !(error instanceof Error)) return error
  const { name, message } = error
  const code = (error as { code?: unknown }).code
  const isRefused = name === 'KafkaJSSASLAuthenticationError' && !CONNECTION_LOST.test(message)
  if (isRefused || NOT_ITS_SASL.has(code))
    return new ConfigError(
      'kafka-authentication',
      `expected ${broker} to accept events.kafka.sasl, got: ${message}: correct the mechanism, the user or the secret`,
      { cause: error },
    )
  if (typeof code === 'string' && TLS_CODES.test(code))
    return new ConfigError(
      'kafka-tls',
      `expected a certificate of ${broker} that events.kafka.tls trusts, got: ${message}: correct events.kafka.tls.caFile or events.kafka.tls.servername, or the broker's certificate`,
      { cause: error },
    )
  if (name === 'KafkaJSServerDoesNotSupportApiKey')
    return new ConfigError(
      'kafka-version',
      `expected ${broker} to know all requests of Kafka 3.1, got: ${message}: upgrade the brokers`,
      { cause: error },
    )
  if (!name.startsWith('KafkaJS')) return error
  return new UnavailableError(
    'kafka-unreachable',
    `expected ${broker} to answer, got: ${message}: it is tried again; check that the broker runs and can be reached`,
    { cause: error },
  )
}
