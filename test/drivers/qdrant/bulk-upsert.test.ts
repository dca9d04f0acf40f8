import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { requests, upsertAll } from '../../../src/drivers/qdrant/bulk-upsert.ts'
import type { PointBatch, PointWriter, WriteOutcome } from '../../../src/drivers/qdrant/point-writer.ts'
import type { ServerName } from '../../../src/drivers/qdrant/server-names.ts'
import { ConfigError, UnavailableError } from '../../../src/errors.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { idOf, stubOf } from '../../vectors/points.ts'

const LIMITS = { requestPointsMax: 64, requestBytesMax: 1_000_000 }
const version = { epoch: 3, write: 9 }
const unavailable = () => new UnavailableError('qdrant-unavailable', 'down')
const pointsOf = (count: number) => Array.from({ length: count }, (_, i) => stubOf(`u${i}`))
const batchOf = (points: readonly Point[]): PointBatch => ({
  collection: 'freshet_main_m1' as ServerName,
  version,
  writtenAtMs: 5,
  points,
})

/** A writer that answers by a rule, and remembers what went through. */
function writerOf(rule: (points: readonly Point[]) => WriteOutcome) {
  const sent: PointBatch[] = []
  const written: Point[] = []
  const writer: PointWriter = {
    sizeBytes: () => 100,
    async write(batch) {
      sent.push(batch)
      const outcome = rule(batch.points)
      if (outcome.kind === 'written') written.push(...batch.points)
      return outcome
    },
    async close() {},
  }
  return { writer, sent, written }
}

const WRITTEN: WriteOutcome = { kind: 'written' }
const TOO_LARGE: WriteOutcome = { kind: 'too-large', reason: 'JSON payload is larger than allowed' }
const REFUSED: WriteOutcome = { kind: 'refused', reason: 'Format error' }
const never = async () => assert.fail('nobody is to be asked')
const nothingWrong = async () => {}

test('exactly the bad points are found, whichever they are, and all others are written under the one version', async () => {
  const draws = fc.uniqueArray(fc.nat(39), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(draws, fc.integer({ min: 1, max: 40 }), async (bad, requestPointsMax) => {
      const badIds = new Set(bad.map((i) => idOf(`u${i}`)))
      const { writer, sent, written } = writerOf((points) =>
        points.some(({ id }) => badIds.has(id)) ? REFUSED : WRITTEN,
      )
      const points = pointsOf(40)
      const refused = await upsertAll(writer, batchOf(points), { ...LIMITS, requestPointsMax }, nothingWrong)
      assert.deepEqual(new Set(refused.map(({ id }) => id)), badIds)
      for (const { error } of refused)
        assert.deepEqual([error.name, error.code], ['RecordError', 'point-refused'])
      assert.equal(written.length + badIds.size, 40)
      for (const batch of sent) assert.deepEqual([batch.version, batch.writtenAtMs], [version, 5])
      // A bad point costs at most two requests a halving.
      assert.ok(
        sent.length <= Math.ceil(40 / requestPointsMax) + badIds.size * 2 * 6,
        `${sent.length} requests`,
      )
    }),
    { seed: 20261126, numRuns: 100 },
  )
})

test('where the server refuses whatever it gets, no user is blamed', async () => {
  const { writer, sent } = writerOf(() => REFUSED)
  const everything = async () => {
    throw new ConfigError('qdrant-refused', 'the server takes nothing')
  }
  await assert.rejects(upsertAll(writer, batchOf(pointsOf(40)), LIMITS, everything), {
    code: 'qdrant-refused',
  })
  assert.equal(sent.length, 1)
})

test('whether the server takes anything is asked at the first refusal, and before each point is blamed', async () => {
  const { writer } = writerOf(() => REFUSED)
  let asked = 0
  const ask = async () => void asked++
  const refused = await upsertAll(writer, batchOf(pointsOf(8)), { ...LIMITS, requestPointsMax: 4 }, ask)
  assert.equal(refused.length, 8)
  assert.equal(asked, 1 + 8)
})

test('where a collection is full after a bad point, nobody else is blamed for it', async () => {
  const bad = idOf('u1')
  let isFull = false
  const { writer } = writerOf((points) => (isFull || points.some(({ id }) => id === bad) ? REFUSED : WRITTEN))
  const asked: boolean[] = []
  const ask = async () => {
    asked.push(isFull)
    if (isFull) throw new ConfigError('qdrant-refused', 'Max points count limit of 1000 reached!')
    isFull = asked.length === 2
  }
  await assert.rejects(upsertAll(writer, batchOf(pointsOf(8)), LIMITS, ask), { code: 'qdrant-refused' })
  assert.deepEqual(asked, [false, false, true])
})

test('a body that is too large is halved until it fits', async () => {
  const { writer, written } = writerOf((points) => (points.length > 5 ? TOO_LARGE : WRITTEN))
  assert.deepEqual(await upsertAll(writer, batchOf(pointsOf(20)), LIMITS, never), [])
  assert.equal(written.length, 20)
})

test('a limit below a single point stops the program: no user is parked for what all of them would be', async () => {
  const { writer, sent } = writerOf(() => TOO_LARGE)
  await assert.rejects(upsertAll(writer, batchOf(pointsOf(8)), LIMITS, never), { code: 'qdrant-body-limit' })
  assert.equal(sent.length, 4)
})

test('a server that closes while it reads gets smaller bodies; one that closes on a single point is down', async () => {
  const error = unavailable()
  const picky = writerOf((points) => (points.length > 4 ? { kind: 'cut-off', error } : WRITTEN))
  assert.deepEqual(await upsertAll(picky.writer, batchOf(pointsOf(16)), LIMITS, never), [])
  assert.equal(picky.written.length, 16)
  const dead = writerOf(() => ({ kind: 'cut-off', error }))
  await assert.rejects(upsertAll(dead.writer, batchOf(pointsOf(64)), LIMITS, never), error)
  // 64, 32, ... 1, and then the end: not once for every point.
  assert.equal(dead.sent.length, 7)
})

test('what fails midway fails as a whole', async () => {
  const error = unavailable()
  let count = 0
  const { writer } = writerOf(() => {
    if (++count === 3) throw error
    return WRITTEN
  })
  await assert.rejects(
    upsertAll(writer, batchOf(pointsOf(40)), { ...LIMITS, requestPointsMax: 10 }, never),
    error,
  )
  assert.equal(count, 3)
})

test('requests keep both limits, lose no point and keep the order; a point above the limit goes alone', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 150 }), { maxLength: 60 })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 10 }), (drawn, requestPointsMax) => {
      const points = pointsOf(drawn.length)
      const size = new Map(points.map(({ id }, i) => [id, drawn[i]!]))
      const sizeBytes = ({ id }: Point) => size.get(id)!
      const made = requests({ sizeBytes }, points, { requestPointsMax, requestBytesMax: 100 })
      assert.deepEqual(made.flat(), points)
      for (const request of made) {
        assert.ok(request.length >= 1 && request.length <= requestPointsMax)
        const bytes = request.reduce((sum, point) => sum + sizeBytes(point), 0)
        assert.ok(bytes <= 100 || request.length === 1)
      }
    }),
    { seed: 20261127 },
  )
})
