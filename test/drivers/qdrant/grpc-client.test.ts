import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UnavailableError } from '../../../src/errors.ts'
import type { VectorName } from '../../../src/instructions/instruction.ts'
import { A, pointOf, unit } from '../../vectors/points.ts'
import { answer, reportStatus } from './double/faults.ts'
import { batchOf, COLLECTION, errorOf, onGrpc, UPSERT, unavailable } from './grpc-scene.ts'

const WRITTEN = { kind: 'written' }

describe('answers over gRPC', () => {
  test('what the server says it completed is written', () =>
    onGrpc(async ({ double, write }) => {
      assert.deepEqual(await write(), WRITTEN)
      assert.equal(double.store.get(COLLECTION).points.size, 1)
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
})
