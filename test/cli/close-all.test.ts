/** One that fails leaves none of the others open. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closeAll } from '../../src/cli/close-all.ts'

test('all are closed, the last first, and the first error is told', async () => {
  const closed: string[] = []
  const closer = (name: string, fails: boolean) => async () => {
    closed.push(name)
    if (fails) throw new Error(name)
  }
  await assert.rejects(closeAll([closer('a', true), closer('b', false), closer('c', true)]), /^Error: c$/)
  assert.deepEqual(closed, ['c', 'b', 'a'])
  await closeAll([closer('d', false)])
})
