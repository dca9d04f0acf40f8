import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { UpsertPointsSchema, WriteOrderingType } from '@qdrant/js-client-grpc'
import fc from 'fast-check'
import { fence } from '../../../src/drivers/qdrant/fence.ts'
import {
  messageBytesMax,
  pointBytesMax,
  upsertMessage as writeMessage,
} from '../../../src/drivers/qdrant/grpc-upsert.ts'
import type { PointBatch } from '../../../src/drivers/qdrant/point-writer.ts'
import type { ServerName } from '../../../src/drivers/qdrant/server-names.ts'
import { upsertBody } from '../../../src/drivers/qdrant/upsert-body.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { A, B, pointOf, stubOf, unit } from '../../vectors/points.ts'
import { upsertBodyOf } from './double/grpc-messages.ts'

/** REST carries seven decimals of a vector of norm 1; float32 itself is finer up to 1. */
const REST_TOLERANCE = 5e-8 + 2 ** -24

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
const vector = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -4, max: 4 }), { minLength: 6, maxLength: 6 })
  .filter((values) => values.some((x) => Math.abs(x) > 1e-3))
const points: fc.Arbitrary<Point> = fc
  .record({
    user: text,
    tenant: text,
    segment: fc.option(text),
    lastEventAtMs: fc.option(fc.integer({ min: 0, max: 4e12 })),
    vectors: fc.dictionary(fc.constantFrom<string>(A, B, 'späte Käufe@ffffffff'), vector),
    isStub: fc.boolean(),
  })
  .map(({ user, vectors, isStub, ...payload }) => (isStub ? stubOf(user) : pointOf(user, vectors, payload)))
const batches: fc.Arbitrary<PointBatch> = fc.record({
  collection: fc.constantFrom('freshet_main_m1' as ServerName, 'prüfung-freshet_g_m' as ServerName),
  version: fc.record({ epoch: fc.maxSafeNat(), write: fc.maxSafeNat() }),
  writtenAtMs: fc.integer({ min: 0, max: 4e12 }),
  points: fc.array(points, { minLength: 1, maxLength: 8 }),
  onlyExisting: fc.boolean(),
})

function upsertMessage(batch: PointBatch, ordering: 'weak' | 'medium' | 'strong'): Buffer {
  return writeMessage(batch, ordering, Buffer.alloc(messageBytesMax(batch), 0xff))
}

/** As Qdrant's own messages read it. */
function read(message: Buffer) {
  const size = message.readUInt32BE(1)
  assert.deepEqual([message[0], size], [0, message.length - 5])
  return fromBinary(UpsertPointsSchema, message.subarray(5))
}

function bodyOf(message: ReturnType<typeof read>) {
  const body = upsertBodyOf(message)
  assert.ok('points' in body)
  return body
}

async function restBody(batch: PointBatch) {
  const chunks: Buffer[] = []
  for await (const chunk of upsertBody(batch)) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}

/** Without what REST leaves out where gRPC says nothing. */
const stated = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, inner) => inner ?? undefined))

describe('an upsert over gRPC', () => {
  test('says what the one over REST says, fence, payload and numbers', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (batch) => {
        const message = read(upsertMessage(batch, 'weak'))
        assert.equal(message.collectionName, batch.collection)
        assert.equal(message.wait, true)
        assert.equal(message.$unknown, undefined)
        const [grpc, rest] = [bodyOf(message), await restBody(batch)]
        assert.deepEqual(stated(grpc.update_filter), rest.update_filter)
        assert.equal(grpc.update_mode ?? undefined, rest.update_mode)
        assert.equal(grpc.points.length, rest.points.length)
        for (const [i, point] of grpc.points.entries()) {
          const { id, payload, vector: vectors } = rest.points[i]
          assert.deepEqual([point.id, point.payload], [id, payload])
          const own = point.vector as Record<string, number[]>
          assert.deepEqual(Object.keys(own).sort(), Object.keys(vectors).sort())
          for (const [name, values] of Object.entries(own))
            for (const [at, value] of values.entries())
              assert.ok(
                Math.abs(value - vectors[name][at]) <= REST_TOLERANCE,
                `${value} ${vectors[name][at]}`,
              )
        }
      }),
      { seed: 20261124, numRuns: 200 },
    )
  })

  test('is as long as was said, at most', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        const bytes = upsertMessage({ ...batch, points: [batch.points[0]!] }, 'strong').length
        assert.ok(bytes - 256 - batch.collection.length <= pointBytesMax(batch.points[0]!))
      }),
      { seed: 20261124, numRuns: 200 },
    )
    const vectors = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`i${i}@00000000`, unit(i % 6)]))
    const point = pointOf('u', vectors)
    // Rather too many bytes than too few, but no multiple: batches are cut by them.
    assert.ok(pointBytesMax(point) < 2_000)
  })

  test('a vector of norm 1 arrives bit by bit, any other scaled to norm 1', () => {
    const [one, two] = [Float32Array.of(0.6, 0.8), Float32Array.of(3e-10, 4e-10)]
    const point = {
      ...pointOf('u', {}),
      vectors: new Map([
        [A, one],
        [B, two],
      ]),
    } as Point
    const message = read(
      upsertMessage(
        { collection: 'c' as ServerName, version: { epoch: 1, write: 1 }, writtenAtMs: 0, points: [point] },
        'weak',
      ),
    )
    const { [A]: first, [B]: second } = bodyOf(message).points[0]!.vector as Record<string, number[]>
    assert.deepEqual(Float32Array.from(first!), one)
    for (const [i, x] of [0.6, 0.8].entries()) assert.ok(Math.abs(second![i]! - x) < 1e-6)
  })

  test('the ordering that is set goes with it', () => {
    const batch = {
      collection: 'c' as ServerName,
      version: { epoch: 1, write: 1 },
      writtenAtMs: 0,
      points: [],
    }
    const orderings = (['weak', 'medium', 'strong'] as const).map(
      (ordering) => read(upsertMessage(batch, ordering)).ordering?.type,
    )
    assert.deepEqual(orderings, [WriteOrderingType.Weak, WriteOrderingType.Medium, WriteOrderingType.Strong])
  })

  test('the largest versions are exact', () => {
    const version = { epoch: Number.MAX_SAFE_INTEGER, write: Number.MAX_SAFE_INTEGER }
    const batch = { collection: 'c' as ServerName, version, writtenAtMs: 0, points: [stubOf('u')] }
    const message = read(upsertMessage(batch, 'weak'))
    assert.deepEqual(stated(bodyOf(message).update_filter), stated(fence(version)))
    assert.equal(message.points[0]?.payload.epoch?.kind.value, BigInt(Number.MAX_SAFE_INTEGER))
  })

  test('numbers that are none are never sent: the server would store them and find them first', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const point = pointOf('u', { [A]: [bad, 0, 0, 0, 0, 1] })
      const batch = { collection: 'c' as ServerName, version: { epoch: 1, write: 1 }, writtenAtMs: 0 }
      assert.throws(() => upsertMessage({ ...batch, points: [point] }, 'weak'), { code: 'vector-not-finite' })
    }
  })
})
