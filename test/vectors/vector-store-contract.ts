/** What every store of vectors promises; each driver runs it over itself. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { GroupName, InstructionId, VectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import type { Clock } from '../../src/pipeline/clock.ts'
import { PAYLOAD_BYTES_MAX } from '../../src/vectors/checks.ts'
import { aliasName, collectionName } from '../../src/vectors/names.ts'
import {
  type CollectionName,
  type CollectionSpec,
  DEPTH_MAX,
  K_MAX,
  type Point,
  type PointId,
  type SearchQuery,
  type VectorStore,
} from '../../src/vectors/vector-store.ts'
import {
  A,
  assertClose,
  B,
  bruteForce,
  cosine,
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

export interface StoreUnderTest {
  store: VectorStore
  dispose(): Promise<void>
}

/**
 * @param open makes a store that takes the time of its writes from `clock`; called once, collections have names of
 *   their own, so that a server that holds other things can be tested, too
 */
export function vectorStoreContract(what: string, open: (clock: Clock) => Promise<StoreUnderTest>): void {
  // A suite of its own: at the root of the run, opening and disposing would go around the tests of every file.
  describe(`vectors in ${what}`, () => promises(what, open))
}

function promises(what: string, open: (clock: Clock) => Promise<StoreUnderTest>): void {
  let nowMs = 1_700_000_000_000
  const clock: Clock = { nowMs: () => nowMs, sleep: async () => {} }
  let under: StoreUnderTest
  let store: VectorStore
  let collections = 0
  const made: CollectionName[] = []

  before(async () => {
    under = await open(clock)
    store = under.store
  })
  after(async () => {
    for (const name of made) await store.dropCollection(name)
    await under.dispose()
  })

  const specOf = (name: CollectionName): CollectionSpec => ({
    name,
    group: 'contract' as GroupName,
    model: 'tiny' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions: DIMENSIONS,
    horizonDays: 90,
  })

  async function freshCollection(names: VectorName[] = [A, B]): Promise<CollectionName> {
    const name = collectionName('contract' as GroupName, `m${process.pid}-${collections++}` as ModelId)
    made.push(name)
    await store.ensureCollection(specOf(name))
    await store.ensureVectorNames(name, names)
    return name
  }

  const promise = (sentence: string, work: () => Promise<void>) => test(`${what}: ${sentence}`, work)

  promise('a collection is created once, and another shape under its name is refused', async () => {
    const name = await freshCollection()
    await store.ensureCollection(specOf(name))
    for (const other of [{ dimensions: 7 }, { precision: 'int8' }, { horizonDays: null }] as const)
      await assert.rejects(store.ensureCollection({ ...specOf(name), ...other }), {
        code: 'collection-mismatch',
      })
    const info = (await store.collections()).find((one) => one.name === name)
    assert.deepEqual(info, {
      ...specOf(name),
      vectorNames: [A, B],
      readerNames: new Map(),
      points: 0,
      stubs: 0,
    })
  })

  promise('a point comes back as it was written, with its version and its time', async () => {
    const name = await freshCollection()
    nowMs = 1_700_000_123_000
    const point = pointOf('u1', { [A]: [1, 0, 0, 0, 0, 0], [B]: [0, 0.5, 0, 0, 0.5, 0] }, { segment: 'gold' })
    await store.upsert(name, { epoch: 7, write: 3 }, [point])
    const read = await store.get(name, [point.id, idOf('nobody')])
    assert.equal(read.size, 1)
    const { version, writtenAtMs, point: stored } = read.get(point.id)!
    assert.deepEqual(version, { epoch: 7, write: 3 })
    assert.equal(writtenAtMs, nowMs)
    assert.ok(stored.kind === 'vectors' && point.kind === 'vectors')
    assert.deepEqual(stored.payload, point.payload)
    for (const [vectorName, vector] of point.vectors)
      assertClose(cosine(stored.vectors.get(vectorName)!, vector), 1)
  })

  promise('a point is written whole: what the new one lacks is gone', async () => {
    const name = await freshCollection()
    await store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    await store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u1', { [B]: unit(2) })])
    const { point } = (await store.get(name, [idOf('u1')])).get(idOf('u1'))!
    assert.ok(point.kind === 'vectors')
    assert.deepEqual([...point.vectors.keys()], [B])
    assert.deepEqual(await searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 }), [])
    assert.deepEqual(await searchIds(name, { vectorName: B, vector: vectorOf(unit(2)), k: 5 }), [idOf('u1')])
  })

  promise('of one id listed twice in a request the last counts', async () => {
    const name = await freshCollection()
    const points = [pointOf('u1', { [A]: unit(0) }), pointOf('u1', { [A]: unit(3) })]
    await store.upsert(name, { epoch: 1, write: 1 }, points)
    const hits = await store.search(name, { vectorName: A, vector: vectorOf(unit(3)), k: 5 })
    assert.equal(hits.length, 1)
    assertClose(hits[0]!.score, 1)
  })

  promise('whatever the order in which writes land, the newest version stays (V1)', async () => {
    const write = fc.record({
      user: fc.constantFrom('u1', 'u2', 'u3'),
      epoch: fc.integer({ min: 1, max: 3 }),
      write: fc.integer({ min: 1, max: 4 }),
      axis: fc.integer({ min: 0, max: DIMENSIONS - 1 }),
      isStub: fc.boolean(),
    })
    const requests = fc.array(write, { minLength: 1, maxLength: 12, size: 'max' })
    const name = await freshCollection([A])
    let run = 0
    await fc.assert(
      fc.asyncProperty(requests, async (drawn) => {
        // Users of its own a run: a collection each would cost a server more than all the writes.
        run++
        const writes = drawn.map((one) => ({ ...one, user: `${one.user} of run ${run}` }))
        const expected = new Map<string, (typeof writes)[number]>()
        for (const one of writes) {
          const point = one.isStub ? stubOf(one.user) : pointOf(one.user, { [A]: unit(one.axis) })
          await store.upsert(name, { epoch: one.epoch, write: one.write }, [point])
          const known = expected.get(one.user)
          const isNewer =
            known === undefined ||
            one.epoch > known.epoch ||
            (one.epoch === known.epoch && one.write >= known.write)
          if (isNewer) expected.set(one.user, one)
        }
        for (const [user, { epoch, write, axis, isStub }] of expected) {
          const id = idOf(user)
          const { version, point } = (await store.get(name, [id])).get(id)!
          assert.deepEqual(version, { epoch, write })
          assert.equal(point.kind, isStub ? 'stub' : 'vectors')
          const hits = await searchIds(name, {
            vectorName: A,
            vector: vectorOf(unit(axis)),
            k: K_MAX,
            scoreThreshold: 0.9,
          })
          assert.equal(hits.includes(id), !isStub)
        }
      }),
      { seed: 20261210, numRuns: 25 },
    )
  })

  promise('one request may mix points that are refused with points that are written', async () => {
    const name = await freshCollection([A])
    await store.upsert(name, { epoch: 5, write: 1 }, [pointOf('new', { [A]: unit(0) })])
    await store.upsert(name, { epoch: 3, write: 1 }, [pointOf('old', { [A]: unit(1) })])
    await store.upsert(name, { epoch: 4, write: 1 }, [
      pointOf('new', { [A]: unit(2) }),
      pointOf('old', { [A]: unit(2) }),
      stubOf('none'),
    ])
    const read = await store.get(name, ['new', 'old', 'none'].map(idOf))
    const epochs = ['new', 'old', 'none'].map((user) => read.get(idOf(user))!.version.epoch)
    assert.deepEqual(epochs, [5, 4, 4])
  })

  promise(
    'a stub takes the vectors away, is counted, and is filled again by a later write (V2)',
    async () => {
      const name = await freshCollection()
      await store.upsert(name, { epoch: 1, write: 1 }, [
        pointOf('u1', { [A]: unit(0) }),
        pointOf('u2', { [A]: unit(0) }),
      ])
      await store.upsert(name, { epoch: 1, write: 2 }, [stubOf('u1')])
      const query = { vectorName: A, vector: vectorOf(unit(0)), k: 5 }
      assert.deepEqual(await searchIds(name, query), [idOf('u2')])
      const { point } = (await store.get(name, [idOf('u1')])).get(idOf('u1'))!
      assert.deepEqual(point, stubOf('u1'))
      const info = (await store.collections()).find((one) => one.name === name)!
      assert.deepEqual([info.points, info.stubs], [1, 1])
      await store.upsert(name, { epoch: 1, write: 3 }, [pointOf('u1', { [A]: unit(0) })])
      assert.equal((await searchIds(name, query)).length, 2)
    },
  )

  promise('only stubs from before the time are purged, never points (V3)', async () => {
    const name = await freshCollection([A])
    nowMs = 1_700_000_000_000
    await store.upsert(name, { epoch: 1, write: 1 }, [
      stubOf('old'),
      stubOf('refilled'),
      pointOf('p', { [A]: unit(0) }),
    ])
    nowMs = 1_700_000_500_000
    await store.upsert(name, { epoch: 1, write: 2 }, [stubOf('young'), pointOf('refilled', { [A]: unit(0) })])
    assert.equal(await store.purgeStubs(name, 1_700_000_500_000), 1)
    const left = await store.get(name, ['old', 'refilled', 'p', 'young'].map(idOf))
    assert.deepEqual([...left.keys()].sort(), ['refilled', 'p', 'young'].map(idOf).sort())
  })

  promise('search finds what comparing every vector finds, filtered, bounded, ties by id', async () => {
    const name = await freshCollection([A, B])
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
        await store.upsert(name, { epoch: 1, write }, [...points, ...absent])
        const { k, offset, exact, filter, excluded, scoreThreshold } = drawn
        const vector = vectorOf(drawn.vector)
        const query: SearchQuery = { vectorName: B, vector, k, offset, exact, filter }
        if (excluded) query.exclude = [idOf('0')]
        if (scoreThreshold !== undefined) query.scoreThreshold = scoreThreshold
        const hits = await store.search(name, query)
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
    const name = await freshCollection([A])
    const users = Array.from({ length: 20 }, (_, i) => `tie-${i}`)
    await store.upsert(
      name,
      { epoch: 1, write: 1 },
      users.map((user) => pointOf(user, { [A]: unit(1) })),
    )
    const ids = await searchIds(name, { vectorName: A, vector: vectorOf(unit(1)), k: 7 })
    assert.deepEqual(ids, users.map(idOf).sort().slice(0, 7))
  })

  promise('pages together are the long list: nobody twice, nobody left out, ties by id', async () => {
    const name = await freshCollection([A])
    // Of 300 users five groups of equals, so that every page has some at its edge.
    const points = Array.from({ length: 300 }, (_, i) =>
      pointOf(`page-${i}`, { [A]: [1, (i % 5) / 4, 0, 0, 0, 0] }),
    )
    await store.upsert(name, { epoch: 1, write: 1 }, points)
    const query = { vectorName: A, vector: vectorOf(unit(0)), exact: true }
    const expected = bruteForce(points, { ...query, k: 300 }).map((hit) => hit.id)
    assert.deepEqual(await searchIds(name, { ...query, k: 300 }), expected)
    for (const k of [7, 50, 128]) {
      const pages: PointId[] = []
      for (let offset = 0; offset < 300; offset += k)
        pages.push(...(await searchIds(name, { ...query, k, offset })))
      assert.deepEqual(pages, expected)
    }
    assert.deepEqual(await searchIds(name, { ...query, k: 5, offset: 300 }), [])
    assert.deepEqual(await searchIds(name, { ...query, k: 5, offset: DEPTH_MAX - 5 }), [])
  })

  promise('a user whose payload is too large is named, and the others are written', async () => {
    const name = await freshCollection([A])
    const large = pointOf('large', { [A]: unit(0) }, { segment: 'x'.repeat(PAYLOAD_BYTES_MAX) })
    const points = [pointOf('u1', { [A]: unit(0) }), large, stubOf('u2')]
    const refused = await store.upsert(name, { epoch: 1, write: 1 }, points)
    assert.deepEqual(
      refused.map(({ id, error }) => [id, error.code, error.name]),
      [[large.id, 'point-too-large', 'RecordError']],
    )
    const there = await store.get(name, ['u1', 'large', 'u2'].map(idOf))
    assert.deepEqual([...there.keys()].sort(), ['u1', 'u2'].map(idOf).sort())
  })

  promise('a point can be read without its vectors, or with some of them', async () => {
    const name = await freshCollection([A, B])
    const point = pointOf('u1', { [A]: unit(0), [B]: unit(1) })
    await store.upsert(name, { epoch: 1, write: 1 }, [point, stubOf('u2')])
    const readWith = async (names: VectorName[]) => {
      const read = await store.get(name, [point.id, idOf('u2')], names)
      assert.deepEqual(read.get(idOf('u2'))!.point, stubOf('u2'))
      const stored = read.get(point.id)!.point
      assert.ok(stored.kind === 'vectors' && point.kind === 'vectors')
      assert.deepEqual(stored.payload, point.payload)
      return [...stored.vectors.keys()]
    }
    assert.deepEqual(await readWith([]), [])
    assert.deepEqual(await readWith([B]), [B])
    assert.deepEqual(await readWith(['other@22222222' as VectorName, A]), [A])
  })

  promise('a new collection is as the settings want it, and mending it changes nothing', async () => {
    const name = await freshCollection()
    await store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0) })])
    assert.deepEqual(await store.differences(name), [])
    await store.mend(name)
    assert.deepEqual(await store.differences(name), [])
    assert.equal((await store.get(name, [idOf('u1')])).size, 1)
  })

  promise('what is there is not made again, and what is gone is not missed', async () => {
    const name = await freshCollection([A, B])
    await store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0) })])
    await store.ensureCollection(specOf(name))
    await store.ensureVectorNames(name, [A, B, A])
    await store.dropVectorNames(name, [B])
    await store.dropVectorNames(name, [B])
    const hits = await searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 })
    assert.deepEqual(hits, [idOf('u1')])
    await store.dropCollection(name)
    await store.dropCollection(name)
  })

  promise('a request with one wrong vector is refused, and nothing of it is written', async () => {
    const name = await freshCollection([A])
    const good = pointOf('good', { [A]: unit(0) })
    const wrong: [string, Point][] = [
      ['vector-name-unknown', pointOf('bad', { [B]: unit(0) })],
      ['vector-dimension', pointOf('bad', { [A]: [1, 2] })],
      ['vector-not-finite', pointOf('bad', { [A]: [0, 0, Number.NaN, 0, 0, 1] })],
      ['vector-not-finite', pointOf('bad', { [A]: [0, 0, 1e39, 0, 0, 1] })],
    ]
    for (const [code, point] of wrong) {
      await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, [good, point]), { code })
      assert.equal((await store.get(name, [good.id, point.id])).size, 0)
    }
  })

  promise('what is asked of a collection that is not there is refused', async () => {
    const none = collectionName('contract' as GroupName, `never-${process.pid}` as ModelId)
    const missing = { code: 'collection-missing', name: 'ConfigError' }
    await assert.rejects(store.upsert(none, { epoch: 1, write: 1 }, [stubOf('u')]), missing)
    await assert.rejects(store.setAlias(aliasName('contract-none' as GroupName), none), missing)
    await assert.rejects(store.search(none, { vectorName: A, vector: vectorOf(unit(0)), k: 1 }), missing)
    await assert.rejects(store.readerNames(none), missing)
    await assert.rejects(store.differences(none), missing)
    await store.dropCollection(none)
  })

  promise('a search that cannot be answered is the mistake of whoever asks', async () => {
    const name = await freshCollection([A])
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
      await assert.rejects(store.search(name, query), { code, name: 'RequestError' })
  })

  promise('a vector name that was dropped and made again brings no old vector back', async () => {
    const name = await freshCollection([A, B])
    const query = { vectorName: B, vector: vectorOf(unit(1)), k: 5 }
    await store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    assert.equal((await searchIds(name, query)).length, 1)
    await store.dropVectorNames(name, [B])
    const { point } = (await store.get(name, [idOf('u1')])).get(idOf('u1'))!
    assert.deepEqual(point.kind === 'vectors' && [...point.vectors.keys()], [A])
    await store.ensureVectorNames(name, [B, A])
    assert.deepEqual(await searchIds(name, query), [])
    await store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    assert.equal((await searchIds(name, query)).length, 1)
  })

  promise('a new name finds only points that were written with it', async () => {
    const name = await freshCollection([A])
    await store.upsert(name, { epoch: 1, write: 1 }, [
      pointOf('u1', { [A]: unit(0) }),
      pointOf('u2', { [A]: unit(0) }),
    ])
    await store.ensureVectorNames(name, [B])
    await store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u2', { [A]: unit(0), [B]: unit(1) })])
    assert.deepEqual(await searchIds(name, { vectorName: B, vector: vectorOf(unit(1)), k: 5 }), [idOf('u2')])
  })

  promise('an alias names one collection at a time, and goes with it', async () => {
    const alias = aliasName(`contract-${process.pid}` as GroupName)
    const [blue, green] = [await freshCollection(), await freshCollection()]
    assert.equal(await store.alias(alias), null)
    await store.setAlias(alias, blue)
    assert.equal(await store.alias(alias), blue)
    await store.setAlias(alias, green)
    assert.equal(await store.alias(alias), green)
    await store.dropCollection(green)
    assert.equal(await store.alias(alias), null)
  })

  promise('a switch to a collection that is not there leaves the alias where it was', async () => {
    const alias = aliasName(`contract-kept-${process.pid}` as GroupName)
    const blue = await freshCollection([A])
    await store.setAlias(alias, blue)
    const none = collectionName('contract' as GroupName, `never-${process.pid}` as ModelId)
    await assert.rejects(store.setAlias(alias, none), { code: 'collection-missing' })
    assert.equal(await store.alias(alias), blue)
  })

  promise('a collection that was dropped and made again is empty', async () => {
    const name = await freshCollection([A])
    await store.upsert(name, { epoch: 9, write: 9 }, [pointOf('u1', { [A]: unit(0) })])
    assert.equal((await searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 })).length, 1)
    await store.dropCollection(name)
    await store.ensureCollection(specOf(name))
    await store.ensureVectorNames(name, [A])
    assert.equal((await store.get(name, [idOf('u1')])).size, 0)
    await store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u2', { [A]: unit(0) })])
    assert.deepEqual(await searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 }), [idOf('u2')])
  })

  promise('readers are told which vector an instruction means', async () => {
    const name = await freshCollection()
    const readerNames = new Map([['repay' as InstructionId, B]])
    await store.setReaderNames(name, readerNames)
    const info = (await store.collections()).find((one) => one.name === name)
    assert.deepEqual(info?.readerNames, readerNames)
    assert.deepEqual(await store.readerNames(name), readerNames)
  })

  async function searchIds(name: CollectionName, query: SearchQuery): Promise<PointId[]> {
    return (await store.search(name, query)).map((hit) => hit.id)
  }
}
