import assert from 'node:assert/strict'
import type { ServerHttp2Stream } from 'node:http2'
import { describe, test } from 'node:test'
import { GrpcClient } from '../../../src/drivers/qdrant/grpc-client.ts'
import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { WriteOutcome } from '../../../src/drivers/qdrant/point-writer.ts'
import { UnavailableError } from '../../../src/errors.ts'
import type { VectorName } from '../../../src/instructions/instruction.ts'
import { A, pointOf, unit } from '../../vectors/points.ts'
import { answer, hang, reportStatus } from './double/faults.ts'
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
import { settingsOf } from './settings-of.ts'

/** A reply without a message, its status in the head. */
function status(code: number, message = '') {
  const headers = { 'content-type': 'application/grpc', 'grpc-status': `${code}` }
  return http2((stream) =>
    stream.respond({ ':status': 200, ...headers, 'grpc-message': encodeURIComponent(message) }, END),
  )
}

describe('answers over gRPC', () => {
  test('what the server says it completed is written', () =>
    onGrpc(async ({ double, write }) => {
      assert.deepEqual(await write(), WRITTEN)
      assert.equal(double.store.get(COLLECTION).points.size, 1)
    }))

  test('what may only replace writes nothing where nothing is', () =>
    onGrpc(async ({ double, write }) => {
      assert.deepEqual(await write(undefined, { onlyExisting: true }), WRITTEN)
      assert.equal(double.store.get(COLLECTION).points.size, 0)
    }))

  test('writes at one time keep to their own bytes, and so do those after one that was given up', () =>
    onGrpc(async ({ double, writer }) => {
      const hasty = writer({ timeoutMs: 700 })
      const users = (round: number) =>
        Array.from({ length: 6 }, (_, i) => [pointOf(`u${round}-${i}`, { [A]: unit(i) })])
      for (let round = 0; round < 3; round++) {
        double.faults.add(UPSERT, hang())
        const outcomes = await Promise.allSettled(users(round).map((points) => hasty.write(batchOf(points))))
        assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5)
      }
      const stored = [...double.store.get(COLLECTION).points.values()]
      assert.equal(stored.length, 15)
      for (const { payload, vectors } of stored) {
        const axis = Number(`${payload.user_id}`.at(-1))
        assert.deepEqual([...vectors.get(A)!], unit(axis))
      }
    }))

  test('what it only acknowledged, or waited for in vain, is not done', () =>
    onGrpc(async ({ double, write }) => {
      for (const status of ['acknowledged', 'wait_timeout'] as const) {
        double.faults.add(UPSERT, reportStatus(status))
        const error = await errorOf(write())
        assert.ok(error instanceof UnavailableError)
        assert.match(error.message, new RegExp(`expected status completed, got ${status}`))
      }
      assert.deepEqual(await write(), WRITTEN)
    }))

  test('a server in trouble is asked again, whichever code it says so with', () =>
    onGrpc(async ({ double, write }) => {
      for (const status of [408, 429, 500, 502, 503, 504]) {
        double.faults.add(UPSERT, answer(status))
        await assert.rejects(write(), unavailable, `${status}`)
      }
      assert.deepEqual(await write(), WRITTEN)
    }))

  test('how long to wait is read whole, be it seconds or a date', () =>
    onGrpc(async ({ double, write }) => {
      const inHalfAMinute = new Date(1_700_000_030_000).toUTCString()
      for (const [value, expectedMs] of [
        ['37', 37_000],
        [inHalfAMinute, 30_000],
        ['soon', 1_000],
      ] as const)
        for (const status of [429, 503]) {
          double.faults.add(UPSERT, answer(status, { headers: { 'retry-after': value } }))
          const error = await errorOf(write())
          assert.ok(error instanceof UnavailableError)
          assert.equal(error.retryAfterMs, expectedMs, `${status} ${value}`)
        }
    }))

  test('a collection that is not there, another dimension and an unknown name are named', () =>
    onGrpc(async ({ write }) => {
      await assert.rejects(write(undefined, { collection: 'freshet_g_none' as never }), {
        code: 'collection-missing',
        name: 'ConfigError',
      })
      await assert.rejects(write([pointOf('u', { [A]: [1, 0] })]), { code: 'vector-dimension' })
      await assert.rejects(write([pointOf('u', { ['other@00000000' as VectorName]: unit(0) })]), {
        code: 'vector-name-unknown',
      })
    }))

  test('a request that is refused may be so for one of its points', () =>
    onGrpc(async ({ double, write }) => {
      double.faults.add(UPSERT, answer(400))
      assert.equal((await write()).kind, 'refused')
      const half = await write([pointOf('u', { [A]: unit(0) }, { segment: '\ud800' })])
      assert.deepEqual(half, { kind: 'refused', reason: 'half a character in a text' })
      assert.equal(double.store.get(COLLECTION).points.size, 0)
    }))

  test('more points than strict mode takes at once are too many for one request', () =>
    onGrpc(async ({ double, write }) => {
      double.store.get(COLLECTION).update({
        strict_mode_config: { enabled: true, upsert_max_batchsize: 2 },
      })
      const three = Array.from({ length: 3 }, (_, i) => pointOf(`u${i}`, { [A]: unit(i) }))
      assert.equal((await write(three)).kind, 'too-large')
      assert.deepEqual(await write(three.slice(1)), WRITTEN)
    }))

  test('a key is needed where the server wants one, and one that may only read does not do', () =>
    onGrpc(
      async ({ writer }) => {
        const write = (apiKey: string | null) => writer({ apiKey }).write(batchOf())
        assert.deepEqual(await write('full'), WRITTEN)
        await assert.rejects(write(null), { code: 'qdrant-key', name: 'ConfigError' })
        await assert.rejects(write('wrong'), { code: 'qdrant-key' })
        await assert.rejects(write('read'), { name: 'ConfigError', code: /^qdrant-key-(read-only|rights)$/ })
      },
      { apiKey: 'full', readOnlyApiKey: 'read' },
    ))

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
      withServer(status(code, message), async (client) => {
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
      await withServer(server, async (client) => {
        const outcome = await writing(client).catch((error: { code: string }) => error)
        assert.equal('kind' in outcome ? outcome.kind : outcome.code, expected)
        if (outcome instanceof UnavailableError && code === 502) assert.equal(outcome.retryAfterMs, 12_000)
      })
    }
  })

  test('a path in the address goes before every call', async () => {
    const paths: unknown[] = []
    const server = http2((stream, _, headers) => {
      paths.push(headers[':path'])
      stream.respond({ ':status': 200, 'grpc-status': '3' }, END)
    })
    await withServer(server, async (_, url) => {
      const client = new GrpcClient({ grpcUrl: `${url}/some/path/`, apiKey: null, timeoutMs: 5_000 }, clock)
      await writing(client)
      await client.close()
    })
    assert.deepEqual(paths, [`/some/path/${UPSERT}`])
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
      await withServer(http2(rule), (client) => assert.rejects(writing(client), unavailable))
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
      await withServer(old, async (_, grpcUrl) => {
        await assert.rejects(openQdrant(settingsOf(double.url, { grpcUrl }), clock), {
          code: 'qdrant-version',
          message: /got 1\.14\.0/,
        })
      })
    }))
})
