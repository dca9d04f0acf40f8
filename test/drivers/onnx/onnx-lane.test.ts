/** One thread's promises: what it throws by itself is an outage to retry, and the next task is served. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OnnxLane } from '../../../src/drivers/onnx/onnx-lane.ts'
import type { WorkerTask } from '../../../src/drivers/onnx/onnx-messages.ts'

const SETTINGS = { provider: 'cpu', deviceId: 0, threads: 1 } as const
/** Starting a thread takes a tenth of a second; on a busy machine, more. */
const LIMIT_MS = 10_000

test('a thread that fails outside of a run is an outage to retry, and the lane goes on', async () => {
  const lane = new OnnxLane(SETTINGS, LIMIT_MS)
  const nonsense = null as unknown as WorkerTask
  await assert.rejects(lane.send(nonsense), { code: 'inference-worker-lost', name: 'UnavailableError' })
  assert.deepEqual(await lane.send({ kind: 'release', id: 'nobody has it' }), { kind: 'released' })
  await lane.close()
})

test('closing waits for the task under way', async () => {
  const lane = new OnnxLane(SETTINGS, LIMIT_MS)
  const order: string[] = []
  const task = lane.send({ kind: 'release', id: 'nobody has it' }).then(() => order.push('task'))
  await lane.close()
  order.push('closed')
  await task
  assert.deepEqual(order, ['task', 'closed'])
})
