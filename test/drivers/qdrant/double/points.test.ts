import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { ALICE, BOB, CAROL, fact, told } from './facts.ts'

describe('points', () => {
  fact('an upsert replaces the whole point: vectors and payload that aren’t sent are gone', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors: { v: { size: 2, distance: 'Cosine' }, w: { size: 2, distance: 'Cosine' } },
    })
    const first = { id: ALICE, vector: { v: [1, 0], w: [0, 1] }, payload: { a: 1, b: 2 } }
    await client.upsert(name, { wait: true, points: [first] })
    await client.upsert(name, {
      wait: true,
      points: [{ id: ALICE, vector: { w: [1, 0] }, payload: { c: 3 } }],
    })
    const [point] = await client.retrieve(name, { ids: [ALICE], with_vector: true })
    assert.deepEqual(point, { id: ALICE, payload: { c: 3 }, vector: { w: [1, 0] } })
  })

  fact('rows and columns write the same points', async (place) => {
    const { client } = place
    const [rows, columns] = [await place.made(), await place.made()]
    const points = [
      { id: 1, vector: { v: [1, 0] }, payload: { n: 1 } },
      { id: 2, vector: { v: [0, 1] }, payload: {} },
    ]
    const vectors = {
      v: [
        [1, 0],
        [0, 1],
      ],
    }
    await client.upsert(rows, { wait: true, points })
    await client.upsert(columns, {
      wait: true,
      batch: { ids: [1, 2], vectors, payloads: [{ n: 1 }, null] as never },
    })
    const ask = { ids: [1, 2], with_vector: true }
    assert.deepEqual(await client.retrieve(columns, ask), await client.retrieve(rows, ask))
  })

  fact('under Cosine a vector is stored with length 1, under Dot as it comes', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors: { c: { size: 2, distance: 'Cosine' }, d: { size: 2, distance: 'Dot' } },
    })
    await client.upsert(name, { wait: true, points: [{ id: 1, vector: { c: [3, 4], d: [3, 4] } }] })
    const [point] = await client.retrieve(name, { ids: [1], with_vector: true })
    const { c, d } = point!.vector as Record<string, number[]>
    assert.deepEqual(c, [0.6, 0.8])
    assert.deepEqual(d, [3, 4])
  })

  fact('float16 keeps eleven bits of each number', async (place) => {
    const { client } = place
    const name = await place.made({ vectors: { h: { size: 3, distance: 'Dot', datatype: 'float16' } } })
    await client.upsert(name, { wait: true, points: [{ id: 1, vector: { h: [0.1, 1 / 3, 2049] } }] })
    const [point] = await client.retrieve(name, { ids: [1], with_vector: true })
    // The nearest binary16 by hand: 1638/2^14, 1365/2^12, and 2048 for the even one of two as near.
    assert.deepEqual((point!.vector as { h: number[] }).h.map(Math.fround), [
      1638 / 2 ** 14,
      1365 / 2 ** 12,
      2048,
    ])
  })

  const bad = {
    'another dimension': {
      vector: { v: [1, 0, 0] },
      status: 400,
      text: /Vector dimension error: expected dim: 2, got 3 for vector 'v'/,
    },
    'a number that is none': {
      vector: { v: [Number.NaN, 0] },
      status: 400,
      text: /data did not match any variant of untagged enum VectorStruct/,
    },
    'a typed array': {
      vector: { v: Float32Array.of(1, 0) as never },
      status: 400,
      text: /data did not match any variant of untagged enum VectorStruct/,
    },
    'no numbers': { vector: { v: [] }, status: 422, text: /must not be empty/ },
  }
  for (const [what, { vector, status, text }] of Object.entries(bad))
    fact(`one point with ${what} fails the request, and nothing of it is stored`, async (place) => {
      const name = await place.made()
      const points = [
        { id: ALICE, vector: { v: [1, 0] } },
        { id: BOB, vector: vector as Record<string, number[]> },
        { id: CAROL, vector: { v: [0, 1] } },
      ]
      const answer = await told(place.client.upsert(name, { wait: true, points }))
      assert.equal(answer.status, status)
      assert.match(answer.text, text)
      assert.equal((await place.client.count(name)).count, 0)
    })

  fact(
    'a number beyond float32 is stored, ranks first without a score, and hides the rest behind a threshold',
    async (place) => {
      const { client } = place
      const name = await place.made()
      const points = [
        { id: ALICE, vector: { v: [1, 0] } },
        { id: BOB, vector: { v: [1e39, 0] } },
      ]
      await client.upsert(name, { wait: true, points })
      const ask = { query: [1, 0], using: 'v' }
      const { points: found } = await client.query(name, ask)
      assert.deepEqual(
        found.map(({ id, score }) => [id, score]),
        [
          [BOB, null],
          [ALICE, 1],
        ],
      )
      assert.deepEqual((await client.query(name, { ...ask, score_threshold: 0.5 })).points, [])
    },
  )

  fact('what is only acknowledged may not be there yet, and a later write finds it done', async (place) => {
    const { client } = place
    const name = await place.made()
    const first = await client.upsert(name, { wait: false, points: [{ id: ALICE, vector: { v: [1, 0] } }] })
    assert.equal(first.status, 'acknowledged')
    const second = await client.upsert(name, { wait: true, points: [{ id: BOB, vector: { v: [0, 1] } }] })
    assert.equal(second.status, 'completed')
    assert.equal((await client.count(name)).count, 2)
  })

  fact('a deletion that says nothing of waiting is only acknowledged', async (place) => {
    const name = await place.made()
    assert.equal((await place.client.delete(name, { points: [ALICE] })).status, 'acknowledged')
    assert.equal((await place.client.delete(name, { wait: true, points: [ALICE] })).status, 'completed')
  })

  fact(
    'without waiting a wrong dimension is refused, and an unknown name is acknowledged and lost',
    async (place) => {
      const { client } = place
      const name = await place.made()
      const answer = await told(client.upsert(name, { wait: false, points: [{ id: 1, vector: { v: [1] } }] }))
      assert.match(answer.text, /Vector dimension error/)
      const lost = await client.upsert(name, { wait: false, points: [{ id: 1, vector: { zz: [1] } }] })
      assert.equal(lost.status, 'acknowledged')
      await client.upsert(name, { wait: true, points: [{ id: 2, vector: { v: [1, 0] } }] })
      assert.equal((await client.count(name)).count, 1)
    },
  )

  for (const [what, filter] of [
    ['an empty filter', {}],
    ['an empty must', { must: [] }],
  ] as const)
    fact(`a deletion with ${what} deletes every point`, async (place) => {
      const { client } = place
      const name = await place.made()
      const points = [1, 2, 3].map((id) => ({ id, vector: { v: [1, 0] } }))
      await client.upsert(name, { wait: true, points })
      assert.equal((await client.delete(name, { wait: true, filter: filter as never })).status, 'completed')
      assert.equal((await client.count(name)).count, 0)
    })

  fact(
    'absent points are absent from what is retrieved; vectors come when asked for, by name',
    async (place) => {
      const { client } = place
      const name = await place.made({
        vectors: { v: { size: 2, distance: 'Dot' }, w: { size: 1, distance: 'Dot' } },
      })
      await client.upsert(name, {
        wait: true,
        points: [{ id: 1, vector: { v: [1, 2], w: [3] }, payload: { a: 1, b: 2 } }],
      })
      assert.deepEqual(await client.retrieve(name, { ids: [1, 2] }), [{ id: 1, payload: { a: 1, b: 2 } }])
      const some = { ids: [1], with_payload: ['b'], with_vector: ['w'] }
      assert.deepEqual(await client.retrieve(name, some), [{ id: 1, payload: { b: 2 }, vector: { w: [3] } }])
    },
  )

  fact('pages of a scroll go by id and end with null', async (place) => {
    const { client } = place
    const name = await place.made()
    const ids = [BOB, 7, ALICE, 3]
    await client.upsert(name, { wait: true, points: ids.map((id) => ({ id, vector: { v: [1, 0] } })) })
    const seen: unknown[] = []
    let offset: string | number | undefined
    do {
      const page = await client.scroll(name, { limit: 3, ...(offset === undefined ? {} : { offset }) })
      seen.push(page.points.map(({ id }) => id))
      offset = (page.next_page_offset ?? undefined) as string | number | undefined
    } while (offset !== undefined)
    assert.deepEqual(seen, [[3, 7, BOB], [ALICE]])
  })

  fact('an upsert of nothing is refused', async (place) => {
    const answer = await told(place.client.upsert(await place.made(), { wait: true, points: [] }))
    assert.deepEqual(answer, { status: 400, text: 'Bad request: Empty update request' })
  })

  fact('retrieve gives a payload only when it is asked for, scroll unless it is refused', async (place) => {
    const name = await place.made()
    await place.client.upsert(name, { wait: true, points: [{ id: 1, vector: {}, payload: { a: 1 } }] })
    const ask = async (path: string, body: object) => {
      const { API_KEY: key = '' } = { API_KEY: process.env.QDRANT_API_KEY }
      const headers = { 'content-type': 'application/json', 'api-key': key }
      const answer = await fetch(`${place.url}/collections/${name}/${path}`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      })
      return ((await answer.json()) as { result: unknown }).result
    }
    assert.deepEqual(await ask('points', { ids: [1] }), [{ id: 1 }])
    assert.deepEqual(await ask('points/scroll', {}), {
      points: [{ id: 1, payload: { a: 1 } }],
      next_page_offset: null,
    })
  })

  fact('an id that is neither a whole number nor a UUID is refused', async (place) => {
    const name = await place.made()
    const answer = await told(
      place.client.upsert(name, { wait: true, points: [{ id: 'alice', vector: { v: [1, 0] } }] }),
    )
    assert.equal(answer.status, 400)
  })
})
