import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayWhile } from '../../src/cli/say-while.ts'
import type { Clock } from '../../src/pipeline/clock.ts'

/** Each sleep ends at once, until `limitMs` have been slept; a later one ends with its signal only. */
function clockUntil(limitMs: number) {
  let sleptMs = 0
  const reached = Promise.withResolvers<void>()
  const clock: Clock = {
    nowMs: () => sleptMs,
    sleep: async (ms, signal) => {
      if (sleptMs + ms > limitMs) {
        reached.resolve()
        await new Promise<void>((resolve) => {
          if (signal?.aborted) resolve()
          else signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      } else sleptMs += ms
    },
  }
  return { clock, reached: reached.promise }
}

test('a wait is told after two seconds, and sparsely from then on', async () => {
  const { clock, reached } = clockUntil(60_000)
  const saidAtMs: number[] = []
  const result = await sayWhile(
    clock,
    () => saidAtMs.push(clock.nowMs()),
    async () => {
      await reached
      return 'done'
    },
  )
  assert.equal(result, 'done')
  assert.deepEqual(saidAtMs, [2_000, 17_000, 32_000, 47_000])
})

test('nothing is said of what takes less, nor after a failure, which goes on as it is', async () => {
  const { clock, reached } = clockUntil(1_999)
  let said = 0
  const failing = async () => {
    await reached
    throw new Error('as it is')
  }
  await assert.rejects(
    sayWhile(clock, () => said++, failing),
    { message: 'as it is' },
  )
  assert.equal(said, 0)
})
