/** A run over a set without cases must not look like one that passed. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GOLDEN_DIR, goldenNames, isOwnSet, KINDS } from './golden-files.ts'

const kinds = Object.keys(KINDS) as (keyof typeof KINDS)[]

if (isOwnSet)
  for (const kind of kinds)
    test(`the golden set has cases: ${kind}`, () => assert.ok(goldenNames(kind).length > 0))
else
  test('the golden set has cases of some kind', () => {
    const count = kinds.reduce((sum, kind) => sum + goldenNames(kind).length, 0)
    const patterns = Object.values(KINDS).map(({ source }) => source)
    assert.ok(count > 0, `expected in ${GOLDEN_DIR} a file named like ${patterns.join(' or ')}, got none`)
  })
