/** What every store promises of searches: what comparing every vector finds, page by page. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DEPTH_MAX, K_MAX, type PointId, type SearchQuery } from '../../src/vectors/vector-store.ts'
import {
  A,
  assertClose,
  B,
  bruteForce,
  DIMENSIONS,
  drawnQueries,
  drawnUsers,
  idOf,
  pointOf,
  stubOf,
  TOLERANCE,
  USERS_MAX,
  unit,
  vectorOf,
} from './points.ts'
import type { StoreScene } from './store-scene.ts'

export function searchPromises(scene: StoreScene): void {
  const { promise } = scene

  promise('search finds what comparing every vector finds, filtered, bounded, ties by id', async () => {
    const name = await scene.fresh([A, B])
    let write = 0
    await fc.assert(
      fc.asyncProperty(drawnUsers, drawnQueries, async (users, drawn) => {
        write++
        const points = users.map((one, i) =>
          pointOf(`${i}`, one.hasB ? { [A]: unit(0), [B]: one.vector } : { [A]: one.vector }, one),
        )
        const absent = Array.from({ length: USERS_MAX - users.length }, (_, i) =>
          stubOf(`${users.length + i}`),
        )
        await scene.store.upsert(name, { epoch: 1, write }, [...points, ...absent])
        const { k, offset, exact, filter, excluded, scoreThreshold } = drawn
        const vector = vectorOf(drawn.vector)
        const query: SearchQuery = { vectorName: B, vector, k, offset, exact, filter }
        if (excluded) query.exclude = [idOf('0')]
        if (scoreThreshold !== undefined) query.scoreThreshold = scoreThreshold
        const hits = await scene.store.search(name, query)
        const expected = bruteForce(points, query)
        assert.equal(hits.length, expected.length)
        for (const [i, hit] of hits.entries()) assertClose(hit.score, expected[i]!.score)
        // Which of equals come first, or come at all, is only sure where rounding can't part them.
        const isSure = expected.every(
          (hit, i) => i === 0 || Math.abs(hit.score - expected[i - 1]!.score) > TOLERANCE,
        )
        const idsOf = (found: readonly { id: PointId }[]) => found.map((hit) => hit.id)
        if (isSure && expected.length < k) assert.deepEqual(idsOf(hits), idsOf(expected))
        for (const hit of hits) {
          const point = points.find((one) => one.id === hit.id)!
          assert.ok(point.kind === 'vectors')
          assert.deepEqual(hit.payload, point.payload)
        }
      }),
      { seed: 20261211, numRuns: 60 },
    )
  })

  promise('equal scores are ordered by point id', async () => {
    const name = await scene.fresh([A])
    const users = Array.from({ length: 20 }, (_, i) => `tie-${i}`)
    await scene.store.upsert(
      name,
      { epoch: 1, write: 1 },
      users.map((user) => pointOf(user, { [A]: unit(1) })),
    )
    const ids = await scene.searchIds(name, { vectorName: A, vector: vectorOf(unit(1)), k: 7 })
    assert.deepEqual(ids, users.map(idOf).sort().slice(0, 7))
  })

  promise('a score that equals the threshold is high enough', async () => {
    const name = await scene.fresh([A])
    const points = [pointOf('same', { [A]: unit(0) }), pointOf('right-angled', { [A]: unit(1) })]
    await scene.store.upsert(name, { epoch: 1, write: 1 }, points)
    const query = { vectorName: A, vector: vectorOf(unit(0)), k: 5 }
    assert.deepEqual(await scene.searchIds(name, { ...query, scoreThreshold: 1 }), [idOf('same')])
    assert.deepEqual(
      await scene.searchIds(name, { ...query, scoreThreshold: 0 }),
      ['same', 'right-angled'].map(idOf),
    )
  })

  promise('pages together are the long list: nobody twice, nobody left out, ties by id', async () => {
    const name = await scene.fresh([A])
    // Of 300 users five groups of equals, so that every page has some at its edge.
    const points = Array.from({ length: 300 }, (_, i) =>
      pointOf(`page-${i}`, { [A]: [1, (i % 5) / 4, 0, 0, 0, 0] }),
    )
    await scene.store.upsert(name, { epoch: 1, write: 1 }, points)
    const query = { vectorName: A, vector: vectorOf(unit(0)), exact: true }
    const expected = bruteForce(points, { ...query, k: 300 }).map((hit) => hit.id)
    assert.deepEqual(await scene.searchIds(name, { ...query, k: 300 }), expected)
    for (const k of [7, 50, 128]) {
      const pages: PointId[] = []
      for (let offset = 0; offset < 300; offset += k)
        pages.push(...(await scene.searchIds(name, { ...query, k, offset })))
      assert.deepEqual(pages, expected)
    }
    assert.deepEqual(await scene.searchIds(name, { ...query, k: 5, offset: 300 }), [])
    assert.deepEqual(await scene.searchIds(name, { ...query, k: 5, offset: DEPTH_MAX - 5 }), [])
  })

  promise('a search that cannot be answered is the mistake of whoever asks', async () => {
    const name = await scene.fresh([A])
    const good = { vectorName: A, vector: vectorOf(unit(0)), k: 1 }
    const wrong: [string, SearchQuery][] = [
      ['search-k', { ...good, k: 0 }],
      ['search-k', { ...good, k: K_MAX + 1 }],
      ['search-depth', { ...good, offset: -1 }],
      ['search-depth', { ...good, offset: DEPTH_MAX }],
      ['search-k', { ...good, k: 1.5 }],
      ['search-vector', { ...good, vector: new Float32Array(2) }],
      ['search-vector', { ...good, vector: new Float32Array(DIMENSIONS) }],
      ['search-vector', { ...good, vector: vectorOf([Number.NaN, 0, 0, 0, 0, 0]) }],
      ['search-vector-name', { ...good, vectorName: B }],
    ]
    for (const [code, query] of wrong)
      await assert.rejects(scene.store.search(name, query), { code, name: 'RequestError' })
  })

  promise('a new name finds only points that were written with it', async () => {
    const name = await scene.fresh([A])
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [
      pointOf('u1', { [A]: unit(0) }),
      pointOf('u2', { [A]: unit(0) }),
    ])
    await scene.store.ensureVectorNames(name, [B])
    await scene.store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u2', { [A]: unit(0), [B]: unit(1) })])
    assert.deepEqual(await scene.searchIds(name, { vectorName: B, vector: vectorOf(unit(1)), k: 5 }), [
      idOf('u2'),
    ])
  })
}
