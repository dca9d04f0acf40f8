/** What doctor says of a Qdrant server: everything that would keep freshet from starting, and what is worth knowing. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Check, checkVectors } from '../../src/cli/doctor-vectors.ts'
import { answer } from '../drivers/qdrant/double/faults.ts'
import type { DoubleOptions } from '../drivers/qdrant/double/qdrant-double.ts'
import { event, ingest, MAIN, type QdrantStandalone, withQdrant } from './qdrant-standalone.ts'

async function checks(
  qdrant: QdrantStandalone,
  flags: Record<string, unknown> = {},
): Promise<Map<string, Check>> {
  const found = await checkVectors(qdrant.settings(flags))
  return new Map(found.map((check) => [check.what, check]))
}

test('over SQLite there is nothing to look at', () =>
  withQdrant(async (qdrant) => {
    assert.deepEqual(await checkVectors(qdrant.settings({ 'vectors.driver': 'sqlite' })), [])
  }))

test('a server that fits is said to, and what can be written without a key is noted', () =>
  withQdrant(async (qdrant) => {
    const before = await checks(qdrant)
    assert.match(before.get('qdrant')!.text, /^Qdrant 1\.19\.0 at http/)
    assert.deepEqual([before.get('qdrant key')!.result, before.has('qdrant tls')], ['note', false])
    assert.deepEqual(before.get('collections'), {
      what: 'collections',
      result: 'ok',
      text: 'they are made at the first start',
    })
    assert.deepEqual(qdrant.writes, [])

    await qdrant.running((running) => ingest(running, event('ada', 1)))
    assert.equal((await checks(qdrant)).get('collections')!.result, 'ok')
    const otherwise = await checks(qdrant, { 'vectors.qdrant.collection.hnsw.m': 32 })
    assert.equal(otherwise.get('collections')!.result, 'note')
    assert.match(
      otherwise.get('collections')!.text,
      /hnsw\.m of freshet_main_.* 16, not 32: freshet collections plan/,
    )
  }))

test('what is missing is said to be, and what a start does about it', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    qdrant.double.store.drop(MAIN)
    const { result, text } = (await checks(qdrant)).get('collections')!
    assert.equal(result, 'note')
    assert.match(text, /^vectors are gone, or older than the states, so the next start embeds everybody/)
    assert.match(
      text,
      /collection freshet_main_\S+ is missing; vector name general@\S+ of freshet_main_\S+ is/,
    )
  }))

for (const [what, code, options, flags] of [
  ['a key that is none', 'qdrant-key', { apiKey: 'right' }, { 'vectors.qdrant.apiKey': 'wrong' }],
  [
    'a key that may only read',
    'qdrant-key-read-only',
    { apiKey: 'right', readOnlyApiKey: 'reader' },
    { 'vectors.qdrant.apiKey': 'reader' },
  ],
  ['a server of before 1.18', 'qdrant-version', { version: '1.16.3' }, {}],
] as [string, string, DoubleOptions, Record<string, unknown>][])
  test(`${what} fails`, () =>
    withQdrant(async (qdrant) => {
      const [check, ...more] = await checkVectors(qdrant.settings(flags))
      assert.deepEqual([check!.result, more], ['fail', []])
      assert.match(check!.text, new RegExp(`^${code}: `))
    }, options))

test('a server that is down, and collections of somebody else, fail', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    const stranger = await checks(qdrant, { dataDir: join(qdrant.root, 'other') })
    assert.match(stranger.get('qdrant')!.text, /^vectors-not-ours: /)
    await qdrant.proxy.refuse()
    assert.match((await checks(qdrant)).get('qdrant')!.text, /^qdrant-unavailable: /)
  }))

test('a key for some collections only is told what it can’t do', () =>
  withQdrant(async (qdrant) => {
    const forbidden = { status: { error: 'Forbidden: Global access is required' }, time: 0 }
    qdrant.double.faults.add('POST /collections/aliases', answer(403, { body: forbidden }))
    const { result, text } = (await checks(qdrant)).get('qdrant key')!
    assert.equal(result, 'note')
    assert.match(text, /for some collections only: run freshet collections apply/)
  }))
