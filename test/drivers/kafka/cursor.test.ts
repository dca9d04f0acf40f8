import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cursor } from '../../../src/drivers/kafka/cursor.ts'

function reading(): Cursor {
  const cursor = new Cursor('t', 0)
  cursor.seek(10)
  cursor.leader = 1
  return cursor
}

test('it is read after a seek, and neither before one nor while it is paused or on its way', () => {
  const cursor = new Cursor('t', 0)
  assert.equal(cursor.isReadable, false)
  cursor.seek(10)
  assert.equal(cursor.isReadable, true)
  cursor.isPaused = true
  assert.equal(cursor.isReadable, false)
  cursor.isPaused = false
  cursor.isFetching = true
  assert.equal(cursor.isReadable, false)
  cursor.isFetching = false
  cursor.hold()
  assert.equal(cursor.isReadable, false)
})

test('what was fetched before a seek or a hold is known to be old', () => {
  const cursor = reading()
  const before = cursor.version
  cursor.moved(12, 0)
  assert.equal(cursor.version, before)
  cursor.seek(12)
  assert.notEqual(cursor.version, before)
  const sought = cursor.version
  cursor.hold()
  assert.notEqual(cursor.version, sought)
})

test('it is stuck when neither its position moves nor its end is heard to be reached', () => {
  const cursor = reading()
  assert.equal(cursor.stuckMs(1_000), 0)
  assert.equal(cursor.stuckMs(5_000), 4_000, 'nothing was ever heard')
  cursor.heard(20, 6_000)
  assert.equal(cursor.stuckMs(7_000), 6_000, 'records wait')
  cursor.moved(15, 7_000)
  assert.equal(cursor.stuckMs(8_000), 1_000)
  cursor.moved(20, 9_000)
  cursor.heard(20, 30_000)
  assert.equal(cursor.stuckMs(31_000), 1_000, 'there was nothing to read')
})

test('a pause, a seek and a leader that is gone are reasons to stand still', () => {
  const cursor = reading()
  cursor.heard(20, 0)
  cursor.stuckMs(0)
  cursor.isPaused = true
  assert.equal(cursor.stuckMs(60_000), 0)
  cursor.isPaused = false
  assert.equal(cursor.stuckMs(61_000), 0, 'it counts anew from here')
  assert.equal(cursor.stuckMs(62_000), 1_000)
  cursor.leader = null
  assert.equal(cursor.stuckMs(90_000), 0)
  cursor.leader = 2
  assert.equal(cursor.stuckMs(90_500), 0)
  cursor.seek(11)
  assert.equal(cursor.stuckMs(99_000), 0)
})
