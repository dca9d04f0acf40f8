/** What the Qdrant driver promises beyond the contract of stores, whatever befalls the server and the way to it. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import { UnavailableError } from '../../../src/errors.ts'
import type { GroupName, VectorName } from '../../../src/instructions/instruction.ts'
import { aliasName } from '../../../src/vectors/names.ts'
import type { CollectionName, Point, WriteVersion } from '../../../src/vectors/vector-store.ts'
import { A, B, idOf, pointOf, stubOf, unit, vectorOf } from '../../vectors/points.ts'
import { QdrantPlace, type Server } from './qdrant-place.ts'

/** Long enough for a loaded machine to answer, short enough to wait for in vain. */
const TIMEOUT_MS = 400

const unavailable = { code: 'qdrant-unavailable', name: 'UnavailableError' }

/** @param start the server; called once */
export function qdrantPromises(what: string, start: () => Promise<Server>): void {
  describe(`the driver on ${what}`, () => promises(what, start))
}

function promises(what: string, start: () => Promise<Server>): void {
  let place: QdrantPlace
  let store: QdrantVectorStore

  before(async () => {
    place = new QdrantPlace(await start())
    store = await place.open()
  })
  after(() => place.dispose())

  const promise = (sentence: string, work: () => Promise<void>) => test(`${what}: ${sentence}`, work)

  async function versionOf(name: CollectionName, user: string): Promise<WriteVersion | undefined> {
    return (await store.get(name, [idOf(user)], [])).get(idOf(user))?.version
  }

  async function found(name: CollectionName, axis = 0): Promise<string[]> {
    const hits = await store.search(name, {
      vectorName: A,
      vector: vectorOf(unit(axis)),
      k: 100,
      scoreThreshold: 0.9,
    })
    return hits.map(({ payload }) => payload.userId as string).sort()
  }

  const users = (count: number, axis = 0): Point[] =>
    Array.from({ length: count }, (_, i) => pointOf(`u${i}`, { [A]: unit(axis) }))

  promise(
    'R4: two owners write the same users, and whichever comes last, the newer epoch stays',
    async () => {
      const name = await place.collection(store)
      const [old, young] = [store, await place.open()]
      await old.upsert(name, { epoch: 5, write: 900 }, users(20, 1))
      await young.upsert(name, { epoch: 6, write: 1 }, users(20, 2))
      for (const write of [901, 1_000_000]) await old.upsert(name, { epoch: 5, write }, users(20, 3))
      assert.equal((await found(name, 2)).length, 20)
      assert.deepEqual(await found(name, 3), [])
      // What tells the old owner so: its write reads back as somebody else's (V4).
      assert.deepEqual(await versionOf(name, 'u0'), { epoch: 6, write: 1 })
    },
  )

  promise(
    'R4: writes of two owners in flight at once never leave a point of the old one, nor a torn one',
    async () => {
      const name = await place.collection(store, [A, B])
      const other = await place.open()
      const both = (axis: number) =>
        Array.from({ length: 30 }, (_, i) => pointOf(`u${i}`, { [A]: unit(axis), [B]: unit(axis) }))
      const writes = Array.from({ length: 12 }, (_, i) => i)
      await Promise.all(
        writes.flatMap((write) => [
          store.upsert(name, { epoch: 1, write }, both(write % 3)),
          other.upsert(name, { epoch: 2, write }, both(3 + (write % 3))),
        ]),
      )
      const ids = both(0).map(({ id }) => id)
      for (const { version, point } of (await store.get(name, ids)).values()) {
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
      const name = await place.collection(store)
      await Promise.all([
        store.upsert(name, { epoch: 3, write: 7 }, [pointOf('u1', { [A]: unit(0) })]),
        store.upsert(name, { epoch: 3, write: 8 }, [stubOf('u1')]),
      ])
      for (const version of [
        { epoch: 3, write: 7 },
        { epoch: 2, write: 99 },
      ])
        await store.upsert(name, version, [pointOf('u1', { [A]: unit(0) })])
      assert.deepEqual(await found(name), [])
      const { point } = (await store.get(name, [idOf('u1')])).get(idOf('u1'))!
      assert.deepEqual(point, stubOf('u1'))
      // Nor does anything of her remain once the stub has done its work.
      assert.equal(await store.purgeStubs(name, place.clock.nowMs() + 1), 1)
      assert.equal(await versionOf(name, 'u1'), undefined)
    },
  )

  promise(
    'R7: a server that refuses connections is waited for, and the same write goes through afterwards',
    async () => {
      const name = await place.collection(store)
      const proxy = await place.proxy()
      const behind = await place.behind(proxy)
      await proxy.refuse()
      await assert.rejects(behind.upsert(name, { epoch: 1, write: 1 }, users(3)), unavailable)
      await assert.rejects(
        behind.search(name, { vectorName: A, vector: vectorOf(unit(0)), k: 1 }),
        unavailable,
      )
      await assert.rejects(behind.collections(), unavailable)
      await proxy.listen()
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 1 }, users(3)), [])
      assert.equal((await found(name)).length, 3)
    },
  )

  promise('R7: a server that hangs is given up in time, and what it did meanwhile does no harm', async () => {
    const name = await place.collection(store)
    const proxy = await place.proxy()
    const behind = await place.behind(proxy, { timeoutMs: TIMEOUT_MS })
    await behind.collections()
    await behind.upsert(name, { epoch: 1, write: 1 }, users(3, 1))
    proxy.swallowReplies()
    await assert.rejects(behind.upsert(name, { epoch: 1, write: 2 }, users(3, 2)), unavailable)
    proxy.pass()
    // It was applied, or will be; the next owner's write stays either way, and so does a repetition.
    await store.upsert(name, { epoch: 2, write: 1 }, users(2, 4))
    await behind.upsert(name, { epoch: 1, write: 2 }, users(3, 2))
    assert.deepEqual(await found(name, 4), ['u0', 'u1'])
    assert.deepEqual(await found(name, 2), ['u2'])
  })

  promise(
    'R7: a connection that is cut in the middle of a body, or before its answer, costs nothing',
    async () => {
      const name = await place.collection(store)
      const proxy = await place.proxy()
      const behind = await place.behind(proxy, { connectionsMax: 1 })
      await behind.upsert(name, { epoch: 1, write: 1 }, users(40, 1))
      proxy.cutAfterRequestBytes(2_000)
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 2 }, users(40, 2)), [])
      proxy.cutOnReply()
      assert.deepEqual(await behind.upsert(name, { epoch: 1, write: 3 }, users(40, 3)), [])
      assert.equal((await found(name, 3)).length, 40)
      proxy.cutOnReply(2)
      await assert.rejects(behind.upsert(name, { epoch: 1, write: 4 }, users(40, 4)), unavailable)
    },
  )

  promise(
    'R7: where half the points of a batch are bad, the other half is written and each bad one is named',
    async () => {
      const name = await place.collection(store)
      // Half of a character: no JSON parser but ours takes it.
      const bad = (i: number) => pointOf(`u${i}`, { [A]: unit(0) }, { segment: '\ud800' })
      const points = Array.from({ length: 16 }, (_, i) =>
        i % 2 === 0 ? bad(i) : pointOf(`u${i}`, { [A]: unit(0) }),
      )
      const refused = await store.upsert(name, { epoch: 1, write: 1 }, points)
      assert.deepEqual(
        refused.map(({ id }) => id).sort(),
        points
          .filter((_, i) => i % 2 === 0)
          .map(({ id }) => id)
          .sort(),
      )
      for (const { error } of refused)
        assert.deepEqual([error.name, error.code], ['RecordError', 'point-refused'])
      assert.equal((await found(name)).length, 8)
      const nobodysFault = await store.upsert(name, { epoch: 1, write: 2 }, [bad(0)])
      assert.equal(nobodysFault.length, 1)
    },
  )

  promise('R7: a body over the server’s limit goes in parts', async () => {
    const wide = await place.open({
      requestBytesMax: 512 * 1024 * 1024,
      requestPointsMax: 1_000,
      timeoutMs: 60_000,
    })
    const spec = place.spec({ dimensions: 65_536 })
    await wide.ensureCollection(spec)
    await wide.ensureVectorNames(spec.name, [A])
    const vector = new Float32Array(65_536).fill(1 / 256)
    // 38 MB in all; by default a server takes 32 MiB.
    const points = Array.from({ length: 64 }, (_, i) => {
      const { kind, id, payload } = pointOf(`u${i}`, {}) as Extract<Point, { kind: 'vectors' }>
      return { kind, id, payload, vectors: new Map([[A, vector]]) }
    })
    assert.deepEqual(await wide.upsert(spec.name, { epoch: 1, write: 1 }, points), [])
    const hits = await wide.search(spec.name, { vectorName: A, vector, k: 100 })
    assert.equal(hits.length, 64)
  })

  promise('R13: a collection of another shape, or of somebody else, is not written to', async () => {
    const made = place.spec()
    await store.ensureCollection(made)
    const other = await place.open()
    for (const change of [
      { dimensions: 7 },
      { precision: 'fp16' as const },
      { provider: 'cuda' as const },
      { horizonDays: 30 },
      { model: 'other' as never, name: made.name },
    ])
      await assert.rejects(other.ensureCollection({ ...made, ...change }), { code: 'collection-mismatch' })

    const theirs = { code: 'collection-foreign', name: 'ConfigError' }
    for (const isNamed of [true, false]) {
      // The double knows named vectors only.
      if (!isNamed && place.server.double !== null) continue
      const foreign = place.spec()
      const name = `${place.prefix}${foreign.name}`
      const vector = { size: 6, distance: 'Cosine' as const }
      await place.client.createCollection(name, { vectors: isNamed ? { v: vector } : vector })
      const point = { id: 1, vector: isNamed ? { v: unit(0) } : unit(0) }
      await place.client.upsert(name, { wait: true, points: [point] })
      await assert.rejects(other.ensureCollection(foreign), theirs)
      await assert.rejects(other.upsert(foreign.name, { epoch: 1, write: 1 }, [stubOf('u')]), theirs)
      await assert.rejects(other.dropCollection(foreign.name), theirs)
      assert.ok(!(await other.collections()).some((info) => info.name === foreign.name))
      assert.equal((await place.client.count(name)).count, 1)
    }
  })

  promise(
    'R13: vectors that somebody made by hand, with other dimensions or distance, are refused at once',
    async () => {
      for (const dense of [
        { size: 7, distance: 'Cosine' as const },
        { size: 6, distance: 'Dot' as const },
      ]) {
        const spec = place.spec()
        await store.ensureCollection(spec)
        await place.client.createVectorName(`${place.prefix}${spec.name}`, A, { dense })
        await assert.rejects((await place.open()).ensureCollection(spec), { code: 'collection-mismatch' })
      }
    },
  )

  promise(
    'R13: what vanished since the driver looked is named for what it is, and seen again once it is back',
    async () => {
      const name = await place.collection(store)
      const other = await place.open()
      const point = pointOf('u', { [A]: unit(0) })
      const query = { vectorName: A, vector: vectorOf(unit(0)), k: 1 }
      await store.upsert(name, { epoch: 1, write: 1 }, [point])
      await other.dropVectorNames(name, [A])
      await assert.rejects(store.upsert(name, { epoch: 1, write: 2 }, [point]), {
        code: 'vector-name-unknown',
      })
      await assert.rejects(store.search(name, query), { code: 'search-vector-name', status: 404 })
      await other.ensureVectorNames(name, [A])
      await store.upsert(name, { epoch: 1, write: 3 }, [point])
      await other.dropCollection(name)
      await assert.rejects(store.upsert(name, { epoch: 1, write: 4 }, [point]), {
        code: 'collection-missing',
      })
      await assert.rejects(store.search(name, query), { code: 'collection-missing' })
    },
  )

  promise(
    'R15: readers search in a loop while aliases are switched, and no answer mixes two models',
    async () => {
      const alias = aliasName('g' as GroupName)
      const specs = [place.spec(), place.spec()]
      for (const spec of specs) {
        await store.ensureCollection(spec)
        await store.ensureVectorNames(spec.name, [A])
        const points = Array.from({ length: 20 }, (_, i) => {
          const point = pointOf(`u${i}`, { [A]: unit(i % 2) })
          return point.kind === 'stub'
            ? point
            : { ...point, payload: { ...point.payload, model: spec.model } }
        })
        await store.upsert(spec.name, { epoch: 1, write: 1 }, points)
      }
      await store.setAlias(alias, specs[0]!.name)
      let isDone = false
      const seen = new Set<string>()
      const readers = Array.from({ length: 3 }, async (_, reader) => {
        const own = await place.open()
        for (let turn = 0; !isDone || turn < 3; turn++) {
          const models =
            reader === 0 ? await modelsByAlias(alias) : await modelsByName(own, (await own.alias(alias))!)
          assert.equal(models.size, 1, `${[...models]}`)
          for (const model of models) seen.add(model)
        }
      })
      for (let i = 1; i <= 40; i++) await store.setAlias(alias, specs[i % 2]!.name)
      isDone = true
      await Promise.all(readers)
      assert.equal(seen.size, 2)

      /** As freshet reads: the alias first, then the name behind it. */
      async function modelsByName(reader: QdrantVectorStore, name: CollectionName): Promise<Set<string>> {
        const hits = await reader.search(name, { vectorName: A, vector: vectorOf(unit(0)), k: 20 })
        assert.equal(hits.length, 20)
        return new Set(hits.map(({ payload }) => payload.model))
      }
    },
  )

  /** As a recommendation service reads, past freshet. */
  async function modelsByAlias(alias: string): Promise<Set<string>> {
    const query = { query: unit(0), using: A, limit: 20, with_payload: true }
    const { points } = await place.client.query(`${place.prefix}${alias}`, query)
    assert.equal(points.length, 20)
    return new Set(points.map(({ payload }) => `${payload?.model}`))
  }

  promise('a vector name that a URL takes for a path is refused, and the collection stays', async () => {
    const name = await place.collection(store)
    await store.upsert(name, { epoch: 1, write: 1 }, users(2))
    for (const path of ['..', '.', '']) {
      await assert.rejects(store.dropVectorNames(name, [path as VectorName]), { code: 'qdrant-name' })
      await assert.rejects(store.ensureVectorNames(name, [path as VectorName]), { code: 'qdrant-name' })
    }
    const bare = await place.open({ prefix: '' })
    await assert.rejects(bare.dropCollection('..' as CollectionName), { code: 'qdrant-name' })
    assert.equal((await found(name)).length, 2)
  })

  promise('two environments share a server and see nothing of each other', async () => {
    const other = await place.open({ prefix: `${place.prefix}b-` })
    const spec = place.spec()
    const alias = aliasName('shared' as GroupName)
    for (const [one, axis] of [
      [store, 1],
      [other, 2],
    ] as const) {
      await one.ensureCollection(spec)
      await one.ensureVectorNames(spec.name, [A])
      await one.upsert(spec.name, { epoch: 1, write: 1 }, users(axis, axis))
      assert.equal(await one.alias(alias), null)
      await one.setAlias(alias, spec.name)
    }
    const infos = (await other.collections()).filter((info) => info.name === spec.name)
    assert.deepEqual(
      infos.map(({ points }) => points),
      [2],
    )
    await other.dropCollection(spec.name)
    assert.equal(await other.alias(alias), null)
    assert.equal(await store.alias(alias), spec.name)
    assert.equal((await found(spec.name, 1)).length, 1)
  })

  promise('readers’ names written by one process leave what the collection is for as it is', async () => {
    const name = await place.collection(store, [A, B])
    const other = await place.open()
    const [before] = (await store.collections()).filter((info) => info.name === name)
    await store.setReaderNames(name, new Map([['repay' as never, A]]))
    await other.setReaderNames(
      name,
      new Map([
        ['repay' as never, B],
        ['general' as never, A],
      ]),
    )
    const readers = new Map([
      ['general', A],
      ['repay', B],
    ])
    const [info] = (await store.collections()).filter((one) => one.name === name)
    assert.deepEqual(new Map([...info!.readerNames].sort()), readers)
    assert.deepEqual({ ...info, readerNames: before!.readerNames }, before)
    await assert.doesNotReject(other.ensureCollection({ ...place.spec({ model: before!.model }) }))
  })

  promise(
    'equal scores are in order of their ids even where there are more of them than a page and its margin',
    async () => {
      const name = await place.collection(store)
      await store.upsert(name, { epoch: 1, write: 1 }, users(200))
      const ids = users(200)
        .map(({ id }) => id)
        .sort()
      const query = { vectorName: A, vector: vectorOf(unit(0)) }
      for (const [offset, k] of [
        [0, 5],
        [100, 7],
        [190, 50],
      ] as const) {
        const hits = await store.search(name, { ...query, k, offset })
        assert.deepEqual(
          hits.map(({ id }) => id),
          ids.slice(offset, offset + k),
        )
      }
    },
  )

  promise('settings that changed are shown as differences and mended as far as can be', async () => {
    const name = await place.collection(store)
    const { collection } = place.settings()
    const changed = await place.open({
      collection: {
        ...collection,
        hnsw: { m: 24, efConstruct: 200, onDisk: true },
        quantization: 'int8',
        indexingThresholdKb: 5_000,
        deletedThreshold: 0.15,
        segmentKbMax: 100_000,
        segments: 2,
        onDisk: true,
        payloadOnDisk: false,
        datatype: 'float16',
        shards: 2,
      },
    })
    await place.client.deletePayloadIndex(`${place.prefix}${name}`, 'segment', { wait: true })
    const shown = await changed.differences(name)
    assert.deepEqual(shown.map(({ what, mendable }) => `${what} ${mendable}`).sort(), [
      `${A} datatype false`,
      `${A} on disk true`,
      'hnsw.ef_construct true',
      'hnsw.m true',
      'hnsw.on_disk true',
      'index on segment true',
      'optimizers.default_segment_number true',
      'optimizers.deleted_threshold true',
      'optimizers.indexing_threshold true',
      'optimizers.max_segment_size true',
      'payload on disk true',
      'quantization true',
      'shards false',
    ])
    await store.upsert(name, { epoch: 1, write: 1 }, users(3))
    await changed.mend(name)
    const left = await changed.differences(name)
    assert.deepEqual(left.map(({ what }) => what).sort(), [`${A} datatype`, 'shards'])
    assert.equal((await found(name)).length, 3)
  })

  promise('whoever stops waits for nothing: a closed store answers so at once', async () => {
    const closed = await place.open()
    await closed.close()
    const error = await closed.collections().catch((thrown: unknown) => thrown)
    assert.ok(error instanceof UnavailableError && error.code === 'vectors-closed')
  })
}
