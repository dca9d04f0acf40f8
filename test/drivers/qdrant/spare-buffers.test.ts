import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SpareBuffers } from '../../../src/drivers/qdrant/spare-buffers.ts'

test('nobody is given a buffer that somebody else has, or one that is too small', () => {
  const steps = fc.array(
    fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 1 << 20 }) }), fc.record({ give: fc.nat(9) })),
  )
  fc.assert(
    fc.property(steps, (all) => {
      const buffers = new SpareBuffers(2)
      const taken: Buffer[] = []
      for (const step of all) {
        if ('take' in step) {
          const buffer = buffers.take(step.take)
          assert.ok(buffer.length >= step.take && buffer.length < 2 ** 21)
          assert.ok(!taken.includes(buffer))
          taken.push(buffer)
        } else if (taken.length > 0) buffers.give(taken.splice(step.give % taken.length, 1)[0]!)
      }
    }),
    { seed: 20261124, numRuns: 200 },
  )
})

test('of buffers given back a few are kept, and used again', () => {
  const buffers = new SpareBuffers(2)
  const taken = Array.from({ length: 20 }, () => buffers.take(1_000))
  for (const buffer of taken) buffers.give(buffer)
  const again = Array.from({ length: 20 }, () => buffers.take(900))
  const kept = again.filter((buffer) => taken.includes(buffer))
  assert.equal(kept.length, 2)
})
