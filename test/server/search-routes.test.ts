/** Neighbours by user, users, vector and text, over a real standalone freshet. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ConfigError, UnavailableError } from '../../src/errors.ts'
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
    const before = await call(`/v1/users/ada/nearest?lastEventBefore=${Date.now() - 7_200_000}`)
    assert.deepEqual(before.answer.neighbours, [], 'their last events are an hour old')
    const until = await call(`/v1/users/ada/nearest?lastEventBefore=${new Date().toISOString()}`)
    assert.deepEqual(until.answer.neighbours, all.answer.neighbours)
    await refused('/v1/users/ada/nearest?lastEventBefore=yesterday', {}, 400, 'request-invalid')
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
    const body = { instruction: 'general', vector, model: 'other' }
    await refused('/v1/nearest', { method: 'POST', body }, 409, 'vector-of-other-model')
  })

  test('pages of a user and of a text are walked by next, and a cursor of another question is refused', async () => {
    const all = (await call('/v1/users/ada/nearest?k=100')).answer
    assert.deepEqual([all.neighbours.length, all.next], [3, null])
    for (const exact of ['', '&exact=true', '&exact=false']) {
      const first = (await call(`/v1/users/ada/nearest?k=2${exact}`)).answer
      const second = (await call(`/v1/users/ada/nearest?k=9&after=${first.next}${exact}`)).answer
      assert.deepEqual([...first.neighbours, ...second.neighbours], all.neighbours)
      assert.equal(second.next, null)
    }
    const { next } = (await call('/v1/users/ada/nearest?k=2')).answer
    const other = `/v1/users/bob/nearest?after=${next}`
    await refused(other, {}, 400, 'page-of-other-question')
    await refused(`/v1/users/ada/nearest?exact=true&after=${next}`, {}, 400, 'page-of-other-question')
    await refused(`/v1/users/ada/nearest?after=${next.slice(1)}`, {}, 400, 'page-cursor')
    await refused('/v1/users/ada/nearest?after=', {}, 400, 'request-invalid')
    await refused(`/v1/users/ada/nearest?after=${'x'.repeat(1_000)}`, {}, 400, 'request-invalid')

    const nearest = (body: object) => call('/v1/nearest', { method: 'POST', body })
    const text = { text: 'hotels', filter: { lastEventBeforeMs: Date.now() } }
    const first = (await nearest({ ...text, k: 3 })).answer
    const second = (await nearest({ ...text, k: 3, after: first.next })).answer
    const users = [...first.neighbours, ...second.neighbours].map(({ user }) => user)
    assert.deepEqual(users.sort(), ['ada', 'bob', 'cleo', 'dora'])
    const body = { ...text, after: first.next, exact: true }
    await refused('/v1/nearest', { method: 'POST', body }, 400, 'page-of-other-question')
  })

  test('a page whose model is gone is 410, and a store that is down 503 with a time to come back', async () => {
    const { vectors } = freshet.standalone.parts
    const { next } = (await call('/v1/users/ada/nearest?k=1')).answer
    const restore = vectors.search
    const answer = async (error: Error, url = '/v1/users/ada/nearest?k=1') => {
      vectors.search = () => Promise.reject(error)
      try {
        const { status, headers, answer } = await call(url)
        return [status, answer.code, headers['retry-after']]
      } finally {
        vectors.search = restore
      }
    }
    const down = new UnavailableError('disk-full', 'expected room, got none', { retryAfterMs: 1_500 })
    assert.deepEqual(await answer(down), [503, 'disk-full', '2'])
    assert.deepEqual(await answer(down, `/v1/users/ada/nearest?k=1&after=${next}`), [503, 'disk-full', '2'])
    const gone = new ConfigError('collection-missing', 'expected a collection, got none')
    assert.deepEqual(await answer(gone), [503, 'instruction-not-ready', '1'])
    const page = `/v1/users/ada/nearest?k=1&after=${next}`
    assert.deepEqual(await answer(gone, page), [410, 'page-of-other-model', undefined])
  })
})
