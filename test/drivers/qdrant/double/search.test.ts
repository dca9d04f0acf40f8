import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { QdrantClient } from '@qdrant/js-client-rest'
import { ALICE, BOB, CAROL, fact, restClient, told } from './facts.ts'
import { startQdrantDouble } from './qdrant-double.ts'

async function fill(client: QdrantClient, name: string): Promise<void> {
  await client.upsert(name, {
    wait: true,
    points: [
      { id: ALICE, vector: { v: [1, 0] }, payload: { segment: 'gold' } },
      { id: BOB, vector: { v: [3, 4] }, payload: { segment: 'iron' } },
      { id: CAROL, vector: { v: [0, 1] }, payload: { segment: 'gold' } },
    ],
  })
}

const ids = (found: { points: { id: unknown }[] }): unknown[] => found.points.map(({ id }) => id)

describe('search', () => {
  fact('hits come by falling cosine, with their scores and without payload or vectors', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    const { points } = await client.query(name, { query: [2, 0], using: 'v' })
    assert.deepEqual(
      points.map(({ id, score }) => [id, score]),
      [
        [ALICE, 1],
        [BOB, 0.6],
        [CAROL, 0],
      ],
    )
    assert.equal(points[0]?.payload ?? null, null)
    assert.equal(points[0]?.vector ?? null, null)
  })

  fact(
    'limit and offset cut a page; the filter and what is not above the threshold leave out',
    async (place) => {
      const { client } = place
      const name = await place.made()
      await fill(client, name)
      const ask = { query: [1, 0], using: 'v' }
      assert.deepEqual(ids(await client.query(name, { ...ask, limit: 1 })), [ALICE])
      assert.deepEqual(ids(await client.query(name, { ...ask, limit: 1, offset: 1 })), [BOB])
      assert.deepEqual(ids(await client.query(name, { ...ask, offset: 9 })), [])
      const filter = { must: [{ key: 'segment', match: { value: 'gold' } }] }
      assert.deepEqual(ids(await client.query(name, { ...ask, filter })), [ALICE, CAROL])
      assert.deepEqual(ids(await client.query(name, { ...ask, score_threshold: 0.5 })), [ALICE, BOB])
      assert.deepEqual(ids(await client.query(name, { ...ask, score_threshold: 1 })), [])
    },
  )

  fact('ten hits come unless more are asked for, and a limit of none is refused', async (place) => {
    const { client } = place
    const name = await place.made()
    const points = Array.from({ length: 12 }, (_, id) => ({ id, vector: { v: [1, 0] } }))
    await client.upsert(name, { wait: true, points })
    const ask = { query: [1, 0], using: 'v' }
    assert.equal((await client.query(name, ask)).points.length, 10)
    assert.equal((await client.query(name, { ...ask, limit: 12 })).points.length, 12)
    assert.equal((await told(client.query(name, { ...ask, limit: 0 }))).status, 422)
  })

  fact('a point is asked by its id, and is not in its own answer', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    assert.deepEqual(ids(await client.query(name, { query: ALICE, using: 'v' })), [BOB, CAROL])
    assert.deepEqual(ids(await client.query(name, { query: { nearest: ALICE }, using: 'v' })), [BOB, CAROL])
  })

  fact('an id that isn’t there, and one without the vector, are both 404', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.upsert(name, { wait: true, points: [{ id: ALICE, vector: {} }] })
    const missing = await told(client.query(name, { query: BOB, using: 'v' }))
    assert.equal(missing.status, 404)
    assert.match(missing.text, new RegExp(`No point with id ${BOB} found`))
    const without = await told(client.query(name, { query: ALICE, using: 'v' }))
    assert.equal(without.status, 404)
    assert.match(without.text, /Vector with name "v" for point not found/)
  })

  fact('an id looked up elsewhere is in the answer', async (place) => {
    const { client } = place
    const [users, items] = [await place.made(), await place.made()]
    await fill(client, users)
    await fill(client, items)
    const found = await client.query(items, {
      query: ALICE,
      using: 'v',
      lookup_from: { collection: users, vector: 'v' },
    })
    assert.deepEqual(ids(found), [ALICE, BOB, CAROL])
  })

  fact('another dimension and an unknown name are refused', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    const size = await told(client.query(name, { query: [1, 0, 0], using: 'v' }))
    assert.equal(size.status, 400)
    assert.match(size.text, /Vector dimension error: expected dim: 2, got 3/)
    const unknown = await told(client.query(name, { query: [1, 0], using: 'zz' }))
    assert.equal(unknown.status, 400)
    assert.match(unknown.text, /Not existing vector name error: zz/)
    assert.equal((await told(client.query(name, { query: [1, 0] }))).status, 400)
  })

  fact('a batch answers each search in turn, and one that fails fails all', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    const search = (query: number[] | string) => ({ query, using: 'v', limit: 1 })
    const answers = await client.queryBatch(name, { searches: [search([1, 0]), search([0, 1])] })
    assert.deepEqual(answers.map(ids), [[ALICE], [CAROL]])
    const answer = await told(
      client.queryBatch(name, { searches: [search([1, 0]), search(crypto.randomUUID())] }),
    )
    assert.equal(answer.status, 404)
  })

  fact('payload and vectors come when asked for, in parts too', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    const ask = { query: [1, 0], using: 'v', limit: 1 }
    const [hit] = (await client.query(name, { ...ask, with_payload: ['segment'], with_vector: ['v'] })).points
    assert.deepEqual(hit?.payload, { segment: 'gold' })
    assert.deepEqual(hit?.vector, { v: [1, 0] })
  })

  fact('under Dot the score is the product, unnormalised', async (place) => {
    const { client } = place
    const name = await place.made({ vectors: { d: { size: 2, distance: 'Dot' } } })
    await client.upsert(name, { wait: true, points: [{ id: 1, vector: { d: [3, 4] } }] })
    const [hit] = (await client.query(name, { query: [2, 2], using: 'd' })).points
    assert.equal(hit?.score, 14)
  })

  fact('without a query it is a scroll, all with a score of one', async (place) => {
    const { client } = place
    const name = await place.made()
    await fill(client, name)
    const { points } = await client.query(name, { limit: 2, offset: 1 })
    assert.deepEqual(
      points.map(({ id, score, version }) => [id, score, version]),
      [ALICE, BOB, CAROL]
        .sort()
        .slice(1)
        .map((id) => [id, 1, 0]),
    )
  })

  test('an approximate double misses hits that an exact search finds, the same ones each time', async () => {
    const double = await startQdrantDouble({ approximateSeed: 1 })
    try {
      const client = restClient(double.url)
      await client.createCollection('c', { vectors: { v: { size: 2, distance: 'Cosine' } } })
      const points = Array.from({ length: 200 }, (_, id) => ({ id, vector: { v: [1, id] } }))
      await client.upsert('c', { wait: true, points })
      const search = (exact: boolean) =>
        client.query('c', { query: [1, 0], using: 'v', limit: 200, params: { exact } })
      assert.equal(ids(await search(true)).length, 200)
      const found = ids(await search(false))
      assert.ok(found.length > 140 && found.length < 180, `about a fifth is missed, found ${found.length}`)
      assert.deepEqual(ids(await search(false)), found)
    } finally {
      await double.close()
    }
  })
})
