/** Holds the tabular vector to rule 5 of the bundle format: order, statistics, indicators, and refusal of what is no number. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestError } from '../../src/errors.ts'
import { standardise, tabularInput } from '../../src/model/tabular-input.ts'

const tabular = { features: ['age', 'visits', 'spend'], mean: [40, 2, -1], std: [10, 4, 0.5], tokens: 1 }

test('features stand in the order of the manifest; those that the snapshot lacks are missing', () => {
  const snapshot = {
    featureSet: 'a@1',
    numeric: { spend: 0, age: 30, other: 9 },
    categorical: { visits: 'x' },
  }
  assert.deepEqual(tabularInput(tabular.features, snapshot), [30, null, 0])
  assert.deepEqual(tabularInput(['toString'], snapshot), [null])
})

test('values are standardised, missing ones are 0 with an indicator of 1, indicators are left as they are', () => {
  assert.deepEqual([...standardise(tabular, [30, null, 0])], [-1, 0, 2, 0, 1, 0])
  assert.deepEqual([...standardise(tabular, [null, null, null])], [0, 0, 0, 1, 1, 1])
})

test('a wrong count, NaN and infinities are refused', () => {
  for (const raw of [
    [1, 2],
    [1, 2, 3, 4],
    [1, Number.NaN, 3],
    [1, 2, Infinity],
  ]) {
    assert.throws(() => standardise(tabular, raw), RequestError)
  }
})
