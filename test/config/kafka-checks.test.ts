/** What is refused of events.kafka before anything is connected, each in one line that says what to do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingText } from '../../src/config/finding.ts'
import { lintSettings } from '../../src/config/load-settings.ts'

const GOOD = {
  'events.driver': 'kafka',
  'events.kafka.brokers': ['kafka-1.example:9093', '[::1]:9092'],
  'vectors.driver': 'qdrant',
}

function lint(flags: Record<string, unknown>): string[] {
  return lintSettings({ file: null, env: {}, flags: { ...GOOD, ...flags } }).map(findingText)
}

function inKafka(flags: Record<string, unknown>): string[] {
  return lint(
    Object.fromEntries(Object.entries(flags).map(([path, value]) => [`events.kafka.${path}`, value])),
  )
}

test('brokers are needed, and each is host:port', () => {
  assert.deepEqual(lint({}), [])
  assert.match(inKafka({ brokers: null })[0]!, /events.kafka.brokers: .*got none: set host:port/)
  for (const broker of [
    'kafka',
    'kafka:0',
    'kafka:70000',
    'https://kafka:9092',
    '::1:9092',
    'me:pw@kafka:9092',
  ])
    assert.match(inKafka({ brokers: [broker] })[0]!, /brokers.0: must be host:port/, broker)
})

test('workers that share topics share their vectors, too', () => {
  assert.match(lint({ 'vectors.driver': 'sqlite' })[0]!, /vectors.driver: driver must be qdrant/)
  assert.deepEqual(lint({ 'vectors.driver': 'sqlite', 'vectors.sqliteFile': '/tmp/vectors.db' }), [])
  assert.match(
    lint({ 'events.driver': 'sqlite', 'vectors.driver': 'sqlite', 'vectors.sqliteFile': 'v.db' })[0]!,
    /vectors.sqliteFile: .*remove it, or set events.driver/,
  )
})

test('a heartbeat may be lost, and a rebalance is not taken for standing still', () => {
  assert.match(inKafka({ heartbeatIntervalMs: 11_000 })[0]!, /at most a third of sessionTimeoutMs \(30000\)/)
  assert.deepEqual(inKafka({ heartbeatIntervalMs: 10_000 }), [])
  assert.match(inKafka({ stuckAfterMs: 20_000 })[0]!, /stuckAfterMs .*at least sessionTimeoutMs/)
})

test('certificates come with their keys, and names with their passwords', () => {
  const tls = { 'tls.enabled': true }
  assert.match(inKafka({ ...tls, 'tls.certFile': 'a.pem' })[0]!, /tls.certFile: .*belong together/)
  assert.match(inKafka({ ...tls, 'tls.keyFile': 'a.pem' })[0]!, /tls.keyFile: .*belong together/)
  assert.match(inKafka({ 'tls.caFile': 'a.pem' })[0]!, /tls.enabled: .*must be true/)
  assert.match(inKafka({ 'sasl.username': 'me' })[0]!, /mechanism must be set/)
  assert.match(inKafka({ 'sasl.mechanism': 'scram-sha-512' })[0]!, /needs username and password/)
  assert.match(inKafka({ 'sasl.mechanism': 'oauthbearer' })[0]!, /needs tokenModule/)
  const named = { 'sasl.username': 'me', 'sasl.password': 'horse' }
  const [finding = ''] = inKafka({ ...named, 'sasl.mechanism': 'plain' })
  assert.match(finding, /everybody on the way could read it/)
  assert.doesNotMatch(finding, /horse/)
  assert.deepEqual(inKafka({ ...named, ...tls, 'sasl.mechanism': 'plain' }), [])
  assert.deepEqual(inKafka({ ...named, 'sasl.mechanism': 'plain', brokers: ['127.0.0.1:9092'] }), [])
  assert.deepEqual(inKafka({ ...named, 'sasl.mechanism': 'scram-sha-256' }), [])
})

test('tombstones lie in the partition of their user', () => {
  const topics = [
    { topic: 'searches', holds: 'search', partitioner: 'other' },
    { topic: 'tombstones', holds: 'tombstone', partitioner: 'other' },
  ]
  const findings = lint({ 'events.topics': topics })
  assert.equal(findings.length, 1)
  assert.match(findings[0]!, /topics.1.partitioner: partitioner of tombstones must be murmur2/)
})
