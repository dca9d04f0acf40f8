import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { QdrantClient } from '@qdrant/js-client-rest'
import { ALICE, grpcClient, restClient, told } from './facts.ts'
import { type QdrantDouble, startQdrantDouble } from './qdrant-double.ts'

const KEYS = { apiKey: 'all', readOnlyApiKey: 'read' }

async function guarded(run: (double: QdrantDouble, owner: QdrantClient) => Promise<void>): Promise<void> {
  const double = await startQdrantDouble(KEYS)
  try {
    const owner = restClient(double.url, KEYS.apiKey)
    await owner.createCollection('c', { vectors: { v: { size: 2, distance: 'Cosine' } } })
    await owner.upsert('c', { wait: true, points: [{ id: ALICE, vector: { v: [1, 0] } }] })
    await run(double, owner)
  } finally {
    await double.close()
  }
}

describe('keys', () => {
  test('without a key and with another one everything is 401, told as plain text', () =>
    guarded(async ({ url }) => {
      const answer = await told(restClient(url).count('c'))
      assert.deepEqual(answer, {
        status: 401,
        text: 'Must provide an API key or an Authorization bearer token',
      })
      const wrong = await told(restClient(url, 'other').count('c'))
      assert.deepEqual(wrong, { status: 401, text: 'Invalid API key or JWT' })
    }))

  test('the key that may read reads and searches, and writes nothing', () =>
    guarded(async ({ url }) => {
      const reader = restClient(url, KEYS.readOnlyApiKey)
      assert.equal((await reader.count('c')).count, 1)
      assert.equal((await reader.query('c', { query: [1, 0], using: 'v' })).points.length, 1)
      for (const request of [
        () => reader.upsert('c', { wait: true, points: [{ id: ALICE, vector: { v: [0, 1] } }] }),
        () => reader.delete('c', { wait: true, points: [ALICE] }),
        () => reader.createCollection('d', {}),
        () => reader.updateCollection('c', {}),
        () => reader.deleteCollection('c'),
        () => reader.createVectorName('c', 'w', { dense: { size: 2, distance: 'Cosine' } }),
        () => reader.createPayloadIndex('c', { field_name: 'a', field_schema: 'keyword' }),
        () => reader.updateCollectionAliases({ actions: [] }),
      ])
        assert.deepEqual(await told(request()), {
          status: 403,
          text: 'Forbidden: Global manage access is required',
        })
    }))

  test('the version and the probes need no key', () =>
    guarded(async ({ url }) => {
      assert.equal((await restClient(url).versionInfo()).version, '1.19.0')
      for (const probe of ['healthz', 'livez', 'readyz']) {
        const { status } = await fetch(`${url}/${probe}`)
        assert.equal(status, 200)
      }
    }))

  test('gRPC knows the same keys, and its health check needs none', () =>
    guarded(async ({ grpcUrl }) => {
      const ask = { collectionName: 'c', ids: [{ pointIdOptions: { case: 'uuid', value: ALICE } }] } as const
      const codeOf = (key?: string) =>
        grpcClient(grpcUrl, key)
          .api('points')
          .get(ask as never)
          .then(
            ({ result }) => result.length,
            (error: { code: number }) => error.code,
          )
      assert.equal((await grpcClient(grpcUrl).api('service').healthCheck({})).version, '1.19.0')
      assert.equal(await codeOf(KEYS.readOnlyApiKey), 1)
      const UNAUTHENTICATED = 16
      assert.equal(await codeOf(), UNAUTHENTICATED)
      assert.equal(await codeOf('other'), UNAUTHENTICATED)
      const PERMISSION_DENIED = 7
      const write = grpcClient(grpcUrl, KEYS.readOnlyApiKey).api('points').upsert({ collectionName: 'c' })
      await assert.rejects(write, { code: PERMISSION_DENIED })
    }))
})
