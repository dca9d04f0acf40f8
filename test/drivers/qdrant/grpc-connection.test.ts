import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer as createHttp } from 'node:http'
import { createServer as createTcp, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { GrpcClient } from '../../../src/drivers/qdrant/grpc-client.ts'
import { GrpcConnection } from '../../../src/drivers/qdrant/grpc-connection.ts'
import { UnavailableError } from '../../../src/errors.ts'
import { A, pointOf, unit } from '../../vectors/points.ts'
import { cut, hang, hold } from './double/faults.ts'
import { startFaultyProxy } from './faulty-proxy.ts'
import {
  batchOf,
  COLLECTION,
  clock,
  END,
  errorOf,
  http2,
  onGrpc,
  UPSERT,
  unavailable,
  WRITTEN,
  withServer,
  writing,
} from './grpc-scene.ts'

const HEALTH = 'qdrant.Qdrant/HealthCheck'
/** Long enough for a loaded machine to answer, short enough to wait for in vain. */
const TIMEOUT_MS = 800
/** Of waiting for what comes at once. */
const PATIENCE_MS = 20_000

async function eventually(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS
  while (!holds() && performance.now() < endMs) await new Promise(setImmediate)
  assert.ok(holds())
}

/** The sockets that are opened meanwhile: the client's, and then the proxy's. */
async function socketsOf(work: () => Promise<void>): Promise<Socket[]> {
  const sockets: Socket[] = []
  const note = (message: unknown) => sockets.push((message as { socket: Socket }).socket)
  subscribe('net.client.socket', note)
  try {
    await work()
  } finally {
    unsubscribe('net.client.socket', note)
  }
  return sockets
}

describe('the connection over gRPC', () => {
  test('one that was closed while nobody used it is replaced, and nobody notices', () =>
    onGrpc(async ({ proxy, write }) => {
      assert.deepEqual(await write(), WRITTEN)
      // The client hears of it only when it sends.
      proxy.cut()
      assert.deepEqual(await write(), WRITTEN)
      assert.equal(proxy.accepted, 2)
    }))

  test('one that is cut under a request is made anew once, and the request repeated', () =>
    onGrpc(async ({ proxy, double, write }) => {
      await write()
      proxy.cutOnReply()
      assert.deepEqual(await write(), WRITTEN)
      proxy.cutOnReply(2)
      await assert.rejects(write(), unavailable)
      double.faults.add(UPSERT, cut('after'), 2)
      await assert.rejects(write(), unavailable)
      assert.deepEqual(await write(), WRITTEN)
    }))

  test('one that is cut in the middle of a message leaves nothing of it behind', () =>
    onGrpc(async ({ proxy, double, write }) => {
      await write()
      const many = Array.from({ length: 200 }, (_, i) => pointOf(`u${i}`, { [A]: unit(i % 6) }))
      proxy.cutAfterRequestBytes(9_000)
      assert.deepEqual(await write(many), WRITTEN)
      assert.equal(double.log.of(UPSERT).length, 2)
      assert.equal(double.store.get(COLLECTION).points.size, 201)
    }))

  test('many large requests at a time fit on it', () =>
    onGrpc(async ({ double, write }) => {
      double.store.get(COLLECTION).vectors.set(A, { size: 500_000, distance: 'Cosine' })
      const large = (user: string) => {
        const vectors = { [A]: new Array(500_000).fill(1) }
        return write([pointOf(user, vectors)])
      }
      // 16 MB in all.
      const users = Array.from({ length: 8 }, (_, i) => `u${i}`)
      assert.deepEqual(
        await Promise.all(users.map(large)),
        users.map(() => WRITTEN),
      )
      assert.equal(double.log.of(UPSERT).length, 8)
    }))

  test('a server that refuses connections is unavailable until it is back', () =>
    onGrpc(async ({ proxy, write }) => {
      await proxy.refuse()
      for (let i = 0; i < 3; i++) {
        const error = await errorOf(write())
        assert.ok(error instanceof UnavailableError)
        assert.match(error.message, /got ECONNREFUSED/)
      }
      await proxy.listen()
      assert.deepEqual(await write(), WRITTEN)
    }))

  test('a server that hangs is given up in time, and its connection with it', () =>
    onGrpc(async ({ proxy, double, writer }) => {
      const hasty = writer({ timeoutMs: TIMEOUT_MS })
      double.faults.add(UPSERT, hang())
      const error = await errorOf(hasty.write(batchOf()))
      assert.ok(error instanceof UnavailableError)
      assert.match(error.message, new RegExp(`an answer within ${TIMEOUT_MS} ms`))
      assert.deepEqual(await hasty.write(batchOf()), WRITTEN)
      assert.equal(proxy.accepted, 2)
    }))

  test('one on which nothing gets through is left for another', () =>
    onGrpc(async ({ proxy, writer }) => {
      const hasty = writer({ timeoutMs: TIMEOUT_MS })
      assert.deepEqual(await hasty.write(batchOf()), WRITTEN)
      const faults = [
        () => proxy.stall('requests'),
        () => proxy.hold('replies'),
        () => proxy.swallowReplies(),
      ]
      for (const fault of faults) {
        fault()
        await assert.rejects(hasty.write(batchOf()), unavailable)
        proxy.pass()
        assert.deepEqual(await hasty.write(batchOf()), WRITTEN)
      }
      await eventually(() => proxy.open === 1)
    }))

  test('one that is full to the brim is closed at once, with no help of the other side', async () => {
    const server = http2(
      (stream) => stream.respond({ ':status': 200, 'grpc-status': '8' }, END),
      // The server would take everything, and so all of a request is on its way.
      { initialWindowSize: 2 ** 30 },
    )
    server.on('session', (session) => session.setLocalWindowSize(2 ** 30))
    await withServer(server, async (_, url) => {
      const proxy = await startFaultyProxy(url)
      const client = new GrpcClient({ grpcUrl: proxy.url, apiKey: null, timeoutMs: TIMEOUT_MS }, clock)
      const [socket] = await socketsOf(() => assert.rejects(writing(client), unavailable))
      proxy.stall('requests')
      const message = Buffer.alloc(2 ** 25)
      message.writeUInt32BE(message.length - 5, 1)
      const verdict = await client.upsert({ what: 'write points', collection: COLLECTION }, message)
      assert.equal(verdict.kind, 'error')
      await eventually(() => socket!.destroyed)
      await client.close()
      await proxy.close()
    })
  })

  test('a request that is given up takes no other with it', () =>
    onGrpc(async ({ proxy, double }) => {
      const connection = new GrpcConnection(proxy.url, '', {})
      const call = (signal: AbortSignal) => connection.unary(HEALTH, Buffer.alloc(5), signal)
      const { promise, resolve } = Promise.withResolvers<void>()
      double.faults.add(HEALTH, hang())
      double.faults.add(HEALTH, hold(promise))
      const [first, second] = [new AbortController(), new AbortController()]
      const givenUp = errorOf(call(first.signal))
      const patient = call(second.signal)
      await eventually(() => double.faults.left === 0)
      first.abort(new Error('enough'))
      assert.match(`${await givenUp}`, /enough/)
      // Others go on over a connection of their own, and who was there already has its answer over the old one.
      assert.equal((await call(second.signal)).grpcStatus, 0)
      resolve()
      assert.equal((await patient).grpcStatus, 0)
      assert.equal(proxy.accepted, 2)
      connection.close()
    }))

  test('a server that goes away says so, and the next request goes to whoever comes after it', async () => {
    let sessions = 0
    const server = http2((stream, session) => {
      session.goaway()
      stream.respond({ ':status': 200, 'grpc-status': '8', 'retry-after': '3' }, END)
    })
    server.on('session', () => sessions++)
    await withServer(server, async (client) => {
      for (let i = 0; i < 3; i++) await assert.rejects(writing(client), unavailable)
    })
    assert.equal(sessions, 3)
  })

  test('a reply whose end is lost with its connection is asked for again at once', async () => {
    let calls = 0
    const server = http2((stream, session) => {
      if (++calls > 1) stream.respond({ ':status': 200, 'grpc-status': '3', 'grpc-message': 'no' }, END)
      else {
        stream.respond({ ':status': 200 })
        stream.write('half', () => session.destroy())
      }
    })
    await withServer(server, async (client) => {
      assert.deepEqual(await writing(client), { kind: 'refused', reason: 'no' })
    })
    assert.equal(calls, 2)
  })

  test('a stream that the server did not take is sent again at once', async () => {
    let calls = 0
    const server = http2((stream) => {
      if (++calls === 1) stream.close(7)
      else stream.respond({ ':status': 200, 'grpc-status': '3', 'grpc-message': 'no' }, END)
    })
    await withServer(server, async (client) => {
      assert.deepEqual(await writing(client), { kind: 'refused', reason: 'no' })
    })
    assert.equal(calls, 2)
  })

  test('another protocol behind the address is said at once, and harms nobody who asks again and again', async () => {
    const http1 = createHttp((_, response) => response.end('hello'))
    await withServer(http1, async (client) => {
      for (let i = 0; i < 5; i++)
        await assert.rejects(client.version(), { code: 'qdrant-url', message: /grpcUrl to its gRPC port/ })
      for (let i = 0; i < 5; i++) await assert.rejects(writing(client), unavailable)
    })
    const garbled = createTcp((socket) => {
      socket.on('error', () => {})
      socket.write(Buffer.from('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
    })
    await withServer(garbled, async (client) => {
      const errors = await Promise.all(Array.from({ length: 10 }, () => errorOf(writing(client))))
      for (const error of errors) assert.ok(error instanceof UnavailableError)
    })
  })

  test('a server that takes the connection and says nothing is given up in time, every time', () => {
    const silent = createTcp((socket) => socket.on('error', () => {}).resume())
    return withServer(
      silent,
      async (client) => {
        for (let i = 0; i < 3; i++) await assert.rejects(client.version(), unavailable)
      },
      TIMEOUT_MS / 3,
    )
  })

  test('whoever stops waits for nothing: what is under way ends, and nothing more is sent', () =>
    onGrpc(async ({ double, proxy, writer }) => {
      const stopped = writer()
      assert.deepEqual(await stopped.write(batchOf()), WRITTEN)
      double.faults.add(UPSERT, hang())
      const underWay = errorOf(stopped.write(batchOf()))
      await stopped.close()
      for (const error of [await underWay, await errorOf(stopped.write(batchOf()))])
        assert.equal((error as UnavailableError).code, 'vectors-closed')
      await eventually(() => proxy.open === 0)
    }))
})
