/** What seeded draws promise: named streams, and the distributions they say. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../src/model/seeded-random.ts'

function draws<T>(count: number, next: () => T): T[] {
  return Array.from({ length: count }, next)
}

test('a stream is the same again under its name, and another under any other', () => {
  const first = new SeededRandom(7, 'ada', 3)
  const again = new SeededRandom(7, 'ada', 3)
  const numbers = draws(100, () => first.uniform())
  assert.deepEqual(
    draws(100, () => again.uniform()),
    numbers,
  )
  for (const other of [
    new SeededRandom(7, 'ada', 4),
    new SeededRandom('7', 'ada', 3),
    new SeededRandom(7, 'ada3'),
  ]) {
    assert.notEqual(other.uniform(), numbers[0])
  }
})

test('means and variances are those of the distributions, within five standard errors of 20,000 draws', () => {
  const random = new SeededRandom('moments')
  const n = 20_000
  const expectations: [string, () => number, number, number][] = [
    ['uniform', () => random.uniform(), 0.5, 1 / 12],
    ['normal', () => random.normal(), 0, 1],
    ['exponential', () => random.exponential(3), 3, 9],
    ['poisson', () => random.poisson(4), 4, 4],
    ['poisson of 0.2', () => random.poisson(0.2), 0.2, 0.2],
    ['integer 1..6', () => random.integer(1, 6), 3.5, 35 / 12],
  ]
  for (const [name, next, mean, variance] of expectations) {
    const seen = draws(n, next).reduce((sum, value) => sum + value, 0) / n
    assert.ok(Math.abs(seen - mean) < 5 * Math.sqrt(variance / n), `${name}: mean ${seen}, expected ${mean}`)
  }
})

test('weights are kept, and a weight of zero is never drawn', () => {
  const random = new SeededRandom('weights')
  const counts = [0, 0, 0, 0]
  for (let i = 0; i < 10_000; i++) counts[random.weighted([0, 3, 1, 0])]!++
  assert.equal(counts[0], 0)
  assert.equal(counts[3], 0)
  // Five standard errors of a binomial share of 3/4.
  assert.ok(Math.abs(counts[1]! - 7_500) < 5 * Math.sqrt(10_000 * 0.1875), String(counts))
})
