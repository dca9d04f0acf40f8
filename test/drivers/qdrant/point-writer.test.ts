import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outcomeOf } from '../../../src/drivers/qdrant/point-writer.ts'

const ASKED = { what: 'write points', collection: 'freshet_main_m1' }

test('points count as written only where the server says what became of the write', () => {
  const completed = { operation_id: 7, status: 'completed' }
  assert.deepEqual(outcomeOf(ASKED, { kind: 'done', result: completed }), { kind: 'written' })
  for (const result of [true, null, {}, [], 'completed'])
    assert.throws(() => outcomeOf(ASKED, { kind: 'done', result }), {
      name: 'UnavailableError',
      code: 'qdrant-unavailable',
    })
})
