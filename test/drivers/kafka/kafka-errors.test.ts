import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeName, connectionError, refusal } from '../../../src/drivers/kafka/kafka-errors.ts'
import { BugError, type FreshetError } from '../../../src/errors.ts'

/** As kafkajs throws it. */
function named(name: string, message: string, code?: string | number): Error {
  return Object.assign(new Error(message), { name: `KafkaJS${name}`, code })
}

const BROKER = 'kafka-1:9092'
const judged = (error: unknown) => {
  const { name, code } = connectionError(BROKER, error) as FreshetError
  return `${name} ${code}`
}

test('what waiting mends is unavailable, what only the operator mends is not', () => {
  const cases: [unknown, string][] = [
    [
      named('ConnectionError', 'Connection error: refused', 'ECONNREFUSED'),
      'UnavailableError kafka-unreachable',
    ],
    [named('RequestTimeoutError', 'Request Fetch timed out'), 'UnavailableError kafka-unreachable'],
    [named('ConnectionError', 'self-signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'), 'ConfigError kafka-tls'],
    [named('ConnectionError', 'x', 'ERR_TLS_CERT_ALTNAME_INVALID'), 'ConfigError kafka-tls'],
    [named('ServerDoesNotSupportApiKey', 'no'), 'ConfigError kafka-version'],
    [named('ProtocolError', 'another mechanism', 33), 'ConfigError kafka-authentication'],
    [named('ProtocolError', 'no SASL here', 34), 'ConfigError kafka-authentication'],
    [
      named('SASLAuthenticationError', 'failed: Invalid username or password'),
      'ConfigError kafka-authentication',
    ],
  ]
  for (const [error, expected] of cases) assert.equal(judged(error), expected)
})

test('a connection that ends while we present ourselves is no wrong secret', () => {
  for (const why of [
    'Closed connection',
    'Connection closed by the server',
    'Request SaslAuthenticate timed out',
    'Connection timeout',
  ]) {
    const error = named('SASLAuthenticationError', `SASL PLAIN authentication failed: ${why}`)
    assert.equal(judged(error), 'UnavailableError kafka-unreachable', why)
  }
})

test('our own errors and mistakes go on as they are', () => {
  for (const error of [new BugError('invariant', 'x'), new TypeError('y'), 'a string'])
    assert.equal(connectionError(BROKER, error), error)
})

test('an answer that forbids something names it and the remedy; any other is tried again', () => {
  const forbidden = refusal('read topic t', 29)
  assert.equal(forbidden.code, 'kafka-authorization')
  assert.match(forbidden.message, /read topic t, got TOPIC_AUTHORIZATION_FAILED \(29\): grant/)
  assert.equal(refusal('append to t', 19).code, 'kafka-refused')
  assert.equal(codeName(12_345), 'error (12345)')
})
