/** What the operator set of Kafka, as the driver takes it. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { kafkaSettings, ownTopics, repartitionTopic } from '../../src/cli/kafka-settings.ts'
import { asRead, copiedTopics } from '../../src/cli/topics-as-read.ts'
import { loadSettings } from '../../src/config/load-settings.ts'

function settings(flags: Record<string, unknown> = {}) {
  const needed = {
    'events.driver': 'kafka',
    'events.kafka.brokers': ['127.0.0.1:9092'],
    'vectors.sqliteFile': 'v.db',
  }
  return loadSettings({ file: null, env: {}, flags: { ...needed, ...flags } }).settings
}

test('without TLS and names there are none, and own topics bear the prefix', () => {
  const { tls, sasl, brokers } = kafkaSettings(settings())
  assert.deepEqual([tls, sasl, brokers], [null, null, ['127.0.0.1:9092']])
  const { state, models } = ownTopics(settings({ 'events.kafka.topicPrefix': 'staging.' }))
  assert.deepEqual([state, models], ['staging.freshet.state', 'staging.freshet.models'])
})

test('files of certificates become what they hold, and one that can not be read is named', () => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-pem-'))
  const path = join(folder, 'ca.pem')
  writeFileSync(path, 'a certificate')
  const flags = { 'events.kafka.tls.enabled': true, 'events.kafka.tls.caFile': path }
  const { tls } = kafkaSettings(settings(flags))
  assert.equal(tls?.ca, 'a certificate')
  assert.equal(tls?.key, null)
  rmSync(folder, { recursive: true })
  assert.throws(() => kafkaSettings(settings(flags)), { code: 'kafka-file', message: /tls\.caFile.*ca\.pem/ })
})

test('a topic of another partitioner is read from its copy, by what it holds', () => {
  const topics = [
    { topic: 'searches', holds: 'search', partitioner: 'other' },
    { topic: 'apps', holds: 'app' },
  ]
  const given = settings({ 'events.topics': topics })
  const copy = repartitionTopic(given, 'searches')
  assert.equal(copy, 'freshet.repartition.searches')
  assert.deepEqual(
    asRead(given).map(({ topic, holds }) => [topic, holds]),
    [
      [copy, 'search'],
      ['apps', 'app'],
    ],
  )
  assert.deepEqual(copiedTopics(given), [{ from: 'searches', to: copy }])
})
