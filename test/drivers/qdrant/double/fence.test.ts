import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { QdrantClient } from '@qdrant/js-client-rest'
import { ALICE, BOB, CAROL, fact } from './facts.ts'

type Version = { epoch: number; write: number }

/** The fence that freshet writes with: a higher epoch, or the same with a write that isn't smaller. */
const fence = ({ epoch, write }: Version) => ({
  should: [
    { key: 'epoch', range: { lt: epoch } },
    {
      must: [
        { key: 'epoch', match: { value: epoch } },
        { key: 'write', range: { lte: write } },
      ],
    },
    { is_empty: { key: 'epoch' } },
  ],
})

async function write(client: QdrantClient, name: string, version: Version, ids: string[], vector = [1, 0]) {
  const points = ids.map((id) => ({ id, vector: { v: vector }, payload: { ...version, mark: vector[0] } }))
  return client.upsert(name, { wait: true, points, update_filter: fence(version) })
}

async function versions(client: QdrantClient, name: string, ids: string[]): Promise<unknown[]> {
  const points = await client.retrieve(name, { ids })
  const found = new Map(points.map(({ id, payload }) => [id, payload]))
  return ids.map((id) => {
    const payload = found.get(id)
    return payload === undefined ? null : payload === null ? {} : [payload.epoch, payload.write]
  })
}

describe('the fence', () => {
  fact(
    'a write that is older in its epoch, or of an older epoch, is refused without a word',
    async (place) => {
      const { client } = place
      const name = await place.made()
      await write(client, name, { epoch: 2, write: 5 }, [ALICE])
      for (const older of [
        { epoch: 2, write: 4 },
        { epoch: 1, write: 9 },
      ]) {
        const { status } = await write(client, name, older, [ALICE])
        assert.equal(status, 'completed')
      }
      assert.deepEqual(await versions(client, name, [ALICE]), [[2, 5]])
    },
  )

  fact('the same write again, a newer one, and any of a newer epoch replace the point', async (place) => {
    const { client } = place
    const name = await place.made()
    for (const [epoch, number] of [
      [2, 5],
      [2, 5],
      [2, 6],
      [3, 0],
    ] as const) {
      await write(client, name, { epoch, write: number }, [ALICE])
      assert.deepEqual(await versions(client, name, [ALICE]), [[epoch, number]])
    }
  })

  fact('a point that isn’t there is inserted, whatever the filter says', async (place) => {
    const name = await place.made()
    const points = [{ id: ALICE, vector: { v: [1, 0] }, payload: { epoch: 1, write: 1 } }]
    const update_filter = { must: [{ key: 'epoch', range: { lt: 0 } }] }
    await place.client.upsert(name, { wait: true, points, update_filter })
    assert.deepEqual(await versions(place.client, name, [ALICE]), [[1, 1]])
  })

  fact('points are judged one by one, by what stood before the request', async (place) => {
    const { client } = place
    const name = await place.made()
    await write(client, name, { epoch: 9, write: 1 }, [BOB])
    await write(client, name, { epoch: 1, write: 1 }, [CAROL])
    await write(client, name, { epoch: 2, write: 2 }, [ALICE, BOB, CAROL])
    assert.deepEqual(await versions(client, name, [ALICE, BOB, CAROL]), [
      [2, 2],
      [9, 1],
      [2, 2],
    ])
  })

  fact('of an id listed twice in a request the last one stays, even the older', async (place) => {
    const name = await place.made()
    const point = (number: number) => ({
      id: ALICE,
      vector: { v: [1, 0] },
      payload: { epoch: 1, write: number },
    })
    await place.client.upsert(name, {
      wait: true,
      points: [point(7), point(3)],
      update_filter: fence({ epoch: 1, write: 7 }),
    })
    assert.deepEqual(await versions(place.client, name, [ALICE]), [[1, 3]])
  })

  fact('a point without an epoch passes is_empty only, and no range', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.upsert(name, { wait: true, points: [{ id: ALICE, vector: { v: [1, 0] }, payload: {} }] })
    const points = [{ id: ALICE, vector: { v: [0, 1] }, payload: { epoch: 1, write: 1 } }]
    await client.upsert(name, {
      wait: true,
      points,
      update_filter: { must: [{ key: 'epoch', range: { lte: 1 } }] },
    })
    assert.deepEqual(await versions(client, name, [ALICE]), [[undefined, undefined]])
    await client.upsert(name, { wait: true, points, update_filter: fence({ epoch: 1, write: 1 }) })
    assert.deepEqual(await versions(client, name, [ALICE]), [[1, 1]])
  })

  fact('insert_only leaves what is there, update_only makes nothing new', async (place) => {
    const { client } = place
    const name = await place.made()
    await write(client, name, { epoch: 1, write: 1 }, [ALICE])
    const points = [ALICE, BOB].map((id) => ({
      id,
      vector: { v: [0, 1] },
      payload: { epoch: 2, write: 2 },
    }))
    await client.upsert(name, { wait: true, points, update_mode: 'update_only' })
    assert.deepEqual(await versions(client, name, [ALICE, BOB]), [[2, 2], null])
    const again = points.map((point) => ({ ...point, payload: { epoch: 3, write: 3 } }))
    await client.upsert(name, { wait: true, points: again, update_mode: 'insert_only' })
    assert.deepEqual(await versions(client, name, [ALICE, BOB]), [
      [2, 2],
      [3, 3],
    ])
  })

  fact('a deleted point comes back by a late write, but not by one that only updates', async (place) => {
    const { client } = place
    const name = await place.made()
    await write(client, name, { epoch: 5, write: 5 }, [ALICE])
    await client.delete(name, { wait: true, points: [ALICE] })
    const points = [{ id: ALICE, vector: { v: [1, 0] }, payload: { epoch: 1, write: 1 } }]
    const update_filter = fence({ epoch: 1, write: 1 })
    await client.upsert(name, { wait: true, points, update_filter, update_mode: 'update_only' })
    assert.deepEqual(await versions(client, name, [ALICE]), [null])
    await client.upsert(name, { wait: true, points, update_filter })
    assert.deepEqual(await versions(client, name, [ALICE]), [[1, 1]])
  })

  fact('one version for each point of a request goes through has_id', async (place) => {
    const { client } = place
    const name = await place.made()
    await write(client, name, { epoch: 1, write: 4 }, [ALICE, BOB])
    const points = [ALICE, BOB].map((id) => ({ id, vector: { v: [0, 1] }, payload: { epoch: 1, write: 5 } }))
    const upTo = (id: string, number: number) => ({
      must: [{ has_id: [id] }, { key: 'write', range: { lte: number } }],
    })
    await client.upsert(name, {
      wait: true,
      points,
      update_filter: { should: [upTo(ALICE, 3), upTo(BOB, 4)] },
    })
    assert.deepEqual(await versions(client, name, [ALICE, BOB]), [
      [1, 4],
      [1, 5],
    ])
  })

  fact('a stub takes the vectors away, is fenced itself, and is filled again by its owner', async (place) => {
    const { client } = place
    const name = await place.made()
    await write(client, name, { epoch: 1, write: 1 }, [ALICE])
    const stub = { id: ALICE, vector: {}, payload: { epoch: 2, write: 2 } }
    const update_filter = fence({ epoch: 2, write: 2 })
    await client.upsert(name, { wait: true, points: [stub], update_filter })
    assert.deepEqual((await client.query(name, { query: [1, 0], using: 'v' })).points, [])
    assert.equal((await client.count(name)).count, 1)
    const stubs = { must_not: [{ has_vector: 'v' }] }
    assert.equal((await client.count(name, { filter: stubs })).count, 1)
    await write(client, name, { epoch: 1, write: 9 }, [ALICE])
    assert.deepEqual(await versions(client, name, [ALICE]), [[2, 2]])
    await write(client, name, { epoch: 2, write: 3 }, [ALICE])
    assert.equal((await client.query(name, { query: [1, 0], using: 'v' })).points.length, 1)
  })
})
