import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { QdrantClient } from '@qdrant/js-client-rest'
import { ALICE, grpcClient, restClient } from './facts.ts'
import { answer, cut, type Fault, hang, hold, reportStatus } from './faults.ts'
import { type QdrantDouble, startQdrantDouble } from './qdrant-double.ts'

const UPSERT = 'PUT /collections/{collection_name}/points'
const GRPC_UPSERT = 'qdrant.Points/Upsert'
const HASTY_MS = 600

async function withDouble(run: (double: QdrantDouble) => Promise<void>): Promise<void> {
  const double = await startQdrantDouble()
  try {
    const client = restClient(double.url)
    await client.createCollection('c', { vectors: { v: { size: 2, distance: 'Cosine' } } })
    await run(double)
  } finally {
    await double.close()
  }
}

/** Only who waits in vain is hasty, and still gives the request the time to get there. */
const write = (url: string, timeout = 10_000) =>
  new QdrantClient({ url, checkCompatibility: false, timeout }).upsert('c', {
    wait: true,
    points: [{ id: ALICE, vector: { v: [1, 0] } }],
  })

const grpcWrite = (url: string) =>
  grpcClient(url)
    .api('points')
    .upsert({
      collectionName: 'c',
      wait: true,
      points: [
        {
          id: { pointIdOptions: { case: 'uuid', value: ALICE } },
          vectors: {
            vectorsOptions: {
              case: 'vectors',
              value: { vectors: { v: { vector: { case: 'dense', value: { data: [1, 0] } } } } },
            },
          },
        },
      ],
    })

const stored = (double: QdrantDouble): number => double.store.get('c').points.size

describe('faults', () => {
  const before: Record<string, [Fault, object]> = {
    '429 with Retry-After': [
      answer(429, { headers: { 'retry-after': '37' } }),
      { name: 'QdrantClientResourceExhaustedError' },
    ],
    '500': [answer(500), { status: 500 }],
    '502 in HTML': [
      answer(502, { body: '<h1>Bad Gateway</h1>' }),
      { status: 502, data: '<h1>Bad Gateway</h1>' },
    ],
    '503': [answer(503), { status: 503 }],
    'no answer': [hang(), { name: 'QdrantClientTimeoutError' }],
    'a cut connection': [cut(), { name: 'TypeError', message: 'fetch failed' }],
  }
  for (const [what, [fault, error]] of Object.entries(before))
    test(`${what} comes instead of the write, once`, () =>
      withDouble(async (double) => {
        double.faults.add(UPSERT, fault)
        await assert.rejects(write(double.url, what === 'no answer' ? HASTY_MS : undefined), error)
        assert.equal(stored(double), 0)
        await write(double.url)
        assert.equal(stored(double), 1)
      }))

  for (const [what, fault] of Object.entries({
    'a 500': answer(500, { moment: 'after' }),
    'no answer': hang('after'),
    'a cut connection': cut('after'),
  }))
    test(`${what} may come after the write was applied`, () =>
      withDouble(async (double) => {
        double.faults.add(UPSERT, fault)
        await assert.rejects(write(double.url, what === 'no answer' ? HASTY_MS : undefined))
        assert.equal(stored(double), 1)
      }))

  test('a status that is no completion is reported for a write that was applied, and for one that wasn’t', () =>
    withDouble(async (double) => {
      double.faults.add(UPSERT, reportStatus('acknowledged', 'before'))
      assert.equal((await write(double.url)).status, 'acknowledged')
      assert.equal(stored(double), 0)
      double.faults.add(UPSERT, reportStatus('wait_timeout'))
      assert.equal((await write(double.url)).status, 'wait_timeout')
      assert.equal(stored(double), 1)
    }))

  for (const moment of ['before', 'after'] as const)
    test(`a write is held ${moment} it takes effect, until the test lets it go`, () =>
      withDouble(async (double) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        const reached = Promise.withResolvers<void>()
        double.faults.add(
          (request) => {
            reached.resolve()
            return request.endpoint === UPSERT
          },
          hold(promise, moment),
        )
        const client = restClient(double.url)
        const writing = client.upsert('c', { wait: true, points: [{ id: ALICE, vector: { v: [1, 0] } }] })
        await reached.promise
        // Other requests go on meanwhile, and by then the write has got as far as it may.
        await client.count('c')
        assert.equal(stored(double), moment === 'before' ? 0 : 1)
        resolve()
        assert.equal((await writing).status, 'completed')
        assert.equal(stored(double), 1)
      }))

  test('a fault strikes as often as it is told, those whom it is told to, and can be taken back', () =>
    withDouble(async (double) => {
      double.faults.add(({ path }) => path.includes('/c/'), answer(500), 2)
      const client = restClient(double.url)
      assert.equal((await client.getCollections()).collections.length, 1)
      await assert.rejects(client.count('c'), { status: 500 })
      assert.equal(double.faults.left, 1)
      await assert.rejects(client.count('c'), { status: 500 })
      await client.count('c')
      double.faults.add(() => true, answer(500), Number.POSITIVE_INFINITY)
      await assert.rejects(client.count('c'), { status: 500 })
      double.faults.clear()
      await client.count('c')
    }))

  const codes: Record<string, [Fault, number, number]> = {
    'unavailable, for 503': [answer(503), 14, 0],
    'deadline exceeded, for 504 after the write': [answer(504, { moment: 'after' }), 4, 1],
    'internal, for 500': [answer(500), 13, 0],
    'aborted, for a cut connection': [cut(), 10, 0],
    'aborted, for one cut after the write': [cut('after'), 10, 1],
  }
  for (const [what, [fault, code, points]] of Object.entries(codes))
    test(`over gRPC a fault is ${what}`, () =>
      withDouble(async (double) => {
        double.faults.add(GRPC_UPSERT, fault)
        await assert.rejects(grpcWrite(double.grpcUrl), { code })
        assert.equal(stored(double), points)
      }))

  test('over gRPC a write is held, and its status reported, as over REST', () =>
    withDouble(async (double) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      double.faults.add(GRPC_UPSERT, hold(promise))
      const writing = grpcWrite(double.grpcUrl)
      resolve()
      assert.equal((await writing).result?.status, 2)
      const WAIT_TIMEOUT = 4
      double.faults.add(GRPC_UPSERT, reportStatus('wait_timeout'))
      assert.equal((await grpcWrite(double.grpcUrl)).result?.status, WAIT_TIMEOUT)
    }))

  test('the double closes although requests hang', async () => {
    const double = await startQdrantDouble()
    double.faults.add(() => true, hang(), 2)
    const client = restClient(double.url)
    const waiting = [client.getCollections(), grpcClient(double.grpcUrl).api('service').healthCheck({})]
    while (double.faults.left > 0) await new Promise((resolve) => setImmediate(resolve))
    await double.close()
    for (const { status } of await Promise.allSettled(waiting)) assert.equal(status, 'rejected')
  })
})
