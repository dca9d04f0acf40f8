/** One user over HTTP: shown, explained, forgotten, under whatever id. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { caller } from './call.ts'
import { type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

/** Ids that a URL must carry unharmed: a slash, a percent sign, a space, a question mark, beyond ASCII, beyond 16 bits. */
const ODD_USERS = ['a/b', '100%', 'x y', 'q?=&#', 'zoë', '🦊']

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('a user over HTTP', () => {
  before(async () => {
    freshet = await startServedFreshet()
    const events = ['ada', ...ODD_USERS].map((user) => searchEvent(user, `hotels for ${user}`))
    assert.deepEqual(await freshet.service.ingest(events), { accepted: events.length, rejected: [] })
    await freshet.standalone.untilIdle()
  })

  after(() => freshet.close())

  test('a user is shown without vectors unless they are asked for, and explained by the texts that were read', async () => {
    const plain = await call('/v1/users/ada')
    assert.deepEqual(plain.answer.events.search, 1)
    assert.equal('vector' in plain.answer.instructions[0], false)
    const { answer } = await call('/v1/users/ada/explain')
    assert.match(answer.window.search[0].text, /hotels for ada/)
    assert.equal(answer.targets[0].currentHash, answer.targets[0].acknowledgedHash)
  })

  test('ids with odd characters are the same user in the path as in the events', async () => {
    for (const user of ODD_USERS) {
      const { status, answer } = await call(`/v1/users/${encodeURIComponent(user)}`)
      assert.deepEqual([status, answer.user], [200, user])
    }
    await refused('/v1/users/a%00b', {}, 400, 'request-invalid')
    await refused('/v1/users/a%zz', {}, 400, 'request-url')
    await refused(`/v1/users/${'x'.repeat(257)}`, {}, 400, 'request-invalid')
    assert.equal((await call(`/v1/users/${encodeURIComponent('界'.repeat(256))}`)).status, 404)
  })

  test('a user is forgotten: 202, a place to look, and no vector left', async () => {
    await freshet.service.ingest([searchEvent('gone/user', 'secrets')])
    await freshet.standalone.untilIdle()
    const forgotten = await call('/v1/users/gone%2Fuser', { method: 'DELETE' })
    assert.deepEqual([forgotten.status, forgotten.answer.user], [202, 'gone/user'])
    await freshet.standalone.untilIdle()
    const { status, answer } = await call(String(forgotten.headers.location))
    assert.deepEqual([status, answer.state], [200, 'done'])
    const near = await call('/v1/users/ada/nearest?instruction=general&k=1000')
    assert.ok(near.answer.neighbours.every(({ user }: { user: string }) => user !== 'gone/user'))
  })
})
