/** What the Qdrant driver promises of writes, whatever befalls the server, the way to it, and its owner. */

import assert from 'node:assert/strict'
import { UnavailableError } from '../../../src/errors.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { A, B, idOf, pointOf, stubOf, unit, vectorOf } from '../../vectors/points.ts'
import type { DriverScene } from './driver-scene.ts'

/** Long enough for a loaded machine to answer, short enough to wait for in vain; a real server has a disk. */
const TIMEOUT_MS = { double: 1_000, real: 2_000 }

const unavailable = { code: 'qdrant-unavailable', name: 'UnavailableError' }

export function faultPromises(scene: DriverScene): void {
  const { promise, proxied } = scene

  promise(
    'R4: two owners write the same users, and whichever comes last, the newer epoch stays',
    async () => {
      const name = await scene.place.collection(scene.store)
      const [old, young] = [scene.store, await scene.place.open()]
      await old.upsert(name, { epoch: 5, write: 900 }, scene.users(20, 1))
      await young.upsert(name, { epoch: 6, write: 1 }, scene.users(20, 2))
      for (const write of [901, 1_000_000]) await old.upsert(name, { epoch: 5, write }, scene.users(20, 3))
      assert.equal((await scene.found(name, 2)).length, 20)
      assert.deepEqual(await scene.found(name, 3), [])
      // What tells the old owner so: its write reads back as somebody else's (V4).
      assert.deepEqual(await scene.versionOf(name, 'u0'), { epoch: 6, write: 1 })
    },
  )

  promise(
    'R4: writes of two owners in flight at once never leave a point of the old one, nor a torn one',
    async () => {
      const name = await scene.place.collection(scene.store, [A, B])
      const other = await scene.place.open()
      const both = (axis: number) =>
        Array.from({ length: 30 }, (_, i) => pointOf(`u${i}`, { [A]: unit(axis), [B]: unit(axis) }))
      const writes = Array.from({ length: 12 }, (_, i) => i)
      await Promise.all(
        writes.flatMap((write) => [
          scene.store.upsert(name, { epoch: 1, write }, both(write % 3)),
          other.upsert(name, { epoch: 2, write }, both(3 + (write % 3))),
        ]),
      )
      const ids = both(0).map(({ id }) => id)
      for (const { version, point } of (await scene.store.get(name, ids)).values()) {
        assert.deepEqual(version, { epoch: 2, write: 11 })
        assert.ok(point.kind === 'vectors')
        const axes = [A, B].map((one) => point.vectors.get(one)!.findIndex((x) => x > 0.5))
        assert.deepEqual(axes, [5, 5])
      }
    },
  )

  promise(
    'R5: a user is forgotten while a write is under way, and no late or repeated one brings her back',
    async () => {
      const name = await scene.place.collection(scene.store)
      await Promise.all([
        scene.store.upsert(name, { epoch: 3, write: 7 }, [pointOf('u1', { [A]: unit(0) })]),
        scene.store.upsert(name, { epoch: 3, write: 8 }, [stubOf('u1')]),
      ])
      for (const version of [
        { epoch: 3, write: 7 },
        { epoch: 2, write: 99 },
      ])
        await scene.store.upsert(name, version, [pointOf('u1', { [A]: unit(0) })])
      assert.deepEqual(await scene.found(name), [])
      const { point } = (await scene.store.get(name, [idOf('u1')])).get(idOf('u1'))!
      assert.deepEqual(point, stubOf('u1'))
      // Nor does anything of her remain once the stub has done its work.
      assert.equal(await scene.store.purgeStubs(name, scene.place.clock.nowMs() + 1), 1)
      assert.equal(await scene.versionOf(name, 'u1'), undefined)
    },
  )

  proxied(
    'R7: a server that refuses connections is waited for, and the same write goes through afterwards',
    async () => {
      const name = await scene.place.collection(scene.store)
      const proxy = await scene.place.proxy()
      const behind = await scene.place.behind(proxy)
      await proxy.refuse()
      await assert.rejects(behind.upsert(name, { epoch: 1, write: 1 }, scene.users(3)), unavailable)
      await assert.rejects(
        behind.search(name, { vectorName: A, vector: vectorOf(unit(0)), k: 1 }),
        unavailable,
      )
      await assert.rejects(behind.collections(), unavailable)
      await proxy.listen()
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 1 }, scene.users(3)), [])
      assert.equal((await scene.found(name)).length, 3)
    },
  )

  proxied('R7: a server that hangs is given up in time, and what it did meanwhile does no harm', async () => {
    const name = await scene.place.collection(scene.store)
    const proxy = await scene.place.proxy()
    const behind = await scene.place.behind(proxy, {
      timeoutMs: scene.place.server.double === null ? TIMEOUT_MS.real : TIMEOUT_MS.double,
    })
    await behind.collections()
    await behind.upsert(name, { epoch: 1, write: 1 }, scene.users(3, 1))
    proxy.swallowReplies()
    await assert.rejects(behind.upsert(name, { epoch: 1, write: 2 }, scene.users(3, 2)), unavailable)
    proxy.pass()
    // It was applied, or will be; the next owner's write stays either way, and so does a repetition.
    await scene.store.upsert(name, { epoch: 2, write: 1 }, scene.users(2, 4))
    await behind.upsert(name, { epoch: 1, write: 2 }, scene.users(3, 2))
    assert.deepEqual(await scene.found(name, 4), ['u0', 'u1'])
    assert.deepEqual(await scene.found(name, 2), ['u2'])
  })

  proxied(
    'R7: a connection that is cut in the middle of a body, or before its answer, costs nothing',
    async () => {
      const name = await scene.place.collection(scene.store)
      const proxy = await scene.place.proxy()
      const behind = await scene.place.behind(proxy, { connectionsMax: 1 })
      await behind.upsert(name, { epoch: 1, write: 1 }, scene.users(40, 1))
      proxy.cutAfterRequestBytes(2_000)
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 2 }, scene.users(40, 2)), [])
      proxy.cutOnReply()
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 3 }, scene.users(40, 3)), [])
      assert.equal((await scene.found(name, 3)).length, 40)
      proxy.cutOnReply(2)
      await assert.rejects(behind.upsert(name, { epoch: 1, write: 4 }, scene.users(40, 4)), unavailable)
    },
  )

  promise(
    'R7: where half the points of a batch are bad, the other half is written and each bad one is named',
    async () => {
      const name = await scene.place.collection(scene.store)
      // Half of a character: no JSON parser but ours takes it.
      const bad = (i: number) => pointOf(`u${i}`, { [A]: unit(0) }, { segment: '\ud800' })
      const points = Array.from({ length: 16 }, (_, i) =>
        i % 2 === 0 ? bad(i) : pointOf(`u${i}`, { [A]: unit(0) }),
      )
      const refused = await scene.store.upsert(name, { epoch: 1, write: 1 }, points)
      assert.deepEqual(
        refused.map(({ id }) => id).sort(),
        points
          .filter((_, i) => i % 2 === 0)
          .map(({ id }) => id)
          .sort(),
      )
      for (const { error } of refused)
        assert.deepEqual([error.name, error.code], ['RecordError', 'point-refused'])
      assert.equal((await scene.found(name)).length, 8)
      const nobodysFault = await scene.store.upsert(name, { epoch: 1, write: 2 }, [bad(0)])
      assert.equal(nobodysFault.length, 1)
    },
  )

  promise('R7: a body over the server’s limit goes in parts', async () => {
    const wide = await scene.place.open({
      requestBytesMax: 512 * 1024 * 1024,
      requestPointsMax: 1_000,
      timeoutMs: 60_000,
    })
    // 38 MB in all, where a server takes 32 MiB by default; 1.4 MB for the double, which takes 1 MiB.
    const dimensions = scene.place.server.double === null ? 65_536 : 2_048
    const spec = scene.place.spec({ dimensions })
    await wide.ensureCollection(spec)
    await wide.ensureVectorNames(spec.name, [A])
    const vector = new Float32Array(dimensions).fill(1 / Math.sqrt(dimensions))
    const points = Array.from({ length: 64 }, (_, i) => {
      const { kind, id, payload } = pointOf(`u${i}`, {}) as Extract<Point, { kind: 'vectors' }>
      return { kind, id, payload, vectors: new Map([[A, vector]]) }
    })
    assert.deepEqual(await wide.upsert(spec.name, { epoch: 1, write: 1 }, points), [])
    const hits = await wide.search(spec.name, { vectorName: A, vector, k: 100 })
    assert.equal(hits.length, 64)
  })

  promise('whoever stops waits for nothing: a closed store answers so at once', async () => {
    const closed = await scene.place.open()
    await closed.close()
    const error = await closed.collections().catch((thrown: unknown) => thrown)
    assert.ok(error instanceof UnavailableError && error.code === 'vectors-closed')
  })
}
