import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import { A, pointOf, unit } from '../../vectors/points.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'
import { answer } from './double/faults.ts'
import { startQdrantDouble } from './double/qdrant-double.ts'
import { qdrantPromises } from './driver-promises.ts'
import { QdrantPlace } from './qdrant-place.ts'
import { settingsOf } from './settings-of.ts'

vectorStoreContract('Qdrant over gRPC', async (clock) => {
  const double = await startQdrantDouble()
  const store = await openQdrant(settingsOf(double.url, { grpcUrl: double.grpcUrl }), clock)
  const dispose = async () => {
    await store.close()
    await double.close()
  }
  return { store, dispose }
})

qdrantPromises('the double over gRPC', async () => {
  const double = await startQdrantDouble()
  const { url, grpcUrl } = double
  return { url, grpcUrl, apiKey: null, double, dispose: () => double.close() }
})

test('where gRPC refuses everything and REST nothing, no user is blamed', async () => {
  const double = await startQdrantDouble()
  const place = new QdrantPlace({
    url: double.url,
    grpcUrl: double.grpcUrl,
    apiKey: null,
    double,
    dispose: () => double.close(),
  })
  try {
    const store = await place.open()
    const name = await place.collection(store, [A])
    const points = ['u0', 'u1', 'u2'].map((user) => pointOf(user, { [A]: unit(0) }))
    double.faults.add('qdrant.Points/Upsert', answer(400), Number.POSITIVE_INFINITY)
    await assert.rejects(store.upsert(name, { epoch: 1, write: 1 }, points), { code: 'qdrant-refused' })
    double.faults.clear()
    // A point that is bad by itself is still found, and the question leaves nothing behind.
    const bad = pointOf('u3', { [A]: unit(0) }, { segment: '\ud800' })
    const refused = await store.upsert(name, { epoch: 1, write: 1 }, [...points, bad])
    assert.deepEqual(
      refused.map(({ id }) => id),
      [bad.id],
    )
    const [info] = await store.collections()
    assert.deepEqual([info?.points, info?.stubs], [3, 0])
  } finally {
    double.faults.clear()
    await place.dispose()
  }
})
