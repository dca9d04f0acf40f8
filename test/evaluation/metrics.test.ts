/** Holds AUC and the ranking measures to their definitions, over whole families of inputs. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BugError } from '../../src/errors.ts'
import { binaryQuality, hitAt, ndcgAt, recallAt, reciprocalRank } from '../../src/evaluation/metrics.ts'

/** Scores from a small set, so that ties are common. */
const scored = fc.array(fc.record({ label: fc.constantFrom(0, 1), score: fc.integer({ min: -3, max: 3 }) }), {
  maxLength: 30,
})

test('AUC is the share of pairs that stand in the right order, ties counted half', () => {
  fc.assert(
    fc.property(scored, (rows) => {
      const { auc } = binaryQuality(
        rows.map(({ label }) => label),
        rows.map(({ score }) => score),
      )
      const ones = rows.filter(({ label }) => label === 1)
      const zeros = rows.filter(({ label }) => label === 0)
      const wins = ones.flatMap((one) => zeros.map((zero) => (Math.sign(one.score - zero.score) + 1) / 2))
      if (wins.length === 0) assert.equal(auc, null)
      else assert.ok(Math.abs(auc! - wins.reduce((sum, win) => sum + win, 0) / wins.length) < 1e-12)
    }),
    { seed: 37, numRuns: 300 },
  )
})

test('KS is the largest distance of the two distributions at any threshold', () => {
  fc.assert(
    fc.property(scored, (rows) => {
      const { ks } = binaryQuality(
        rows.map(({ label }) => label),
        rows.map(({ score }) => score),
      )
      const of = (wanted: number) => rows.filter(({ label }) => label === wanted)
      if (of(0).length === 0 || of(1).length === 0) return assert.equal(ks, null)
      const share = (wanted: number, at: number) =>
        of(wanted).filter(({ score }) => score <= at).length / of(wanted).length
      const distances = rows.map(({ score }) => Math.abs(share(1, score) - share(0, score)))
      assert.ok(Math.abs(ks! - Math.max(...distances)) < 1e-12)
    }),
    { seed: 41, numRuns: 300 },
  )
})

test('the order of the rows does not matter', () => {
  const labels = [1, 0, 1, 1, 0]
  const scores = [0.5, 0.5, 0.1, 0.9, 0.4]
  const reversed = binaryQuality(labels.toReversed(), scores.toReversed())
  assert.deepEqual(binaryQuality(labels, scores), reversed)
})

test('an ideal ranking scores 1, a ranking without the relevant 0, and nothing relevant is no error', () => {
  const relevant = new Set(['a', 'b'])
  assert.equal(ndcgAt(['b', 'a', 'c'], relevant, 3), 1)
  assert.equal(recallAt(['b', 'a', 'c'], relevant, 2), 1)
  assert.deepEqual(
    [hitAt, recallAt, ndcgAt].map((metric) => metric(['c'], relevant, 1)),
    [0, 0, 0],
  )
  assert.deepEqual(
    [hitAt, recallAt, ndcgAt].map((metric) => metric(['c'], new Set(), 1)),
    [0, 0, 0],
  )
  assert.equal(reciprocalRank([], relevant), 0)
})

test('what is no label, no score or no ranking is a bug of the caller', () => {
  assert.throws(() => binaryQuality([1], []), BugError)
  assert.throws(() => binaryQuality([2], [1]), BugError)
  assert.throws(() => binaryQuality([1], [Number.NaN]), BugError)
  assert.throws(() => recallAt(['a', 'a'], new Set(['a']), 2), BugError)
  assert.throws(() => recallAt(['a'], new Set(['a']), 0.5), BugError)
})
