import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import {
  createServer as createHttp2,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { GrpcClient } from '../../../src/drivers/qdrant/grpc-client.ts'
import { GrpcConnection } from '../../../src/drivers/qdrant/grpc-connection.ts'
import { GrpcPointWriter } from '../../../src/drivers/qdrant/grpc-point-writer.ts'
import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { WriteOutcome } from '../../../src/drivers/qdrant/point-writer.ts'
import { UnavailableError } from '../../../src/errors.ts'
import { A, pointOf, unit } from '../../vectors/points.ts'
import { cut, hang, hold } from './double/faults.ts'
import { startFaultyProxy } from './faulty-proxy.ts'
import { batchOf, COLLECTION, clock, errorOf, onGrpc, UPSERT, unavailable } from './grpc-scene.ts'
import { settingsOf } from './settings-of.ts'

const HEALTH = 'qdrant.Qdrant/HealthCheck'
const WRITTEN = { kind: 'written' }
/** Long enough for a loaded machine to answer, short enough to wait for in vain. */
const TIMEOUT_MS = 300

const END = { endStream: true }

async function eventually(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !holds(); turn++) await new Promise(setImmediate)
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

/** A server of another kind, and a client of it. */
async function before(
  server: Server,
  work: (client: GrpcClient, url: string) => Promise<void>,
  timeoutMs = 5_000,
): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new GrpcClient({ grpcUrl: url, apiKey: null, timeoutMs }, clock)
  try {
    await work(client, url)
  } finally {
    await client.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

/** Speaks HTTP/2 and answers every call by the rule. */
function http2(
  rule: (stream: ServerHttp2Stream, session: ServerHttp2Session) => void,
  settings: Settings = {},
): Server {
  const server = createHttp2({ settings })
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {})
    rule(stream, stream.session as ServerHttp2Session)
  })
  server.on('sessionError', () => {})
  return server
}

/** A reply without a message, its status in the head. */
function status(code: number, message = '') {
  const headers = { 'content-type': 'application/grpc', 'grpc-status': `${code}` }
  return http2((stream) =>
    stream.respond({ ':status': 200, ...headers, 'grpc-message': encodeURIComponent(message) }, END),
  )
}

const writing = (client: GrpcClient) => new GrpcPointWriter(client, 'weak').write(batchOf())

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
    await before(server, async (_, url) => {
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
    await before(server, async (client) => {
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
    await before(server, async (client) => {
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
    await before(server, async (client) => {
      assert.deepEqual(await writing(client), { kind: 'refused', reason: 'no' })
    })
    assert.equal(calls, 2)
  })

  const codes: [code: number, message: string, expected: WriteOutcome['kind'] | string][] = [
    [1, 'cancelled', 'qdrant-unavailable'],
    [2, 'unknown', 'qdrant-unavailable'],
    [3, 'Wrong input: Vector dimension error: expected dim: 4, got 2', 'vector-dimension'],
    [3, 'Validation error in body: points', 'refused'],
    [4, 'Timeout: too slow', 'qdrant-unavailable'],
    [5, 'Not found: Collection `x` doesn’t exist', 'refused'],
    [5, "Not found: Collection `x` doesn't exist!", 'collection-missing'],
    [7, 'Forbidden: Write access to collection x is required', 'qdrant-key-read-only'],
    [8, 'Insufficient storage: disk full', 'qdrant-unavailable'],
    [8, 'Write rate limit: request larger than rate limiter capacity', 'too-large'],
    [9, 'Storage locked: for a snapshot', 'qdrant-unavailable'],
    [9, 'Pre-condition failure: not yet', 'qdrant-unavailable'],
    [10, 'aborted', 'qdrant-unavailable'],
    [11, 'decoded message length too large: found 9 bytes, the limit is: 5 bytes', 'too-large'],
    [12, '', 'qdrant-refused'],
    [13, 'Service internal error: äöü', 'qdrant-unavailable'],
    [14, 'Shard temporarily unavailable', 'qdrant-unavailable'],
    [15, 'Checksum mismatch', 'qdrant-unavailable'],
    [16, 'Invalid API key or JWT', 'qdrant-key'],
    [99, 'from the future', 'qdrant-unavailable'],
  ]
  for (const [code, message, expected] of codes)
    test(`code ${code} with “${message}” means ${expected}`, () =>
      before(status(code, message), async (client) => {
        const outcome = await writing(client).catch((error: { code: string; message: string }) => error)
        assert.equal('kind' in outcome ? outcome.kind : outcome.code, expected)
        // The server's own words, decoded, are what somebody will read.
        const words = 'kind' in outcome ? ('reason' in outcome ? outcome.reason : '') : outcome.message
        assert.ok(words.includes(message), words)
      }))

  test('what answers instead of the server is told by the status of HTTP', async () => {
    const proxies: [number, Record<string, string>, string][] = [
      [413, {}, 'too-large'],
      [502, { 'retry-after': '12' }, 'qdrant-unavailable'],
      [404, {}, 'qdrant-unavailable'],
      [401, {}, 'qdrant-key'],
      [301, { location: 'https://elsewhere' }, 'qdrant-url'],
    ]
    for (const [code, headers, expected] of proxies) {
      const server = http2((stream) => {
        stream.respond({ ':status': code, 'content-type': 'text/html', ...headers })
        stream.end('<html>'.repeat(50_000))
      })
      await before(server, async (client) => {
        const outcome = await writing(client).catch((error: { code: string }) => error)
        assert.equal('kind' in outcome ? outcome.kind : outcome.code, expected)
        if (outcome instanceof UnavailableError && code === 502) assert.equal(outcome.retryAfterMs, 12_000)
      })
    }
  })

  test('a reply that is cut short, or is no message, is no answer', async () => {
    const grpc = { ':status': 200, 'content-type': 'application/grpc' }
    const rules: ((stream: ServerHttp2Stream) => void)[] = [
      (stream) => stream.respond(grpc, END),
      (stream) => {
        stream.respond(grpc)
        stream.write(Buffer.alloc(7))
        stream.close(2)
      },
      ...[Buffer.alloc(0), Buffer.alloc(3), Buffer.from([0, 0, 0, 0, 2, 10, 90])].map(
        (body) => (stream: ServerHttp2Stream) => {
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
          stream.respond(grpc, { waitForTrailers: true })
          stream.end(body)
        },
      ),
    ]
    for (const rule of rules)
      await before(http2(rule), (client) => assert.rejects(writing(client), unavailable))
  })

  test('another protocol behind the address is said at once, and harms nobody who asks again and again', async () => {
    const http1 = createHttp((_, response) => response.end('hello'))
    await before(http1, async (client) => {
      for (let i = 0; i < 5; i++)
        await assert.rejects(client.version(), { code: 'qdrant-url', message: /grpcUrl to its gRPC port/ })
      for (let i = 0; i < 5; i++) await assert.rejects(writing(client), unavailable)
    })
    const garbled = createTcp((socket) => {
      socket.on('error', () => {})
      socket.write(Buffer.from('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
    })
    await before(garbled, async (client) => {
      const errors = await Promise.all(Array.from({ length: 10 }, () => errorOf(writing(client))))
      for (const error of errors) assert.ok(error instanceof UnavailableError)
    })
  })

  test('a server that takes the connection and says nothing is given up in time, every time', () => {
    const silent = createTcp((socket) => socket.on('error', () => {}).resume())
    return before(
      silent,
      async (client) => {
        for (let i = 0; i < 3; i++) await assert.rejects(client.version(), unavailable)
      },
      TIMEOUT_MS / 3,
    )
  })

  test('the store opens on a server of REST and gRPC, and not where the second address is the first', () =>
    onGrpc(async ({ double }) => {
      const { url, grpcUrl } = double
      const store = await openQdrant(settingsOf(url, { grpcUrl }), clock)
      await store.close()
      await assert.rejects(openQdrant(settingsOf(url, { grpcUrl: url }), clock), { code: 'qdrant-url' })
      await assert.rejects(openQdrant(settingsOf(url, { grpcUrl: 'qdrant:6334' }), clock), {
        code: 'qdrant-url',
        message: /http:\/\/host:6334 .*vectors\.qdrant\.grpcUrl/,
      })
      const remote = { grpcUrl: 'http://qdrant.example:6334', apiKey: 'hunter2' }
      await assert.rejects(openQdrant(settingsOf(url, remote), clock), {
        code: 'qdrant-secret-in-clear',
        message: /^(?!.*hunter2)/s,
      })
    }))

  test('an older server over gRPC than over REST is found before anything is written', () =>
    onGrpc(async ({ double }) => {
      const head = { ':status': 200, 'content-type': 'application/grpc' }
      const version = Buffer.from('1.14.0')
      const old = http2((stream) => {
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.respond(head, { waitForTrailers: true })
        stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, 8, 18, 6]), version]))
      })
      await before(old, async (_, grpcUrl) => {
        await assert.rejects(openQdrant(settingsOf(double.url, { grpcUrl }), clock), {
          code: 'qdrant-version',
          message: /got 1\.14\.0/,
        })
      })
    }))

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
