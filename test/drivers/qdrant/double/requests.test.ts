import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ALICE, fact, restClient, told } from './facts.ts'
import { type DoubleOptions, type QdrantDouble, startQdrantDouble } from './qdrant-double.ts'

async function withDouble(
  options: DoubleOptions,
  run: (double: QdrantDouble) => Promise<void>,
): Promise<void> {
  const double = await startQdrantDouble(options)
  try {
    await run(double)
  } finally {
    await double.close()
  }
}

const point = { id: ALICE, vector: { v: [1, 0] } }
const typo = { wait: true, points: [point], updatefilter: { must: [] } } as never
const make = { vectors: { v: { size: 2, distance: 'Cosine' } } } as const

describe('what is sent', () => {
  test('an unknown field is refused by its name, in a body and in a URL', () =>
    withDouble({}, async ({ url }) => {
      const client = restClient(url)
      await client.createCollection('c', make)
      const body = await told(client.upsert('c', typo))
      assert.equal(body.status, 400)
      assert.match(body.text, /unknown field `updatefilter`/)
      const nested = await told(client.updateCollection('c', { hnsw_config: { em: 1 } as never }))
      assert.match(nested.text, /unknown field `em` in hnsw_config/)
      const search = { query: [1, 0], using: 'v', filter: { must: [{ key: 'a', mtach: {} }] } }
      assert.match((await told(client.query('c', search))).text, /unknown field `mtach` in filter\.must\.0/)
      const parameter = await fetch(`${url}/collections/c/points/count?tiemout=1`, {
        method: 'POST',
        body: '{}',
      })
      assert.equal(parameter.status, 400)
      assert.match(await parameter.text(), /unknown field `tiemout`/)
    }))

  fact(
    'at the top of a body a server passes it over, and the guard with it',
    async (place) => {
      const { client } = place
      const name = await place.made()
      await client.upsert(name, { wait: true, points: [{ ...point, payload: { epoch: 9 } }] })
      const unguarded = {
        wait: true,
        points: [point],
        updatefilter: { must: [{ key: 'epoch', range: { lt: 1 } }] },
      }
      assert.equal((await client.upsert(name, unguarded as never)).status, 'completed')
      assert.deepEqual((await client.retrieve(name, { ids: [ALICE] }))[0]?.payload ?? {}, {})
    },
    { lenient: true },
  )

  test('a body over the limit is refused with both sizes', () =>
    withDouble({ requestSizeMbMax: 1 }, async ({ url }) => {
      const client = restClient(url)
      await client.createCollection('c', make)
      const text = 'x'.repeat(1024 * 1024)
      const answer = await told(client.upsert('c', { wait: true, points: [{ ...point, payload: { text } }] }))
      assert.equal(answer.status, 400)
      assert.match(
        answer.text,
        /JSON payload \(\d+ bytes\) is larger than allowed \(limit: 1048576 bytes\)\./,
      )
      assert.equal((await client.count('c')).count, 0)
      const chunked = await fetch(`${url}/collections/c/points`, {
        method: 'PUT',
        body: new Blob([JSON.stringify({ points: [{ ...point, payload: { text } }] })]).stream(),
        duplex: 'half',
      } as RequestInit)
      assert.match(await chunked.text(), /JSON payload has exceeded limit \(1048576 bytes\)\./)
    }))

  fact('a body that is no JSON is 400, and a path that leads nowhere 404', async ({ url }) => {
    const broken = await fetch(`${url}/collections/c/points/count`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'api-key': process.env.QDRANT_API_KEY ?? '' },
      body: '{"a":',
    })
    assert.equal(broken.status, 400)
    assert.match(await broken.text(), /Format error in JSON body/)
    const nowhere = await fetch(`${url}/collections/c/nothing/here`, {
      headers: { 'api-key': process.env.QDRANT_API_KEY ?? '' },
    })
    assert.equal(nowhere.status, 404)
  })

  test('the log holds what came, by endpoint, and forgets bodies before it grows', () =>
    withDouble({}, async ({ url, log }) => {
      const client = restClient(url)
      await client.createCollection('c', make)
      log.clear()
      const text = 'x'.repeat(1024 * 1024)
      const upserts = 'PUT /collections/{collection_name}/points'
      for (let i = 0; i < 6; i++)
        await client.upsert('c', {
          wait: true,
          ordering: 'medium',
          points: [{ ...point, payload: { i, text } }],
        })
      const seen = log.of(upserts)
      assert.equal(seen.length, 6)
      assert.deepEqual(seen[0]?.query, { wait: true, ordering: 'medium' })
      assert.equal(seen[0]?.path, '/collections/c/points')
      assert.equal(seen[0]?.body, undefined)
      assert.ok(seen[0].sizeBytes > 1024 * 1024)
      const last = seen[5]?.body as { points: { payload: { i: number } }[] }
      assert.equal(last.points[0]?.payload.i, 5)
    }))
})
