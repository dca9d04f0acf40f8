import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareUtf8 } from '../../src/window/event-order.ts'
import { codePoint } from '../tools/code-point.ts'

test('strings compare as their UTF-8 bytes do', () => {
  const text = fc.string({ unit: codePoint, maxLength: 6 })
  const near = fc.tuple(text, text, text).map(([start, a, b]) => [start + a, start + b] as const)
  fc.assert(
    fc.property(near, ([a, b]) => {
      assert.equal(Math.sign(compareUtf8(a, b)), Buffer.from(a).compare(Buffer.from(b)))
    }),
    { seed: 20261128, numRuns: 3_000 },
  )
})

test('a surrogate pair comes after U+FFFD, as bytes have it and UTF-16 units do not', () => {
  assert.ok(compareUtf8('\ufffd', '\u{10000}') < 0)
  assert.ok('\ufffd' > '\u{10000}')
})
