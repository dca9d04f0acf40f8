/** Neighbours by user, users, vector and text, over a real standalone freshet. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { caller } from './call.ts'
import { MODEL, type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('search over HTTP', () => {
  before(async () => {
    freshet = await startServedFreshet()
    const queries = { ada: 'hotels', bob: 'train 42', cleo: 'red shoes, size 7', dora: '?' }
    const events = Object.entries(queries).map(([user, query]) => searchEvent(user, query))
    assert.deepEqual(await freshet.service.ingest(events), { accepted: events.length, rejected: [] })
    await freshet.standalone.untilIdle()
  })

  after(() => freshet.close())

  test('neighbours of a user are others of the tenant, nearest first, under the model that the answer names', async () => {
    const { status, answer } = await call('/v1/users/ada/nearest?k=3')
    assert.equal(answer.instruction, 'general', 'where none is named')
    assert.equal(status, 200)
    assert.deepEqual([answer.model, answer.stale, answer.instruction], [MODEL, false, 'general'])
    assert.match(answer.asOf, /^\d{4}-\d\d-\d\d$/)
    assert.equal(answer.neighbours.length, 3)
    const scores = answer.neighbours.map(({ score }: { score: number }) => score)
    assert.deepEqual(
      scores,
      scores.toSorted((a: number, b: number) => b - a),
    )
    assert.ok(answer.neighbours.every(({ user }: { user: string }) => user !== 'ada'))
  })

  test('filters and thresholds of the query reach the search', async () => {
    const none = await call(`/v1/users/ada/nearest?instruction=general&lastEventSince=${Date.now() + 1_000}`)
    assert.deepEqual(none.answer.neighbours, [])
    const all = await call('/v1/users/ada/nearest?instruction=general&lastEventSince=2026-01-01T00:00:00Z')
    assert.equal(all.answer.neighbours.length, 3)
    const gold = await call('/v1/users/ada/nearest?instruction=general&segment=gold')
    assert.deepEqual(gold.answer.neighbours, [])
    const [first, second] = all.answer.neighbours
    const threshold = (first.score + second.score) / 2
    const few = await call(
      `/v1/users/ada/nearest?instruction=general&scoreThreshold=${threshold.toFixed(12)}`,
    )
    assert.deepEqual(few.answer.neighbours, [first])
  })

  test('a user, their vector and a text are searched by POST, and an item is embedded into the same space', async () => {
    const nearest = (body: object) => call('/v1/nearest', { method: 'POST', body })
    const users = await nearest({ users: [{ user: 'ada' }], k: 2 })
    assert.equal(users.answer.neighbours.length, 2)

    const { answer } = await call('/v1/users/ada?vectors=true')
    const { vector } = answer.instructions[0]
    assert.equal(vector.length, 16)
    const found = await nearest({ vector, model: answer.model, k: 1 })
    assert.equal(found.answer.neighbours[0].user, 'ada')
    assert.ok(
      Math.abs(found.answer.neighbours[0].score - 1) < 1e-5,
      'float32 arithmetic on a vector of norm 1',
    )

    const embedded = await call('/v1/embed', { method: 'POST', body: { texts: ['hotels', 'trains'] } })
    assert.equal(embedded.answer.vectors.length, 2)
    const text = await nearest({ text: 'hotels', k: 4 })
    const same = await nearest({ vector: embedded.answer.vectors[0], model: embedded.answer.model, k: 4 })
    assert.deepEqual(
      text.answer.neighbours.map(({ user }: { user: string }) => user),
      same.answer.neighbours.map(({ user }: { user: string }) => user),
    )
    await refused(
      '/v1/nearest',
      { method: 'POST', body: { instruction: 'general', vector, model: 'other' } },
      409,
      (
        await call('/v1/nearest', {
          method: 'POST',
          body: { instruction: 'general', vector, model: 'other' },
        })
      ).answer.code,
    )
  })
})
