import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fence } from '../../../src/drivers/qdrant/fence.ts'
import { PAYLOAD_INDEXES } from '../../../src/drivers/qdrant/payload-indexes.ts'
import type { QdrantVectorStore } from '../../../src/drivers/qdrant/qdrant-vector-store.ts'
import { UnavailableError } from '../../../src/errors.ts'
import type { CollectionName, Point } from '../../../src/vectors/vector-store.ts'
import { A, B, idOf, pointOf, stubOf, unit, vectorOf } from '../../vectors/points.ts'
import { answer, hold, reportStatus, type SeenRequest } from './double/faults.ts'
import { type QdrantDouble, startQdrantDouble } from './double/qdrant-double.ts'
import { QdrantPlace } from './qdrant-place.ts'

const UPSERT = 'PUT /collections/{collection_name}/points'
const unavailable = { code: 'qdrant-unavailable', name: 'UnavailableError' }

interface Scene {
  place: QdrantPlace
  double: QdrantDouble
  store: QdrantVectorStore
  name: CollectionName
}

/** A double of its own, with one collection; what the setting up asked for is out of the log. */
async function on(
  work: (scene: Scene) => Promise<void>,
  options: Parameters<typeof startQdrantDouble>[0] = {},
) {
  const double = await startQdrantDouble(options)
  const place = new QdrantPlace({
    url: double.url,
    grpcUrl: null,
    apiKey: null,
    double,
    dispose: () => double.close(),
  })
  try {
    const store = await place.open()
    const name = await place.collection(store, [A, B])
    double.log.clear()
    await work({ place, double, store, name })
  } finally {
    double.faults.clear()
    await place.dispose()
  }
}

const users = (count: number, axis = 0): Point[] =>
  Array.from({ length: count }, (_, i) => pointOf(`u${i}`, { [A]: unit(axis) }))

const pointsIn = ({ body }: SeenRequest) => (body as { points: unknown[] }).points.length

async function found({ store, name }: Scene, axis = 0): Promise<string[]> {
  const query = { vectorName: A, vector: vectorOf(unit(axis)), k: 100, scoreThreshold: 0.9 }
  return (await store.search(name, query)).map(({ payload }) => payload.userId as string).sort()
}

/** A write that its sender has given up, and that the server gets to only when it is let go. */
async function lateWrite(scene: Scene, points: readonly Point[]) {
  const { place, double, name } = scene
  const { promise, resolve } = Promise.withResolvers<void>()
  // It must be opened within the time, on a busy machine, too.
  const hasty = await place.open({ timeoutMs: 1_000 })
  double.faults.add(UPSERT, hold(promise))
  await assert.rejects(hasty.upsert(name, { epoch: 1, write: 1 }, points), unavailable)
  return async () => {
    resolve()
    // What was let go is applied before anything that is asked afterwards.
    await scene.store.get(name, [idOf('nobody')])
  }
}

describe('the Qdrant driver, where the server misbehaves', () => {
  test('R4: a write that timed out and lands late loses to the new owner’s', () =>
    on(async (scene) => {
      const land = await lateWrite(scene, users(3, 1))
      await scene.store.upsert(scene.name, { epoch: 2, write: 1 }, users(2, 2))
      await land()
      assert.deepEqual(await found(scene, 2), ['u0', 'u1'])
      // Nobody had written this one, so the late write is the newest there is: it did land.
      assert.deepEqual(await found(scene, 1), ['u2'])
    }))

  test('R5: a write that was in flight when its user was forgotten lands late and brings nothing back', () =>
    on(async (scene) => {
      const { store, name } = scene
      const land = await lateWrite(scene, users(1))
      await store.upsert(name, { epoch: 1, write: 2 }, [stubOf('u0')])
      await land()
      assert.deepEqual(await found(scene), [])
      assert.deepEqual((await store.get(name, [idOf('u0')])).get(idOf('u0'))!.point, stubOf('u0'))
    }))

  test('R7: 429 is waited for as long as the server asks, and the same write goes through then', () =>
    on(async (scene) => {
      const { double, store, name } = scene
      double.faults.add(UPSERT, answer(429, { headers: { 'retry-after': '17' } }))
      const error = await store
        .upsert(name, { epoch: 1, write: 1 }, users(2))
        .catch((thrown: unknown) => thrown)
      assert.ok(error instanceof UnavailableError && error.retryAfterMs === 17_000)
      assert.deepEqual(await store.upsert(name, { epoch: 1, write: 1 }, users(2)), [])
      assert.equal((await found(scene)).length, 2)
    }))

  test('R7: 500 after the write was applied leaves the outcome open, and sending it again changes nothing', () =>
    on(async (scene) => {
      const { double, store, name } = scene
      for (const status of [500, 502, 503, 408]) {
        double.faults.add(UPSERT, answer(status, { moment: 'after' }))
        await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, users(2)), unavailable)
        const read = async () => [
          ...(
            await store.get(
              name,
              users(2).map(({ id }) => id),
            )
          ).values(),
        ]
        const applied = await read()
        assert.equal(applied.length, 2)
        assert.deepEqual(await store.upsert(name, { epoch: 1, write: 1 }, users(2)), [])
        assert.deepEqual(await read(), applied)
      }
    }))

  test('R7: what is only acknowledged, or timed out behind 200, is not done', () =>
    on(async (scene) => {
      const { double, store, name } = scene
      for (const status of ['acknowledged', 'wait_timeout'] as const) {
        double.faults.add(UPSERT, reportStatus(status))
        await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, users(2)), unavailable)
      }
      assert.deepEqual(await store.upsert(name, { epoch: 1, write: 1 }, users(2)), [])
      const purge = 'POST /collections/{collection_name}/points/delete'
      await store.upsert(name, { epoch: 1, write: 2 }, [stubOf('u0')])
      double.faults.add(purge, reportStatus('acknowledged', 'before'))
      await assert.rejects(store.purgeStubs(name, Number.MAX_SAFE_INTEGER), unavailable)
    }))

  test('R7: 413, from the server or from what stands before it, halves the request until it fits', () =>
    on(async (scene) => {
      const { double, store, name } = scene
      double.faults.add((request) => request.endpoint === UPSERT && pointsIn(request) > 10, answer(413), 99)
      assert.deepEqual(await store.upsert(name, { epoch: 1, write: 1 }, users(40)), [])
      assert.equal((await found(scene)).length, 40)
      assert.deepEqual(double.log.of(UPSERT).map(pointsIn), [40, 20, 10, 10, 20, 10, 10])
    }))

  test('where the server would refuse anything, that is said, no user is blamed, and nothing is left behind', () =>
    on(async (scene) => {
      const { double, store, name } = scene
      const full = { status: { error: 'Bad request: Max vector storage size limit of 5 bytes reached' } }
      double.faults.add(UPSERT, answer(400, { body: full }), 99)
      await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, users(20)), {
        name: 'ConfigError',
        code: 'qdrant-refused',
        message: /Max vector storage size/,
      })
      assert.equal(double.log.of(UPSERT).length, 2)
      double.faults.clear()
      const [info] = await store.collections()
      assert.deepEqual([info?.points, info?.stubs], [0, 0])
    }))

  test('asking whether the server takes anything leaves no trace', () =>
    on(async (scene) => {
      const { store, name } = scene
      const refused = await store.upsert(name, { epoch: 1, write: 1 }, [
        pointOf('u0', { [A]: unit(0) }, { segment: '\ud800' }),
      ])
      assert.equal(refused.length, 1)
      const [info] = await store.collections()
      assert.deepEqual([info?.points, info?.stubs], [0, 0])
    }))

  test('the server locked for a snapshot is waited for; a right that is missing is not', () =>
    on(async ({ double, store, name }) => {
      const say = (error: string) => answer(403, { body: { status: { error } } })
      double.faults.add(UPSERT, say('Storage locked: full snapshot'))
      await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, users(1)), unavailable)
      double.faults.add(UPSERT, say('Forbidden: Global manage access is required'))
      await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, users(1)), {
        code: 'qdrant-key-read-only',
      })
    }))

  test('every write is fenced: stubs, halves, repetitions, and the question whether anything is taken', () =>
    on(async ({ double, store, name }) => {
      const version = { epoch: 77, write: 5 }
      const bad = pointOf('bad', { [A]: unit(0) }, { segment: '\ud800' })
      double.faults.add(UPSERT, answer(413))
      await store.upsert(name, version, [...users(5), stubOf('s'), bad])
      const writes = double.log.of(UPSERT)
      assert.ok(writes.length > 5)
      for (const { body, query } of writes) {
        assert.equal(query.wait, true)
        if (typeof body === 'string')
          assert.ok(body.startsWith(`{"update_filter":${JSON.stringify(fence(version))}`))
        else assert.deepEqual((body as { update_filter: unknown }).update_filter, fence(version))
      }
      // The one request that could write without a fence, for the client drops it there.
      assert.ok(!double.log.requests.some(({ path }) => path.endsWith('/points/vectors')))
    }))

  test('no delete is sent with an empty filter, and none where there is nothing to delete', () =>
    on(async ({ double, store, name }) => {
      await store.upsert(name, { epoch: 1, write: 1 }, [...users(3), stubOf('s')])
      assert.equal(await store.purgeStubs(name, 0), 0)
      assert.equal(await store.purgeStubs(name, Number.MAX_SAFE_INTEGER), 1)
      const deletions = double.log.of('POST /collections/{collection_name}/points/delete')
      assert.equal(deletions.length, 1)
      const { filter } = deletions[0]!.body as { filter: { must: unknown[] } }
      assert.equal(filter.must.length, 2)
      assert.equal(
        (
          await store.get(
            name,
            users(3).map(({ id }) => id),
            [],
          )
        ).size,
        3,
      )
    }))

  test('every payload index is there before the first point, and a filter on any of our keys is indexed', () =>
    on(async ({ place, double, store }) => {
      const name = await place.collection(store)
      await store.upsert(name, { epoch: 1, write: 1 }, users(1))
      const endpoints = double.log.requests.map(({ endpoint }) => endpoint)
      const indexed = double.log.of('PUT /collections/{collection_name}/index')
      const fields = indexed.map(({ body }) => (body as { field_name: string }).field_name)
      assert.deepEqual(fields, Object.keys(PAYLOAD_INDEXES))
      const lastIndex = endpoints.lastIndexOf('PUT /collections/{collection_name}/index')
      assert.ok(lastIndex < endpoints.indexOf(UPSERT))
      const filter = {
        tenantId: 'default' as never,
        segment: 'gold',
        lastEventSinceMs: 0,
        lastEventBeforeMs: 9e12,
      }
      assert.deepEqual(
        await store.search(name, { vectorName: A, vector: vectorOf(unit(0)), k: 1, filter }),
        [],
      )
    }))

  test('a collection whose indexes were cut off by a crash gets the rest before anything is loaded', () =>
    on(async ({ place, double, store }) => {
      const spec = place.spec()
      const index = 'PUT /collections/{collection_name}/index'
      double.faults.add(
        (request) => request.endpoint === index && double.log.of(index).length > 3,
        answer(500),
      )
      await assert.rejects(store.ensureCollection(spec), unavailable)
      await (await place.open()).ensureCollection(spec)
      assert.deepEqual(await store.differences(spec.name), [])
    }))

  test('a search says what the settings say, compares everything only if asked, and skips no fresh segment', () =>
    on(async ({ place, double, name }) => {
      const { collection } = place.settings()
      const tuned = await place.open({
        searchEf: 256,
        readConsistency: 'majority',
        collection: { ...collection, quantization: 'int8' },
      })
      const query = { vectorName: A, vector: vectorOf(unit(0)), k: 1 }
      double.log.clear()
      await tuned.search(name, query)
      await tuned.search(name, { ...query, exact: true })
      const asked = double.log.of('POST /collections/{collection_name}/points/query')
      assert.deepEqual(
        asked.map(({ body }) => (body as { params: unknown }).params),
        [{ hnsw_ef: 256, quantization: { rescore: true, oversampling: 2 } }, { exact: true }],
      )
      assert.deepEqual(
        asked.map(({ query: { consistency } }) => consistency),
        ['majority', 'majority'],
      )
    }))

  test('an exact search finds what an index misses', () =>
    on(
      async ({ store, name }) => {
        await store.upsert(name, { epoch: 1, write: 1 }, users(100))
        const query = { vectorName: A, vector: vectorOf(unit(0)), k: 200 }
        const missing = 100 - (await store.search(name, query)).length
        assert.ok(missing > 5, `${missing}`)
        assert.equal((await store.search(name, { ...query, exact: true })).length, 100)
      },
      { approximateSeed: 7 },
    ))

  test('a collection that is dropped while all are listed is left out of the list', () =>
    on(async ({ place, double, store, name }) => {
      const other = await place.collection(store)
      const gone = `Not found: Collection \`${place.prefix}${other}\` doesn't exist!`
      double.faults.add(
        ({ endpoint, path }) => endpoint.endsWith('/points/count') && path.includes(other),
        answer(404, { body: { status: { error: gone } } }),
      )
      assert.deepEqual(
        (await store.collections()).map((info) => info.name),
        [name],
      )
    }))

  test('a switch of an alias is one action, so that no failure leaves readers without', () =>
    on(async ({ double, store, name }) => {
      await store.setAlias('freshet_g' as never, name)
      const [request] = double.log.of('POST /collections/aliases')
      const { actions } = request!.body as { actions: object[] }
      assert.deepEqual(
        actions.map((action) => Object.keys(action)),
        [['create_alias']],
      )
    }))
})
