/** Readings of the control topics take turns, with each other and with what must not happen beside one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { Control } from '../../src/pipeline/control.ts'
import type { ControlLog } from '../../src/pipeline/control-log.ts'
import { Snapshots } from '../../src/pipeline/snapshot.ts'
import { textModel } from './text-model.ts'

const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Control over a log whose readings end when the test says so. */
function held() {
  const ends: (() => void)[] = []
  const log: ControlLog = {
    instructions: async () => {
      await new Promise<void>((resolve) => ends.push(resolve))
      return []
    },
    models: async (after) => {
      const existing = ['text' as ModelId]
      return after < 0 ? [{ offset: 0, active: 'text' as ModelId, also: null, existing }] : []
    },
    tombstones: async () => [],
  }
  const vectors = { ensureCollection: async () => {}, ensureVectorNames: async () => {} }
  const snapshots = new Snapshots(new Map([['text' as ModelId, textModel]]), null, '')
  return { control: new Control(log, vectors as never, snapshots), ends }
}

test('whoever asks while a reading is under way is answered by the next one, all by the same', async () => {
  const { control, ends } = held()
  let answered = 0
  const asks = [control.readToEnd()]
  await drain()
  for (let i = 0; i < 100; i++) asks.push(control.readToEnd())
  for (const ask of asks) void ask.then(() => answered++)
  await drain()
  ends.shift()!()
  await drain()
  assert.equal(answered, 1, 'what was under way may have missed what the others ask for')
  ends.shift()!()
  await Promise.all(asks)
  assert.deepEqual([answered, ends.length], [101, 0])
})

test('what runs between two readings runs beside none, whoever asks meanwhile', async () => {
  const { control, ends } = held()
  const said: string[] = []
  const first = control.readToEnd().then(() => said.push('first'))
  await drain()
  const second = control.readToEnd().then(() => said.push('second'))
  const between = control.betweenReadings(async () => {
    said.push('between')
    await drain()
    assert.equal(ends.length, 0, 'no reading is under way')
    said.push('over')
  })
  // Joins the second, which has not begun; a third comes after what runs between.
  const joined = control.readToEnd().then(() => said.push('joined'))
  await drain()
  ends.shift()!()
  await first
  await drain()
  const third = control.readToEnd().then(() => said.push('third'))
  ends.shift()!()
  await Promise.all([second, joined, between])
  await drain()
  ends.shift()!()
  await third
  assert.deepEqual(said, ['first', 'second', 'joined', 'between', 'over', 'third'])
})

test('a reading that failed is no reason for the next one to fail', async () => {
  const { control, ends } = held()
  const log = Reflect.get(control, 'log') as ControlLog
  const { instructions } = log
  log.instructions = () => Promise.reject(new Error('down'))
  await assert.rejects(control.readToEnd(), /down/)
  log.instructions = instructions
  const read = control.readToEnd()
  await drain()
  ends.shift()!()
  await read
  assert.equal(control.view.models.offset, 0)
})
