/** What operators do over HTTP: instructions, verification, and what was set aside. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { caller } from './call.ts'
import { type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('upkeep over HTTP', () => {
  before(async () => {
    freshet = await startServedFreshet()
    const events = ['ada'].map((user) => searchEvent(user, `hotels for ${user}`))
    assert.deepEqual(await freshet.service.ingest(events), { accepted: events.length, rejected: [] })
    await freshet.standalone.untilIdle()
  })

  after(() => freshet.close())

  test('an instruction is added, listed, put into another cadence, and retired', async () => {
    const text = 'What will this user need next?'
    const added = await call('/v1/instructions', { method: 'POST', body: { id: 'next-need', text } })
    assert.deepEqual([added.status, added.answer.status], [201, 'active'])
    await freshet.standalone.untilIdle()
    assert.equal((await call('/v1/users/ada/nearest?instruction=next-need')).status, 200)
    const group = await call('/v1/groups/slow', { method: 'PUT', body: { minRefreshMs: 60_000 } })
    assert.deepEqual(group.answer, { name: 'slow', minRefreshMs: 60_000, paused: false })
    const listed = await call('/v1/instructions')
    assert.deepEqual(
      listed.answer.instructions.map(({ id }: { id: string }) => id),
      ['general', 'next-need'],
    )
    const retired = await call('/v1/instructions/next-need', { method: 'DELETE' })
    assert.equal(retired.answer.status, 'retired')
    await refused(
      '/v1/instructions',
      { method: 'POST', body: { id: 'Not A Name', text } },
      400,
      'request-invalid',
    )
  })

  test('what is stored is verified, and what is parked or buried can be listed and tried again', async () => {
    const verified = await call('/v1/verify', { method: 'POST', body: { users: [{ user: 'ada' }] } })
    assert.deepEqual(verified.answer, { checked: 1, wrong: [] })
    assert.deepEqual((await call('/v1/parked')).answer, { users: [] })
    assert.deepEqual((await call('/v1/parked/retry', { method: 'POST', body: {} })).answer, { retried: 0 })

    const { log, source } = freshet.standalone.parts
    await log.append([{ topic: source.topics[0]!, key: Buffer.from('eve'), value: Buffer.from([1, 2, 3]) }])
    await freshet.standalone.untilIdle()
    const { letters } = (await call('/v1/dead-letters?limit=10')).answer
    assert.deepEqual(
      [letters.length, letters[0].topic, letters[0].reason],
      [1, source.topics[0], 'record-frame'],
    )
    const letter = (await call(`/v1/dead-letters/${letters[0].id}`)).answer
    assert.deepEqual([letter.key, letter.valueBase64], ['eve', 'AQID'])
    assert.deepEqual((await call('/v1/dead-letters?reason=another')).answer, { letters: [] })
    assert.deepEqual((await call(`/v1/dead-letters?after=${letters[0].id}`)).answer, { letters: [] })
    const retry = { method: 'POST', body: { ids: [letters[0].id] } } as const
    assert.deepEqual((await call('/v1/dead-letters/retry', retry)).answer, { retried: 1 })
    await freshet.standalone.untilIdle()
    const again = (await call('/v1/dead-letters')).answer.letters
    assert.deepEqual([again.length, again[0].attempts], [1, 2])
    const purge = { method: 'POST', body: { ids: [again[0].id] } } as const
    assert.deepEqual((await call('/v1/dead-letters/purge', purge)).answer, { purged: 1 })
    assert.deepEqual((await call('/v1/dead-letters')).answer, { letters: [] })
  })
})
