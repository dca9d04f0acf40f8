/** A partition that several reasons hold back is read on when the last of them is gone. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { EventSource } from '../../src/pipeline/event-source.ts'
import type { Partition } from '../../src/pipeline/partition.ts'
import { type PauseReason, Pauses } from '../../src/pipeline/pauses.ts'

const reason = fc.constantFrom<PauseReason>('backlog', 'schema')

test('a partition is paused exactly while any reason stands', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), reason)), (steps) => {
      let isPaused = false
      const source = {
        pause: () => {
          assert.ok(!isPaused, 'paused twice')
          isPaused = true
        },
        resume: () => {
          isPaused = false
        },
      } as unknown as EventSource
      const pauses = new Pauses(source)
      const partition = { number: 3, owned: true } as Partition
      const standing = new Set<PauseReason>()
      for (const [isPause, why] of steps) {
        if (isPause) {
          pauses.pause(partition, why)
          standing.add(why)
        } else {
          pauses.resume(partition, why)
          standing.delete(why)
        }
        assert.equal(isPaused, standing.size > 0)
      }
    }),
    { seed: 11 },
  )
})
