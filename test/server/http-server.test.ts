/** The HTTP API over a real standalone freshet: every route, its limits, who may call it, and what it says of itself. */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { RequestError } from '../../src/errors.ts'
import { createIngestEncoder } from '../../src/events/ingest.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { FreshetServer } from '../../src/server/http-server.ts'
import { BODY_BYTES_MAX, type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

const SECRET = 'sixteen-letters-and-more'
/** Ids that a URL must carry unharmed: a slash, a percent sign, a space, a question mark, beyond ASCII, beyond 16 bits. */
const ODD_USERS = ['a/b', '100%', 'x y', 'q?=&#', 'zoë', '🦊']

/** What these tests read of an OpenAPI operation. */
interface Operation {
  operationId?: string
  summary?: string
  parameters?: { in: string; name: string; schema?: { type?: unknown } }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { content: Record<string, Media> }>
}

interface Media {
  schema?: { examples?: unknown }
  example?: unknown
  examples?: unknown
}

type Paths = Record<string, Record<string, Operation>>

interface Sent {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  headers?: Record<string, string>
  on?: FreshetServer
}

let freshet: ServedFreshet

before(async () => {
  freshet = await startServedFreshet()
  const events = ['ada', 'bob', 'cleo', ...ODD_USERS].map((user) => searchEvent(user, `hotels for ${user}`))
  assert.deepEqual(await freshet.service.ingest(events), { accepted: events.length, rejected: [] })
  await freshet.standalone.untilIdle()
})

after(() => freshet.close())

async function call(url: string, { method = 'GET', body, headers, on = freshet.server }: Sent = {}) {
  const response = await on.app.inject({
    method,
    url,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { payload: body as string | Buffer | object }),
  })
  const isJson = String(response.headers['content-type']).startsWith('application/json')
  return {
    status: response.statusCode,
    headers: response.headers,
    text: response.body,
    answer: isJson ? response.json() : undefined,
  }
}

/** What an error answer must be, whoever made it. */
async function refused(url: string, sent: Sent, status: number, code: string) {
  const { answer, status: got } = await call(url, sent)
  assert.deepEqual([got, answer?.code], [status, code], JSON.stringify(answer))
  assert.equal(answer.docs, `docs/errors.md#${code}`)
  assert.ok(answer.message.length > 10)
  return answer
}

test('neighbours of a user are others of the tenant, nearest first, under the model that the answer names', async () => {
  const { status, answer } = await call('/v1/users/ada/nearest?instruction=general&k=3')
  assert.equal(status, 200)
  assert.deepEqual([answer.model, answer.stale, answer.instruction], ['tiny', false, 'general'])
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
  assert.equal(all.answer.neighbours.length, 2 + ODD_USERS.length)
  const gold = await call('/v1/users/ada/nearest?instruction=general&segment=gold')
  assert.deepEqual(gold.answer.neighbours, [])
  const [first, second] = all.answer.neighbours
  const threshold = (first.score + second.score) / 2
  const few = await call(`/v1/users/ada/nearest?instruction=general&scoreThreshold=${threshold.toFixed(12)}`)
  assert.deepEqual(few.answer.neighbours, [first])
})

test('a user, their vector and a text are searched by POST, and an item is embedded into the same space', async () => {
  const nearest = (body: object) =>
    call('/v1/nearest', { method: 'POST', body: { instruction: 'general', ...body } })
  const users = await nearest({ users: [{ user: 'ada' }], k: 2 })
  assert.equal(users.answer.neighbours.length, 2)

  const { answer } = await call('/v1/users/ada?vectors=true')
  const { vector } = answer.instructions[0]
  assert.equal(vector.length, 64)
  const found = await nearest({ vector, model: answer.model, k: 1 })
  assert.equal(found.answer.neighbours[0].user, 'ada')
  assert.ok(Math.abs(found.answer.neighbours[0].score - 1) < 1e-5, 'float32 arithmetic on a vector of norm 1')

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
    (await call('/v1/nearest', { method: 'POST', body: { instruction: 'general', vector, model: 'other' } }))
      .answer.code,
  )
})

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
})

test('probes, status, version and the page answer; live and ready follow the health', async () => {
  assert.deepEqual((await call('/live')).answer, { live: true, why: null })
  assert.deepEqual((await call('/ready')).answer, { ready: true, why: null, degraded: [] })
  assert.equal((await call('/status')).answer.model.id, 'tiny')
  assert.deepEqual((await call('/version')).answer, { version: '0.0.0', node: process.versions.node })
  const metrics = await call('/metrics')
  assert.match(String(metrics.headers['content-type']), /^text\/plain; version=0\.0\.4/)
  assert.match(metrics.text, /^freshet_http_requests_total\{method="GET",route="\/live",status="200"\} \d+$/m)
  const page = await call('/')
  assert.match(page.text, /^<!doctype html>/)
  assert.match(page.text, /\/v1\/users\/:id\/nearest/)
  assert.doesNotMatch(page.text, /<script/)
})

test('a pipeline that has stopped is neither alive nor ready, and says why', async () => {
  const stopped = { live: () => ({ live: false, why: 'the pipeline has stopped: x' }), degraded: [] }
  const server = await freshet.serve({ health: stopped as unknown as ServedFreshet['health'] })
  const live = await call('/live', { on: server })
  assert.deepEqual([live.status, live.answer.why], [503, 'the pipeline has stopped: x'])
  const ready = await call('/ready', { on: server })
  assert.deepEqual([ready.status, ready.answer.ready], [503, false])
})

test('beyond loopback every call that changes something or shows events needs the secret, and no other does', async () => {
  await assert.rejects(freshet.serve({ host: '0.0.0.0' }), {
    name: 'ConfigError',
    code: 'admin-secret-missing',
  })
  const server = await freshet.serve({ host: '0.0.0.0', adminSecret: SECRET })
  const open = new Set<string>()
  const { paths } = (await call('/openapi.json', { on: server })).answer
  for (const [path, methods] of Object.entries<Record<string, unknown>>(paths)) {
    for (const name of Object.keys(methods)) {
      const method = name.toUpperCase() as 'GET'
      const url = path.replace(/\{\w+\}/g, 'none')
      for (const authorization of [undefined, 'Bearer another-secret-of-16', `Basic ${SECRET}`]) {
        const headers = authorization === undefined ? {} : { authorization }
        const { status, answer } = await call(url, { method, headers, on: server })
        if (status === 401) assert.equal(answer.code, 'admin-secret')
        else open.add(`${name} ${path}`)
      }
    }
  }
  assert.deepEqual([...open].sort(), [
    'get /',
    'get /live',
    'get /metrics',
    'get /ready',
    'get /status',
    'get /v1/instructions',
    'get /v1/users/{id}',
    'get /v1/users/{id}/forget',
    'get /v1/users/{id}/nearest',
    'get /version',
    'post /v1/embed',
    'post /v1/nearest',
  ])
  const headers = { authorization: `Bearer ${SECRET}` }
  assert.equal((await call('/v1/parked', { headers, on: server })).status, 200)
})

test('without a secret, a web page of another origin or another name of this machine makes no admin call', async () => {
  const from = (headers: Record<string, string>) => ({ method: 'POST', body: {}, headers }) as const
  await refused(
    '/v1/parked/retry',
    from({ host: '127.0.0.1:7710', origin: 'http://evil.example' }),
    403,
    'request-origin',
  )
  await refused('/v1/parked/retry', from({ host: 'rebound.example:7710' }), 403, 'request-origin')
  for (const headers of [{ host: 'localhost:7710', origin: 'http://localhost:7710' }, { host: '[::1]:7710' }])
    assert.equal((await call('/v1/parked/retry', from(headers))).status, 200)
})

test('every limit has its error: body, media type, neighbours, texts, unknown keys, and requests of one address', async () => {
  const big = { method: 'POST', body: { pad: 'x'.repeat(BODY_BYTES_MAX) } } as const
  await refused('/v1/events', big, 413, 'request-too-large')
  const xml = { method: 'POST', body: '<a/>', headers: { 'content-type': 'text/xml' } } as const
  await refused('/v1/events', xml, 415, 'request-media-type')
  const broken = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } } as const
  await refused('/v1/events', broken, 400, 'request-body')
  await refused('/v1/users/ada/nearest?instruction=general&k=1001', {}, 400, 'request-invalid')
  await refused('/v1/users/ada/nearest?instruction=general&k=0', {}, 400, 'request-invalid')
  await refused('/v1/users/ada/nearest?instruction=general&K=5', {}, 400, 'request-invalid')
  await refused('/v1/users/ada/nearest?instruction=general&k=1&k=2', {}, 400, 'request-invalid')
  const texts = Array.from({ length: 257 }, () => 'a')
  await refused('/v1/embed', { method: 'POST', body: { texts } }, 400, 'request-invalid')
  await refused('/v1/nowhere', {}, 404, 'route-unknown')

  const server = await freshet.serve({ requestsPerMinuteMax: 3 })
  for (let i = 0; i < 3; i++) assert.equal((await call('/v1/instructions', { on: server })).status, 200)
  const { headers } = await call('/v1/instructions', { on: server })
  await refused('/v1/instructions', { on: server }, 429, 'request-rate')
  assert.ok(Number(headers['retry-after']) > 0)
  for (let i = 0; i < 5; i++) assert.equal((await call('/live', { on: server })).status, 200)
})

test('an answer that takes too long becomes 503 with a time to come back', async () => {
  const server = await freshet.serve({ requestTimeoutMs: 20 })
  const { service } = freshet
  const release = Promise.withResolvers<never>()
  const restore = service.embedTexts
  service.embedTexts = () => release.promise
  try {
    const { status, headers, answer } = await call('/v1/embed', {
      method: 'POST',
      body: { texts: ['a'] },
      on: server,
    })
    assert.deepEqual([status, answer.code, headers['retry-after']], [503, 'request-timeout', '1'])
  } finally {
    service.embedTexts = restore
    release.reject(new RequestError('route-unknown', 'nobody waits any more'))
  }
})

test('an error that nobody foresaw is told to the log, not to the caller', async () => {
  const { service } = freshet
  const restore = service.instructions
  service.instructions = () => Promise.reject(new Error('the password is swordfish'))
  try {
    const { status, answer, text } = await call('/v1/instructions')
    assert.deepEqual([status, answer.code], [500, 'unexpected'])
    assert.doesNotMatch(text, /swordfish/)
    assert.match(String(freshet.failures.pop()), /swordfish/)
  } finally {
    service.instructions = restore
  }
})

test('the OpenAPI document has every route with a schema and an example of each body and answer', async () => {
  const document = (await call('/openapi.json')).answer
  assert.equal(document.openapi, '3.1.0')
  const operations = Object.entries(document.paths as Paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  assert.equal(operations.length, 24)
  const ids = new Set(operations.map(({ operation }) => operation.operationId))
  assert.equal(ids.size, operations.length, 'operation ids are unique')
  for (const { path, method, operation } of operations) {
    const name = `${method} ${path}`
    const { summary, parameters = [], requestBody, responses } = operation
    assert.ok(summary, name)
    const inPath = parameters
      .filter((parameter) => parameter.in === 'path')
      .map((parameter) => parameter.name)
    const placeholders = [...path.matchAll(/\{(\w+)\}/g)].map(([, placeholder]) => placeholder)
    assert.deepEqual(inPath, placeholders, name)
    assert.ok(
      parameters.every(({ schema }) => schema?.type !== undefined),
      name,
    )
    const success = Object.keys(responses).find((status) => status.startsWith('2'))
    assert.ok(success, name)
    const media = [
      ...Object.values(requestBody?.content ?? {}),
      ...Object.values(responses[success]!.content),
    ]
    for (const { schema, example, examples } of media) {
      assert.ok(schema, name)
      assert.ok((example ?? examples ?? schema.examples) !== undefined, `${name} has an example`)
    }
    assert.equal(requestBody !== undefined, method === 'post' || method === 'put', name)
  }
})

test('the examples of the OpenAPI document are requests that the API takes', async () => {
  const document = (await call('/openapi.json')).answer
  for (const [path, methods] of Object.entries(document.paths as Paths)) {
    for (const method of ['post', 'put']) {
      const media = methods[method]?.requestBody?.content['application/json']
      if (media === undefined) continue
      const { status, answer } = await call(path.replace('{name}', 'slow'), {
        method: method.toUpperCase() as 'POST',
        body: media.example,
      })
      assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(answer)}`)
    }
  }
  await call('/v1/instructions/next-need', { method: 'DELETE' })
})

test('whatever is sent, nothing is answered by 500', async () => {
  const routes = Object.entries<Record<string, unknown>>((await call('/openapi.json')).answer.paths).flatMap(
    ([path, methods]) =>
      Object.keys(methods).map((method) => ({ path, method: method.toUpperCase() as 'GET' })),
  )
  const junk = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', '..', '%00', 'null', '-1', '1e999', 'general'),
  )
  const body = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
    fc.string({ unit: 'binary' }),
    fc
      .record(
        {
          instruction: fc.constantFrom('general', 'x', 7),
          k: fc.oneof(fc.integer(), fc.double()),
          users: fc.array(fc.record({ user: fc.oneof(junk, fc.integer()) }), { maxLength: 2 }),
          vector: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 65 }),
          model: fc.constantFrom('tiny', 'other'),
          text: junk,
          texts: fc.array(junk, { maxLength: 2 }),
          id: fc.constantFrom('..', '-', 'UPPER', 'ok'),
          ids: fc.array(fc.integer(), { maxLength: 2 }),
          filter: fc.dictionary(fc.constantFrom('tenantId', 'segment', 'lastEventSinceMs', 'zz'), junk),
        },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
  )
  const query = fc.dictionary(
    fc.constantFrom(
      'instruction',
      'k',
      'tenant',
      'segment',
      'lastEventSince',
      'scoreThreshold',
      'topic',
      'key',
      'zz',
    ),
    junk,
    { maxKeys: 4 },
  )
  const type = fc.constantFrom(
    'application/json',
    'application/x-ndjson',
    'application/octet-stream',
    'text/plain',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      junk,
      query,
      type,
      body,
      async (route, id, keys, contentType, sent) => {
        const encoded = encodeURIComponent(id.toWellFormed())
        const parameters = new URLSearchParams(Object.entries(keys)).toString()
        const url = `${route.path.replace(/\{\w+\}/, encoded)}?${parameters}`
        const hasBody = route.method !== 'GET' && (route.method as string) !== 'DELETE'
        const { status, text } = await call(url, {
          method: route.method,
          ...(hasBody ? { body: sent, headers: { 'content-type': contentType } } : {}),
        })
        assert.ok(status < 500, `${route.method} ${url} ${sent}: ${status} ${text}`)
      },
    ),
    { seed: 20261124, numRuns: 400 },
  )
  assert.deepEqual(freshet.failures, [])
})

test('closing lets an answer under way end, closes kept connections, and takes no more', {
  timeout: 20_000,
}, async () => {
  const server = await freshet.serve({ closeTimeoutMs: 60_000 })
  const url = new URL(await server.listen())
  const idle = connect(Number(url.port), '127.0.0.1')
  const idleClosed = new Promise((resolve) => idle.once('close', resolve))
  await new Promise((resolve) => idle.once('connect', resolve))
  idle.write('GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await new Promise((resolve) => idle.once('data', resolve))

  const { service } = freshet
  const restore = service.ready
  const entered = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  service.ready = async () => {
    entered.resolve()
    await gate.promise
    return { ready: true, why: null }
  }
  try {
    const underWay = fetch(new URL('/ready', url))
    await entered.promise
    const closed = server.close()
    await idleClosed
    gate.resolve()
    const response = await underWay
    assert.equal(response.status, 200)
    await response.text()
    await closed
    await assert.rejects(fetch(new URL('/live', url)))
  } finally {
    service.ready = restore
    gate.resolve()
  }
})
