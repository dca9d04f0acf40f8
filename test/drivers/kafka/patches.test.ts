import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { patchKafkajs } from '../../../src/drivers/kafka/patches.ts'

const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue')

function queue() {
  const logger = { debug: () => {}, warn: () => {} }
  const isConnected = () => true
  return new RequestQueue({
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    clientId: 'c',
    broker: 'b',
    logger,
    isConnected,
  })
}

test('the method that is mended is there, and is what sets the timer', () => {
  assert.equal(typeof RequestQueue.prototype.scheduleCheckPendingRequests, 'function')
  patchKafkajs()
  patchKafkajs()
  const idle = queue()
  idle.checkPendingRequests()
  assert.equal(idle.throttleCheckTimeoutId, null, 'an idle queue must not poll')
})

test('a queue with requests that wait looks at them again, once', () => {
  patchKafkajs()
  const waiting = queue()
  waiting.throttledUntil = Date.now() + 60_000
  waiting.pending.push({})
  waiting.scheduleCheckPendingRequests()
  const timer = waiting.throttleCheckTimeoutId
  assert.notEqual(timer, null)
  waiting.scheduleCheckPendingRequests()
  assert.equal(waiting.throttleCheckTimeoutId, timer)
  waiting.destroy()
})
