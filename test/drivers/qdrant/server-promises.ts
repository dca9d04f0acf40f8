/** What the Qdrant driver promises of what it keeps on a server, beside others, and of who reads it. */

import assert from 'node:assert/strict'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import type { GroupName, VectorName } from '../../../src/instructions/instruction.ts'
import { aliasName } from '../../../src/vectors/names.ts'
import type { CollectionName } from '../../../src/vectors/vector-store.ts'
import { A, B, idOf, pointOf, stubOf, unit, vectorOf } from '../../vectors/points.ts'
import type { DriverScene } from './driver-scene.ts'

export function serverPromises(scene: DriverScene): void {
  const { promise } = scene

  promise('R13: a collection of another shape, or of somebody else, is not written to', async () => {
    const made = scene.place.spec()
    await scene.store.ensureCollection(made)
    const other = await scene.place.open()
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
      if (!isNamed && scene.place.server.double !== null) continue
      const foreign = scene.place.spec()
      const name = `${scene.place.prefix}${foreign.name}`
      const vector = { size: 6, distance: 'Cosine' as const }
      await scene.place.client.createCollection(name, { vectors: isNamed ? { v: vector } : vector })
      const point = { id: 1, vector: isNamed ? { v: unit(0) } : unit(0) }
      await scene.place.client.upsert(name, { wait: true, points: [point] })
      await assert.rejects(other.ensureCollection(foreign), theirs)
      await assert.rejects(other.upsert(foreign.name, { epoch: 1, write: 1 }, [stubOf('u')]), theirs)
      await assert.rejects(other.dropCollection(foreign.name), theirs)
      assert.ok(!(await other.collections()).some((info) => info.name === foreign.name))
      assert.equal((await scene.place.client.count(name)).count, 1)
    }
  })

  promise(
    'R13: vectors that somebody made by hand, with other dimensions or distance, are refused at once',
    async () => {
      for (const dense of [
        { size: 7, distance: 'Cosine' as const },
        { size: 6, distance: 'Dot' as const },
      ]) {
        const spec = scene.place.spec()
        await scene.store.ensureCollection(spec)
        await scene.place.client.createVectorName(`${scene.place.prefix}${spec.name}`, A, { dense })
        await assert.rejects((await scene.place.open()).ensureCollection(spec), {
          code: 'collection-mismatch',
        })
      }
    },
  )

  promise(
    'R13: what vanished since the driver looked is named for what it is, and seen again once it is back',
    async () => {
      const name = await scene.place.collection(scene.store)
      const other = await scene.place.open()
      const point = pointOf('u', { [A]: unit(0) })
      const query = { vectorName: A, vector: vectorOf(unit(0)), k: 1 }
      await scene.store.upsert(name, { epoch: 1, write: 1 }, [point])
      await other.dropVectorNames(name, [A])
      const { point: bare } = (await scene.store.get(name, [idOf('u')], [A])).get(idOf('u'))!
      assert.equal(bare.kind === 'vectors' && bare.vectors.size, 0)
      await assert.rejects(scene.store.upsert(name, { epoch: 1, write: 2 }, [point]), {
        code: 'vector-name-unknown',
      })
      await assert.rejects(scene.store.search(name, query), { code: 'search-vector-name', status: 404 })
      await other.ensureVectorNames(name, [A])
      await scene.store.upsert(name, { epoch: 1, write: 3 }, [point])
      await other.dropCollection(name)
      await assert.rejects(scene.store.upsert(name, { epoch: 1, write: 4 }, [point]), {
        code: 'collection-missing',
      })
      await assert.rejects(scene.store.search(name, query), { code: 'collection-missing' })
    },
  )

  promise(
    'R13: a collection that another process made anew, in another shape, is seen as it is now',
    async () => {
      const other = await scene.place.open()
      const spec = scene.place.spec()
      await scene.store.ensureCollection(spec)
      await scene.store.ensureVectorNames(spec.name, [A])
      await scene.store.upsert(spec.name, { epoch: 1, write: 1 }, scene.users(1))
      const wide = { ...spec, dimensions: 7 }
      await other.dropCollection(spec.name)
      await other.ensureCollection(wide)
      await other.ensureVectorNames(wide.name, [A])
      const point = pointOf('u', { [A]: [...unit(0), 0] })
      await assert.rejects(scene.store.upsert(wide.name, { epoch: 1, write: 2 }, scene.users(1)), {
        code: 'vector-dimension',
      })
      assert.deepEqual(await scene.store.upsert(wide.name, { epoch: 1, write: 3 }, [point]), [])
      const hits = await scene.store.search(wide.name, {
        vectorName: A,
        vector: vectorOf([...unit(0), 0]),
        k: 1,
      })
      assert.equal(hits.length, 1)
    },
  )

  promise(
    'R15: readers search in a loop while aliases are switched, and no answer mixes two models',
    async () => {
      const alias = aliasName('g' as GroupName)
      const specs = [scene.place.spec(), scene.place.spec()]
      for (const spec of specs) {
        await scene.store.ensureCollection(spec)
        await scene.store.ensureVectorNames(spec.name, [A])
        const points = Array.from({ length: 20 }, (_, i) => {
          const point = pointOf(`u${i}`, { [A]: unit(i % 2) })
          return point.kind === 'stub'
            ? point
            : { ...point, payload: { ...point.payload, model: spec.model } }
        })
        await scene.store.upsert(spec.name, { epoch: 1, write: 1 }, points)
      }
      await scene.store.setAlias(alias, specs[0]!.name)
      let isDone = false
      const seen = new Set<string>()
      const readers = Array.from({ length: 3 }, async (_, reader) => {
        const own = await scene.place.open()
        for (let turn = 0; !isDone || turn < 3; turn++) {
          const models =
            reader === 0 ? await modelsByAlias(alias) : await modelsByName(own, (await own.alias(alias))!)
          assert.equal(models.size, 1, `${[...models]}`)
          for (const model of models) seen.add(model)
        }
      })
      for (let i = 1; i <= 40; i++) await scene.store.setAlias(alias, specs[i % 2]!.name)
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
    const { points } = await scene.place.client.query(`${scene.place.prefix}${alias}`, query)
    assert.equal(points.length, 20)
    return new Set(points.map(({ payload }) => `${payload?.model}`))
  }

  promise(
    'a point that somebody else put under a user’s id is passed over, and replaced by the first write',
    async () => {
      const name = await scene.place.collection(scene.store)
      const point = { id: idOf('u0'), vector: { [A]: unit(0) }, payload: { hello: 'world' } }
      await scene.place.client.upsert(`${scene.place.prefix}${name}`, { wait: true, points: [point] })
      assert.equal((await scene.store.get(name, [idOf('u0')])).size, 0)
      assert.deepEqual(await scene.found(name), [])
      await scene.store.upsert(name, { epoch: 1, write: 1 }, scene.users(1))
      assert.deepEqual(await scene.found(name), ['u0'])
      assert.deepEqual(await scene.versionOf(name, 'u0'), { epoch: 1, write: 1 })
    },
  )

  promise('a vector name that a URL takes for a path is refused, and the collection stays', async () => {
    const name = await scene.place.collection(scene.store)
    await scene.store.upsert(name, { epoch: 1, write: 1 }, scene.users(2))
    for (const path of ['..', '.', '']) {
      await assert.rejects(scene.store.dropVectorNames(name, [path as VectorName]), { code: 'qdrant-name' })
      await assert.rejects(scene.store.ensureVectorNames(name, [path as VectorName]), { code: 'qdrant-name' })
    }
    const bare = await scene.place.open({ prefix: '' })
    await assert.rejects(bare.dropCollection('..' as CollectionName), { code: 'qdrant-name' })
    assert.equal((await scene.found(name)).length, 2)
  })

  promise('two processes that make the same collection at once both find it made', async () => {
    const spec = scene.place.spec()
    const stores = [scene.store, await scene.place.open(), await scene.place.open()]
    await Promise.all(stores.map((store) => store.ensureCollection(spec)))
    await Promise.all(stores.map((store) => store.ensureVectorNames(spec.name, [A, B])))
    assert.deepEqual(await scene.store.differences(spec.name), [])
    await Promise.all(stores.map((store) => store.dropVectorNames(spec.name, [B])))
    const info = (await scene.store.collections()).find(({ name }) => name === spec.name)
    assert.deepEqual(info?.vectorNames, [A])
    await Promise.all(stores.map((store) => store.dropCollection(spec.name)))
  })

  promise('two environments share a server and see nothing of each other', async () => {
    const other = await scene.place.open({ prefix: `${scene.place.prefix}b-` })
    const spec = scene.place.spec()
    const alias = aliasName('shared' as GroupName)
    for (const [one, axis] of [
      [scene.store, 1],
      [other, 2],
    ] as const) {
      await one.ensureCollection(spec)
      await one.ensureVectorNames(spec.name, [A])
      await one.upsert(spec.name, { epoch: 1, write: 1 }, scene.users(axis, axis))
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
    assert.equal(await scene.store.alias(alias), spec.name)
    assert.equal((await scene.found(spec.name, 1)).length, 1)
  })

  promise('readers’ names written by one process leave what the collection is for as it is', async () => {
    const name = await scene.place.collection(scene.store, [A, B])
    const other = await scene.place.open()
    const [before] = (await scene.store.collections()).filter((info) => info.name === name)
    await scene.store.setReaderNames(name, new Map([['repay' as never, A]]))
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
    const [info] = (await scene.store.collections()).filter((one) => one.name === name)
    assert.deepEqual(new Map([...info!.readerNames].sort()), readers)
    assert.deepEqual({ ...info, readerNames: before!.readerNames }, before)
    await assert.doesNotReject(other.ensureCollection({ ...scene.place.spec({ model: before!.model }) }))
  })

  promise(
    'equal scores are in order of their ids even where there are more of them than a page and its margin',
    async () => {
      const name = await scene.place.collection(scene.store)
      await scene.store.upsert(name, { epoch: 1, write: 1 }, scene.users(200))
      const ids = scene
        .users(200)
        .map(({ id }) => id)
        .sort()
      const query = { vectorName: A, vector: vectorOf(unit(0)) }
      for (const [offset, k] of [
        [0, 5],
        [100, 7],
        [190, 50],
      ] as const) {
        const hits = await scene.store.search(name, { ...query, k, offset })
        assert.deepEqual(
          hits.map(({ id }) => id),
          ids.slice(offset, offset + k),
        )
      }
    },
  )

  promise('settings that changed are shown as differences and mended as far as can be', async () => {
    const name = await scene.place.collection(scene.store)
    const { collection } = scene.place.settings()
    const changed = await scene.place.open({
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
    await scene.place.client.deletePayloadIndex(`${scene.place.prefix}${name}`, 'segment', { wait: true })
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
    await scene.store.upsert(name, { epoch: 1, write: 1 }, scene.users(3))
    await changed.mend(name)
    const left = await changed.differences(name)
    assert.deepEqual(left.map(({ what }) => what).sort(), [`${A} datatype`, 'shards'])
    assert.equal((await scene.found(name)).length, 3)
  })
}
