/** Errors name their class and cause, and suggest what was probably meant. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { invariant, nearestName, RecordError, UnavailableError } from '../src/errors.ts'

test('a misspelt name suggests the known one, a strange one nothing', () => {
  const known = ['quietMs', 'maxDelayMs', 'minEvents']
  assert.equal(nearestName('quiteMs', known), 'quietMs')
  assert.equal(nearestName('maxdelayms', known), 'maxDelayMs')
  assert.equal(nearestName('minEvent', known), 'minEvents')
  assert.equal(nearestName('zebra', known), undefined)
  assert.equal(nearestName('', known), undefined)
  assert.equal(nearestName('quiteMs', []), undefined)
})

test('an error keeps its class, code and cause', () => {
  const cause = new Error('below')
  const error = new RecordError('record-json', 'expected JSON', { cause })
  assert.deepEqual([error.name, error.code, error.cause], ['RecordError', 'record-json', cause])
  assert.equal(new UnavailableError('down', 'x', { retryAfterMs: 5 }).retryAfterMs, 5)
  assert.throws(() => invariant(false, 'two is three'), { name: 'BugError', code: 'invariant' })
})
