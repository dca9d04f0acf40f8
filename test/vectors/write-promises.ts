/** What every store promises of the points that it is given: whole, fenced, and read back as they were written. */

import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { VectorName } from '../../src/instructions/instruction.ts'
import { PAYLOAD_BYTES_MAX } from '../../src/vectors/checks.ts'
import { K_MAX, type Point } from '../../src/vectors/vector-store.ts'
import { A, assertClose, B, cosine, DIMENSIONS, idOf, pointOf, stubOf, unit, vectorOf } from './points.ts'
import type { StoreScene } from './store-scene.ts'

export function writePromises(scene: StoreScene): void {
  const { promise } = scene

  promise('a point comes back as it was written, with its version and its time', async () => {
    const name = await scene.fresh()
    scene.nowMs = 1_700_000_123_000
    const point = pointOf('u1', { [A]: [1, 0, 0, 0, 0, 0], [B]: [0, 0.5, 0, 0, 0.5, 0] }, { segment: 'gold' })
    await scene.store.upsert(name, { epoch: 7, write: 3 }, [point])
    const read = await scene.store.get(name, [point.id, idOf('nobody')])
    assert.equal(read.size, 1)
    const { version, writtenAtMs, point: stored } = read.get(point.id)!
    assert.deepEqual(version, { epoch: 7, write: 3 })
    assert.equal(writtenAtMs, scene.nowMs)
    assert.ok(stored.kind === 'vectors' && point.kind === 'vectors')
    assert.deepEqual(stored.payload, point.payload)
    for (const [vectorName, vector] of point.vectors)
      assertClose(cosine(stored.vectors.get(vectorName)!, vector), 1)
  })

  promise('a point is written whole: what the new one lacks is gone', async () => {
    const name = await scene.fresh()
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [pointOf('u1', { [A]: unit(0), [B]: unit(1) })])
    await scene.store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u1', { [B]: unit(2) })])
    const { point } = (await scene.store.get(name, [idOf('u1')])).get(idOf('u1'))!
    assert.ok(point.kind === 'vectors')
    assert.deepEqual([...point.vectors.keys()], [B])
    assert.deepEqual(await scene.searchIds(name, { vectorName: A, vector: vectorOf(unit(0)), k: 5 }), [])
    assert.deepEqual(await scene.searchIds(name, { vectorName: B, vector: vectorOf(unit(2)), k: 5 }), [
      idOf('u1'),
    ])
  })

  promise('of one id listed twice in a request the last counts', async () => {
    const name = await scene.fresh()
    const points = [pointOf('u1', { [A]: unit(0) }), pointOf('u1', { [A]: unit(3) })]
    await scene.store.upsert(name, { epoch: 1, write: 1 }, points)
    const hits = await scene.store.search(name, { vectorName: A, vector: vectorOf(unit(3)), k: 5 })
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
    const name = await scene.fresh([A])
    let run = 0
    await fc.assert(
      fc.asyncProperty(requests, async (drawn) => {
        // Users of its own a run: a collection each would cost a server more than all the writes.
        run++
        const writes = drawn.map((one) => ({ ...one, user: `${one.user} of run ${run}` }))
        const expected = new Map<string, (typeof writes)[number]>()
        for (const one of writes) {
          const point = one.isStub ? stubOf(one.user) : pointOf(one.user, { [A]: unit(one.axis) })
          await scene.store.upsert(name, { epoch: one.epoch, write: one.write }, [point])
          const known = expected.get(one.user)
          const isNewer =
            known === undefined ||
            one.epoch > known.epoch ||
            (one.epoch === known.epoch && one.write >= known.write)
          if (isNewer) expected.set(one.user, one)
        }
        for (const [user, { epoch, write, axis, isStub }] of expected) {
          const id = idOf(user)
          const { version, point } = (await scene.store.get(name, [id])).get(id)!
          assert.deepEqual(version, { epoch, write })
          assert.equal(point.kind, isStub ? 'stub' : 'vectors')
          const hits = await scene.searchIds(name, {
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
    const name = await scene.fresh([A])
    await scene.store.upsert(name, { epoch: 5, write: 1 }, [pointOf('new', { [A]: unit(0) })])
    await scene.store.upsert(name, { epoch: 3, write: 1 }, [pointOf('old', { [A]: unit(1) })])
    await scene.store.upsert(name, { epoch: 4, write: 1 }, [
      pointOf('new', { [A]: unit(2) }),
      pointOf('old', { [A]: unit(2) }),
      stubOf('none'),
    ])
    const read = await scene.store.get(name, ['new', 'old', 'none'].map(idOf))
    const epochs = ['new', 'old', 'none'].map((user) => read.get(idOf(user))!.version.epoch)
    assert.deepEqual(epochs, [5, 4, 4])
  })

  promise(
    'a stub takes the vectors away, is counted, and is filled again by a later write (V2)',
    async () => {
      const name = await scene.fresh()
      await scene.store.upsert(name, { epoch: 1, write: 1 }, [
        pointOf('u1', { [A]: unit(0) }),
        pointOf('u2', { [A]: unit(0) }),
      ])
      await scene.store.upsert(name, { epoch: 1, write: 2 }, [stubOf('u1')])
      const query = { vectorName: A, vector: vectorOf(unit(0)), k: 5 }
      assert.deepEqual(await scene.searchIds(name, query), [idOf('u2')])
      const { point } = (await scene.store.get(name, [idOf('u1')])).get(idOf('u1'))!
      assert.deepEqual(point, stubOf('u1'))
      const info = (await scene.store.collections()).find((one) => one.name === name)!
      assert.deepEqual([info.points, info.stubs], [1, 1])
      await scene.store.upsert(name, { epoch: 1, write: 3 }, [pointOf('u1', { [A]: unit(0) })])
      assert.equal((await scene.searchIds(name, query)).length, 2)
    },
  )

  promise('only stubs from before the time are purged, never points (V3)', async () => {
    const name = await scene.fresh([A])
    scene.nowMs = 1_700_000_000_000
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [
      stubOf('old'),
      stubOf('refilled'),
      pointOf('p', { [A]: unit(0) }),
    ])
    scene.nowMs = 1_700_000_500_000
    await scene.store.upsert(name, { epoch: 1, write: 2 }, [
      stubOf('young'),
      pointOf('refilled', { [A]: unit(0) }),
    ])
    assert.equal(await scene.store.purgeStubs(name, 1_700_000_500_000), 1)
    const left = await scene.store.get(name, ['old', 'refilled', 'p', 'young'].map(idOf))
    assert.deepEqual([...left.keys()].sort(), ['refilled', 'p', 'young'].map(idOf).sort())
  })

  promise('it is known whether any point lacks a name; stubs lack none', async () => {
    const name = await scene.fresh([A, B])
    assert.equal(await scene.store.lacks(name, A), false)
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [
      stubOf('u0'),
      pointOf('u1', { [A]: unit(0), [B]: unit(1) }),
      pointOf('u2', { [A]: unit(0) }),
    ])
    assert.equal(await scene.store.lacks(name, A), false)
    assert.equal(await scene.store.lacks(name, B), true)
    await scene.store.upsert(name, { epoch: 1, write: 2 }, [pointOf('u2', { [A]: unit(0), [B]: unit(1) })])
    assert.equal(await scene.store.lacks(name, B), false)
    // A name that was dropped and made again is nobody's.
    await scene.store.dropVectorNames(name, [B])
    assert.equal(await scene.store.lacks(name, B), true)
    await scene.store.ensureVectorNames(name, [B])
    assert.equal(await scene.store.lacks(name, B), true)
  })

  promise('a user whose payload is too large is named, and the others are written', async () => {
    const name = await scene.fresh([A])
    const large = pointOf('large', { [A]: unit(0) }, { segment: 'x'.repeat(PAYLOAD_BYTES_MAX) })
    const points = [pointOf('u1', { [A]: unit(0) }), large, stubOf('u2')]
    const refused = await scene.store.upsert(name, { epoch: 1, write: 1 }, points)
    assert.deepEqual(
      refused.map(({ id, error }) => [id, error.code, error.name]),
      [[large.id, 'point-too-large', 'RecordError']],
    )
    const there = await scene.store.get(name, ['u1', 'large', 'u2'].map(idOf))
    assert.deepEqual([...there.keys()].sort(), ['u1', 'u2'].map(idOf).sort())
  })

  promise('a point can be read without its vectors, or with some of them', async () => {
    const name = await scene.fresh([A, B])
    const point = pointOf('u1', { [A]: unit(0), [B]: unit(1) })
    await scene.store.upsert(name, { epoch: 1, write: 1 }, [point, stubOf('u2')])
    const readWith = async (names: VectorName[]) => {
      const read = await scene.store.get(name, [point.id, idOf('u2')], names)
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

  promise('a request with one wrong vector is refused, and nothing of it is written', async () => {
    const name = await scene.fresh([A])
    const good = pointOf('good', { [A]: unit(0) })
    const wrong: [string, Point][] = [
      ['vector-name-unknown', pointOf('bad', { [B]: unit(0) })],
      ['vector-dimension', pointOf('bad', { [A]: [1, 2] })],
      ['vector-not-finite', pointOf('bad', { [A]: [0, 0, Number.NaN, 0, 0, 1] })],
      ['vector-not-finite', pointOf('bad', { [A]: [0, 0, 1e39, 0, 0, 1] })],
    ]
    for (const [code, point] of wrong) {
      await assert.rejects(scene.store.upsert(name, { epoch: 1, write: 1 }, [good, point]), { code })
      assert.equal((await scene.store.get(name, [good.id, point.id])).size, 0)
    }
  })
}
