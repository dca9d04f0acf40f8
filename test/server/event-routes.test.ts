/** Events over HTTP: as objects, lists, lines and raw bytes. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createIngestEncoder } from '../../src/events/ingest.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import { caller } from './call.ts'
import { type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('events over HTTP', () => {
  before(async () => {
    freshet = await startServedFreshet()
  })

  after(() => freshet.close())

  test('events come as an object, a list or lines; of many, each wrong one is named by its place', async () => {
    const post = (body: unknown, type = 'application/json') =>
      call('/v1/events', { method: 'POST', body, headers: { 'content-type': type } })
    const good = searchEvent('dora', 'boats')
    assert.deepEqual((await post(good)).answer, { accepted: 1, rejected: [] })
    const list = await post([good, { topic: 'nowhere' }, 7])
    assert.equal(list.answer.accepted, 1)
    assert.deepEqual(
      list.answer.rejected.map(({ index, code }: { index: number; code: string }) => [index, code]),
      [
        [1, 'record-topic-unknown'],
        [2, 'ingest-line'],
      ],
    )
    const lines = await post(
      `${JSON.stringify(good)}\n\n{broken\n${JSON.stringify(good)}\n`,
      'application/x-ndjson',
    )
    assert.equal(lines.answer.accepted, 2)
    assert.deepEqual(
      lines.answer.rejected.map(({ index, code }: { index: number; code: string }) => [index, code]),
      [[1, 'ingest-line']],
    )
    await refused('/v1/events', { method: 'POST', body: { topic: 'nowhere' } }, 400, 'record-topic-unknown')
  })

  test("one record comes in its topic's own bytes, and one that can't be read is refused", async () => {
    const { topics } = freshet.standalone.parts.settings.events
    const encoder = createIngestEncoder({ topics, schemas: directorySchemas(null, {}) })
    const { value } = encoder.object(searchEvent('raw/user', 'avro'))
    const headers = { 'content-type': 'application/vnd.confluent.avro' }
    const url = `/v1/events?topic=behavior.search&key=${encodeURIComponent('raw/user')}`
    const taken = await call(url, { method: 'POST', body: value!, headers })
    assert.deepEqual(taken.answer, { accepted: 1, rejected: [] })
    await freshet.standalone.untilIdle()
    assert.equal((await call('/v1/users/raw%2Fuser')).answer.events.search, 1)

    const cut = { method: 'POST', body: value!.subarray(0, 12), headers } as const
    await refused(url, cut, 400, 'record-avro-truncated')
    await refused('/v1/events', { ...cut, body: value! }, 400, 'request-record-place')
    const json = { method: 'POST', body: searchEvent('x', 'y') } as const
    await refused(url, json, 400, 'request-record-place')
  })
})
