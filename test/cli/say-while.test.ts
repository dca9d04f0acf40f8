import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayWhile } from '../../src/cli/say-while.ts'

test('a wait is told after two seconds, sparsely from then on, and no more once it is over', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const work = Promise.withResolvers<string>()
  let elapsedMs = 0
  const saidAtMs: number[] = []
  const result = sayWhile(
    () => saidAtMs.push(elapsedMs),
    () => work.promise,
  )
  const pass = (ms: number) => {
    for (const endMs = elapsedMs + ms; elapsedMs < endMs; ) {
      elapsedMs += 500
      t.mock.timers.tick(500)
    }
  }
  pass(1_500)
  assert.deepEqual(saidAtMs, [])
  pass(58_500)
  assert.deepEqual(saidAtMs, [2_000, 17_000, 32_000, 47_000])
  work.resolve('done')
  assert.equal(await result, 'done')
  pass(60_000)
  assert.equal(saidAtMs.length, 4)
})

test('a failure goes on as it is, and ends what is said', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let said = 0
  const failing = async () => {
    throw new Error('as it is')
  }
  await assert.rejects(
    sayWhile(() => said++, failing),
    { message: 'as it is' },
  )
  t.mock.timers.tick(60_000)
  assert.equal(said, 0)
})
