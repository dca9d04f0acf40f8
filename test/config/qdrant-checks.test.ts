/** What is refused of vectors.qdrant before anything is connected, each in one line that says what to do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingText } from '../../src/config/finding.ts'
import { lintSettings, loadSettings } from '../../src/config/load-settings.ts'
import { printSettings } from '../../src/config/print-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import type { QdrantSettings } from '../../src/drivers/qdrant/qdrant-settings.ts'

function lint(flags: Record<string, unknown>): string[] {
  const inSection = Object.entries(flags).map(([path, value]) => [`vectors.qdrant.${path}`, value])
  return lintSettings({ file: null, env: {}, flags: Object.fromEntries(inSection) }).map(findingText)
}

test('the section of the settings is what the driver takes, and no more', () => {
  const { qdrant } = loadSettings({ file: null, env: {} }).settings.vectors
  const forDriver: QdrantSettings = qdrant
  const back: Settings['vectors']['qdrant'] = forDriver
  assert.deepEqual(back, qdrant)
})

test('a key is never sent in clear beyond this machine', () => {
  const key = { apiKey: 'correct horse' }
  assert.deepEqual(lint({ ...key, url: 'http://qdrant:6333' }), [
    'flag: vectors.qdrant.url: url must be https where apiKey is set, got http://qdrant:6333: everybody on the way could read the key; switch TLS on at the server, or at a proxy before it',
  ])
  assert.match(
    lint({ ...key, grpcUrl: 'http://qdrant:6334' })[0]!,
    /grpcUrl must be https where apiKey is set/,
  )
  for (const host of ['localhost', '127.0.0.1', '127.8.0.1', '[::1]'])
    assert.deepEqual(lint({ ...key, url: `http://${host}:6333` }), [])
  assert.deepEqual(lint({ ...key, url: 'https://qdrant:6333/cluster', grpcUrl: 'https://qdrant:6334' }), [])
  assert.deepEqual(lint({ url: 'http://qdrant:6333' }), [])
})

test('an address that is none, or that holds a secret, is refused, and the secret is not repeated', () => {
  assert.match(lint({ url: 'qdrant:6333' })[0]!, /url must be an address such as https:/)
  assert.match(lint({ url: 'ftp://qdrant' })[0]!, /url must be an address such as https:/)
  for (const url of ['me:hunter2@qdrant:6333', 'ftp://me:hunter2@qdrant', 'http//qdrant?key=hunter2'])
    assert.match(lint({ url })[0]!, /^(?!.*hunter2).*url must be an address such as https:/)
  for (const text of ['https://me:horse@qdrant', 'https://qdrant?api-key=horse', 'https://qdrant#horse']) {
    const [finding = '', ...more] = lint({ url: text })
    assert.match(finding, /put the key into apiKey/)
    assert.doesNotMatch(finding, /horse/)
    assert.deepEqual(more, [])
  }
  assert.deepEqual(lint({ url: 'https://qdrant/rest', grpcUrl: 'https://qdrant/grpc' }), [])
})

test('the key is masked when printed, and read from a file that its variable names', () => {
  const loaded = loadSettings({ file: null, env: { FRESHET_VECTORS__QDRANT__API_KEY: 'correct horse' } })
  assert.equal(loaded.settings.vectors.qdrant.apiKey, 'correct horse')
  const printed = printSettings(loaded)
  assert.doesNotMatch(printed, /horse/)
  assert.match(printed, /apiKey: "?\*+"? # FRESHET_VECTORS__QDRANT__API_KEY/)
})

test('replicas, consistency and ordering must fit together', () => {
  assert.match(
    lint({ 'collection.writeConsistency': 2 })[0]!,
    /writeConsistency \(2\) must not exceed replicas \(1\)/,
  )
  assert.match(
    lint({ readConsistency: 3 })[0]!,
    /readConsistency \(3\) must not exceed collection\.replicas \(1\)/,
  )
  assert.deepEqual(lint({ readConsistency: 'majority' }), [])
  assert.match(
    lint({ 'collection.replicas': 2 })[0]!,
    /writeOrdering must be medium or strong.*\(2\), got weak/,
  )
  assert.deepEqual(lint({ 'collection.replicas': 2, writeOrdering: 'medium', readConsistency: 2 }), [])
})

test('a graph that could not heal is refused, and no graph needs none', () => {
  assert.match(lint({ 'collection.deletedThreshold': 0.3 })[0]!, /deletedThreshold must be at most 0\.25/)
  assert.deepEqual(lint({ 'collection.deletedThreshold': 0.3, 'collection.hnsw.m': 0 }), [])
})

test('attempts that would go on for more than an hour are refused: by then a purged stub may be gone (V3)', () => {
  assert.match(lint({ timeoutMs: 800_000 })[0]!, /sendAttemptsMax \(5\) attempts of timeoutMs \(800000\)/)
  assert.deepEqual(lint({ timeoutMs: 720_000 }), [])
})

test('a prefix that is no part of a name is refused', () => {
  for (const prefix of ['A', 'a_b', '..', 'a'.repeat(41)])
    assert.match(lint({ prefix })[0]!, /at most 40 of a-z, 0-9 and -/)
  assert.deepEqual(lint({ prefix: 'staging-eu1' }), [])
})
