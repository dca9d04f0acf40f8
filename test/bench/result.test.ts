/** What the benches' arithmetic and table promise. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditions } from '../../bench/conditions.ts'
import { type BenchResult, interleaved, keepsTarget, measurement, ratio, spread } from '../../bench/result.ts'
import { table } from '../../bench/table.ts'

test('the median of an even number of samples is the mean of the middle two', () => {
  assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4, repetitions: 4 })
  assert.throws(() => spread([]), RangeError)
})

test('a ratio is paired by repetition, so a slow repetition on both sides cancels', () => {
  const paired = ratio('same work', [10, 100, 20], [5, 50, 10], { atLeast: 2 })
  assert.deepEqual([paired.median, paired.min, paired.max], [2, 2, 2])
  assert.throws(() => ratio('uneven', [1], [1, 2], null), RangeError)
})

test('interleaved runs alternate the order, and the warm-up round is not counted', async () => {
  const order: string[] = []
  const run = (name: string) => () => order.push(name)
  const samples = await interleaved({ a: run('a'), b: run('b') }, 2)
  assert.deepEqual(order, ['b', 'a', 'a', 'b', 'b', 'a'])
  assert.deepEqual(samples, { a: [3, 6], b: [4, 5] })
})

test('conditions name the node that runs and the exact version of a package', () => {
  const { node, packages, cores } = conditions(['avsc'])
  assert.equal(node, process.version)
  assert.match(packages.avsc!, /^\d+\.\d+\.\d+/)
  assert.ok(cores >= 1)
})

test('the table says which targets were missed', () => {
  const result: BenchResult = {
    bench: 'sample',
    question: 'How fast is nothing?',
    conditions: { ...conditions(), commit: '0123456789abcdef', dirty: false },
    settings: { batch: 1_000 },
    measurements: [measurement('appended', 'events/s', [380_123, 379_000, 390_000])],
    ratios: [ratio('kept', [4], [2], { atLeast: 2 }), ratio('too much', [4], [2], { atMost: 1.5 })],
  }
  const text = table([result])
  assert.match(text, /\| sample \| kept \| 2 \| 2 to 2 \| at least 2 \|/)
  assert.match(text, /\| too much \| 2 \| 2 to 2 \| at most 1\.5: \*\*missed\*\* \|/)
  assert.match(text, /\| appended \| 380,000 events\/s \| 379,000 to 390,000 \| \|/)
  assert.match(text, /commit 0123456789; Node v24/)
  assert.deepEqual(result.ratios.map(keepsTarget), [true, false])
})
