import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fence } from '../../../src/drivers/qdrant/fence.ts'
import { toServerPayload } from '../../../src/drivers/qdrant/point-payload.ts'
import type { PointBatch } from '../../../src/drivers/qdrant/point-writer.ts'
import type { ServerName } from '../../../src/drivers/qdrant/server-names.ts'
import { pointBytesMax, upsertBody, writeNumbers } from '../../../src/drivers/qdrant/upsert-body.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { A, B, pointOf, stubOf, unit } from '../../vectors/points.ts'

/** Half of the last of seven decimals, and float64's own rounding on top. */
const ROUNDING = 5e-8 + 1e-15

const version = { epoch: 1_795_523_227, write: 42 }
const batchOf = (points: readonly Point[]): PointBatch => ({
  collection: 'freshet_main_m1' as ServerName,
  version,
  writtenAtMs: 1_700_000_000_000,
  points,
})

async function slicesOf(points: readonly Point[]): Promise<Buffer[]> {
  const slices: Buffer[] = []
  for await (const slice of upsertBody(batchOf(points))) slices.push(slice)
  return slices
}

function read(vector: Float32Array): number[] {
  const out = new Uint8Array(vector.length * 11)
  return JSON.parse(`[${Buffer.from(out.subarray(0, writeNumbers(out, 0, vector))).toString('latin1')}]`)
}

function norm(vector: ArrayLike<number>): number {
  let squares = 0
  for (let i = 0; i < vector.length; i++) squares += vector[i]! ** 2
  return Math.sqrt(squares)
}

test('every number of a vector of norm 1 arrives within 5e-8', () => {
  const vectors = fc
    .float32Array({ minLength: 1, maxLength: 64, noNaN: true, noDefaultInfinity: true, min: -1, max: 1 })
    .filter((vector) => norm(vector) > 1e-3)
    .map((vector) => vector.map((x) => x / norm(vector)))
  fc.assert(
    fc.property(vectors, (vector) => {
      const numbers = read(vector)
      assert.equal(numbers.length, vector.length)
      // Whether it counts as normalised or is scaled once more, by less than 1 in 10^6.
      for (const [i, x] of numbers.entries())
        assert.ok(
          Math.abs(x - vector[i]!) <= ROUNDING + 1e-6 * Math.abs(vector[i]!),
          `${vector[i]} became ${x}`,
        )
    }),
    { seed: 20261125, numRuns: 500 },
  )
})

test('a vector that is normalised already is rounded and nothing else', () => {
  const vector = Float32Array.from([0.6, -0.8, 0, 1e-8, -4.9e-8, 5.1e-8])
  assert.deepEqual(read(vector), [0.6, -0.8, 0, 0, 0, 1e-7])
  assert.deepEqual(read(Float32Array.from(unit(2))), unit(2))
})

test('a vector of any norm keeps its direction, where the server would take a short one for zero', () => {
  for (const scale of [1e-40, 1e-10, 1e-4, 3, 1e10, 1e37]) {
    const numbers = read(Float32Array.from([3 * scale, -4 * scale]))
    // Below 1e-38 float32 itself has few digits left.
    const tolerance = scale < 1e-38 ? 1e-2 : 1e-6
    assert.ok(
      Math.abs(numbers[0]! - 0.6) < tolerance && Math.abs(numbers[1]! + 0.8) < tolerance,
      `${numbers}`,
    )
  }
  assert.deepEqual(read(new Float32Array(3)), [0, 0, 0])
})

test('the body is what JSON.stringify would make, for every mix of points', async () => {
  const strange = pointOf('"\\ \u2028 ü 😀', { [A]: unit(0), [B]: [0.6, 0.8, 0, 0, 0, 0] }, { segment: '\n' })
  const points = [stubOf('u0'), strange, stubOf('u2'), pointOf('u3', {}), pointOf('u4', { [B]: unit(1) })]
  const body = JSON.parse(Buffer.concat(await slicesOf(points)).toString())
  assert.deepEqual(body, {
    update_filter: fence(version),
    points: points.map((point) => ({
      id: point.id,
      payload: toServerPayload(point, version, 1_700_000_000_000),
      vector:
        point.kind === 'stub'
          ? {}
          : Object.fromEntries([...point.vectors].map(([name, vector]) => [name, Array.from(vector, round)])),
    })),
  })
})

const round = (x: number) => Math.round(x * 1e7) / 1e7

test('no slice holds the event loop for more than a few milliseconds’ worth of numbers, and others go between', async () => {
  const wide = Array.from({ length: 896 }, (_, i) => (i === 0 ? 1 : 0))
  const points = Array.from({ length: 300 }, (_, i) => pointOf(`u${i}`, { [A]: wide, [B]: wide }))
  let turns = 0
  let isDone = false
  const count = () => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const slices = await slicesOf(points)
  isDone = true
  const total = slices.reduce((sum, slice) => sum + slice.length, 0)
  assert.ok(total > 300 * 2 * 896 * 10)
  // 65,536 numbers and the point that goes beyond, of 11 bytes each, and 500 for what else a point has.
  for (const { length } of slices) assert.ok(length <= (65_536 + 2 * 896) * 11 + 64 * 500, `${length}`)
  assert.ok(turns >= slices.length - 3, `${turns} turns in ${slices.length} slices`)
})

test('a point is never larger than it is taken for', async () => {
  const frame = Buffer.concat(await slicesOf([])).length
  const points = [
    stubOf('ü'.repeat(200)),
    pointOf('u1', { [A]: [-0.1234567, -1, 0, 0, 0, 0], [B]: unit(0) }, { segment: '"'.repeat(500) }),
    pointOf('u2', {}),
  ]
  for (const point of points) {
    const bytes = Buffer.concat(await slicesOf([point])).length - frame
    assert.ok(bytes <= pointBytesMax(point), `${bytes} > ${pointBytesMax(point)}`)
    assert.ok(pointBytesMax(point) < bytes + 200)
  }
})
