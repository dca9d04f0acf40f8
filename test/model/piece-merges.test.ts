/** Holds the learning of pieces to a case worked by hand, and to independence of the order of its input. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { learnPieces } from '../../src/model/piece-merges.ts'

const join = (left: string, right: string) => left + right
const word = (text: string, count: number) => ({ symbols: [...text], count })

test('the commonest neighbours are joined first, by hand: low x5, lower x2, newest x6, widest x3', () => {
  const words = [word('low', 5), word('lower', 2), word('newest', 6), word('widest', 3)]
  const { merges, pieces } = learnPieces(words, { mergesMax: 5, pairCountMin: 2, join })
  // e+s and s+t both occur 9 times; the smaller text decides. Then es+t 9, l+o and o+w 7, lo+w 7.
  assert.deepEqual(merges, [
    ['e', 's'],
    ['es', 't'],
    ['l', 'o'],
    ['lo', 'w'],
    ['e', 'w'],
  ])
  assert.deepEqual(pieces, ['es', 'est', 'lo', 'low', 'ew'])
})

test('a pair that is too rare is left alone, and a run of one letter is joined from the left', () => {
  assert.deepEqual(learnPieces([word('ab', 1)], { mergesMax: 9, pairCountMin: 2, join }).merges, [])
  assert.deepEqual(learnPieces([word('aaaaa', 1)], { mergesMax: 9, pairCountMin: 2, join }).pieces, ['aa'])
})

test('the order of the words does not matter', () => {
  const words = fc.array(
    fc.tuple(fc.string({ unit: fc.constantFrom('a', 'b', 'c') }), fc.integer({ min: 1, max: 4 })),
  )
  fc.assert(
    fc.property(words, (counted) => {
      const options = { mergesMax: 20, pairCountMin: 2, join }
      const given = counted.map(([text, count]) => word(text, count))
      assert.deepEqual(learnPieces(given, options), learnPieces(given.toReversed(), options))
    }),
    { seed: 43, numRuns: 200 },
  )
})
