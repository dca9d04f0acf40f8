import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ALICE, grpcClient, restClient } from './double/facts.ts'
import { type QdrantDouble, startQdrantDouble } from './double/qdrant-double.ts'
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts'

const UPSERT = 'PUT /collections/{collection_name}/points'

async function behind(run: (proxy: FaultyProxy, double: QdrantDouble) => Promise<void>): Promise<void> {
  const double = await startQdrantDouble()
  const proxy = await startFaultyProxy(double.url)
  try {
    await restClient(double.url).createCollection('c', { vectors: { v: { size: 2, distance: 'Cosine' } } })
    await run(proxy, double)
  } finally {
    await proxy.close()
    await double.close()
  }
}

const write = (url: string, text = '') =>
  restClient(url).upsert('c', {
    wait: true,
    points: [{ id: ALICE, vector: { v: [1, 0] }, payload: { text } }],
  })

const stored = (double: QdrantDouble): number => double.store.get('c').points.size

/** @returns the cause's code of a request that must fail */
async function causeOf(request: Promise<unknown>): Promise<string | undefined> {
  return request.then(
    () => assert.fail('expected a failure'),
    (error: Error) => (error.cause as { code?: string } | undefined)?.code,
  )
}

/** Until it holds: what happens on another connection has no event of its own. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

describe('the faulty proxy', () => {
  test('with nothing wrong it passes REST and gRPC on', () =>
    behind(async (proxy, double) => {
      assert.equal((await write(proxy.url)).status, 'completed')
      assert.equal(stored(double), 1)
      assert.ok(proxy.accepted >= 1)
      const grpc = await startFaultyProxy(double.grpcUrl)
      try {
        const { version } = await grpcClient(grpc.url).api('service').healthCheck({})
        assert.equal(version, '1.19.0')
      } finally {
        await grpc.close()
      }
    }))

  test('refused, nobody connects; then it listens on the same port again', () =>
    behind(async (proxy, double) => {
      const { url } = proxy
      await proxy.refuse()
      assert.equal(await causeOf(write(url)), 'ECONNREFUSED')
      await proxy.listen()
      assert.equal(proxy.url, url)
      await write(url)
      assert.equal(stored(double), 1)
    }))

  test('cut amid the request, the server never sees the whole of it', () =>
    behind(async (proxy, double) => {
      proxy.cutAfterRequestBytes(100_000)
      const code = await causeOf(write(proxy.url, 'x'.repeat(500_000)))
      assert.ok(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(`${code}`), code)
      assert.equal(double.log.of(UPSERT).length, 0)
      // Once only: the next one goes through.
      await write(proxy.url, 'x'.repeat(500_000))
      assert.equal(stored(double), 1)
    }))

  test('cut on the reply, the write is done and nobody hears of it', () =>
    behind(async (proxy, double) => {
      proxy.cutOnReply()
      const code = await causeOf(write(proxy.url))
      assert.ok(['ECONNRESET', 'UND_ERR_SOCKET'].includes(`${code}`), code)
      assert.equal(stored(double), 1)
      await write(proxy.url)
    }))

  test('replies are swallowed: the write is done, the client waits, and a cut ends its waiting', () =>
    behind(async (proxy, double) => {
      proxy.swallowReplies()
      const lost = causeOf(write(proxy.url))
      await until(() => stored(double) === 1)
      proxy.cut()
      assert.ok(['ECONNRESET', 'UND_ERR_SOCKET'].includes(`${await lost}`))
      proxy.pass()
      await write(proxy.url)
    }))

  test('requests are held, and go on when they are let go', () =>
    behind(async (proxy, double) => {
      proxy.hold('requests')
      const writing = write(proxy.url)
      await until(() => proxy.open === 1)
      assert.equal(double.log.of(UPSERT).length, 0)
      proxy.pass()
      assert.equal((await writing).status, 'completed')
    }))

  test('replies are held: the write is done before its client knows', () =>
    behind(async (proxy, double) => {
      proxy.hold('replies')
      let known = false
      const writing = write(proxy.url).then((answer) => {
        known = true
        return answer
      })
      await until(() => stored(double) === 1)
      assert.equal(known, false)
      proxy.pass()
      assert.equal((await writing).status, 'completed')
    }))

  test('a stalled direction takes no more than the buffers between, and goes on afterwards', () =>
    behind(async (proxy, double) => {
      proxy.stall('requests')
      const writing = write(proxy.url, 'x'.repeat(20_000_000))
      await until(() => proxy.open === 1)
      assert.equal(double.log.of(UPSERT).length, 0)
      proxy.pass()
      assert.equal((await writing).status, 'completed')
      assert.equal(stored(double), 1)
    }))

  test('a cut ends every connection, and the same client goes on over a new one', () =>
    behind(async (proxy) => {
      const client = restClient(proxy.url)
      await client.count('c')
      await until(() => proxy.open === 1)
      const before = proxy.accepted
      proxy.cut()
      await until(() => proxy.open === 0)
      // The client may still hold the dead socket: once is enough to learn of it.
      await client.count('c').catch(() => undefined)
      assert.equal((await client.count('c')).count, 0)
      assert.ok(proxy.accepted > before)
    }))
})
