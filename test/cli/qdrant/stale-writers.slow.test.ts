/** R4 and R5 on the whole program over Qdrant: late writes, zombies and deletions, whoever comes last. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  assertForgotten,
  assertRight,
  event,
  heldWrite,
  IMPATIENT,
  idOf,
  ingest,
  rebuild,
  stored,
  until,
  withQdrant,
} from '../qdrant-standalone.ts'
import { openFixture, ref, search } from '../standalone-fixture.ts'

const DAY_MS = 86_400_000

suite('R4: a stale worker cannot overwrite', () => {
  test('a write that timed out and lands after a newer one changes nothing', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        await ingest(running, event('ada', 1))
        const { release, isHeld } = heldWrite(qdrant, 'ada')
        await running.service.ingest([event('ada', 2)])
        await until('the write is on its way', isHeld)
        await ingest(running, event('ada', 3))
        const newest = await stored(running, 'ada')
        await release()
        assert.deepEqual(await stored(running, 'ada'), newest)
        await assertRight(running, 1)
      }, IMPATIENT),
    ))
})

suite('R5: a deletion wins over a late replay', () => {
  test('a user who was forgotten with a write in flight stays so, through replays, a restart and a rebuild', () =>
    withQdrant(async (qdrant) => {
      await qdrant.running(async (running) => {
        await ingest(running, event('ada', 1), event('ben', 1))
        const { release, isHeld } = heldWrite(qdrant, 'ada')
        await running.service.ingest([event('ada', 2)])
        await until('the write is on its way', isHeld)
        await running.service.forget(ref('ada'))
        await until(
          'she is forgotten',
          async () => (await running.service.forgetStatus(ref('ada'))).state === 'done',
        )
        await release()
        await assertForgotten(running, 'ada', 'ben')
      }, IMPATIENT)
      await qdrant.running(async (running) => {
        await running.standalone.untilIdle()
        await assertForgotten(running, 'ada', 'ben')
        await rebuild(running)
        await assertForgotten(running, 'ada', 'ben')
        // She counts as checked: nothing of hers is the right answer.
        await assertRight(running, 2)
      })
    }))
})

suite('a window that becomes empty', () => {
  test('who has no events left within the horizon is a stub after the sweep of that day, and gone a day later', () =>
    withQdrant(async (qdrant) => {
      const flags = { 'vectors.driver': 'qdrant', 'vectors.qdrant.url': qdrant.double.url }
      const fixture = await openFixture({ ...flags, 'windows.horizonDays': 30 })
      try {
        await fixture.service.ingest([search('ada', 'hotels')])
        await fixture.settle()
        const points = () => qdrant.collection!.points
        const expires = payloadOf(points().get(idOf('ada'))).expires_at as string
        // The first makes the day durable, the second embeds as of it.
        const settleOn = async (nowMs: number) => {
          fixture.clock.nowMs = nowMs
          for (let i = 0; i < 2; i++) await fixture.settle()
        }
        await settleOn(Date.parse(expires) - 1)
        assert.equal(payloadOf(points().get(idOf('ada'))).stub, undefined)
        await settleOn(Date.parse(expires))
        assert.equal(payloadOf(points().get(idOf('ada'))).stub, true)
        await settleOn(Date.parse(expires) + DAY_MS + 60_000)
        assert.equal(points().size, 0)
      } finally {
        await fixture.close()
      }
    }))

  const payloadOf = (point: unknown) => (point as { payload: Record<string, unknown> }).payload
})
