/** The server as a whole: its limits, what it says of itself, junk, and how it closes. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { RequestError } from '../../src/errors.ts'
import { codePoint } from '../tools/code-point.ts'
import { caller } from './call.ts'
import {
  BODY_BYTES_MAX,
  MODEL,
  type ServedFreshet,
  searchEvent,
  startServedFreshet,
} from './served-freshet.ts'

/** What these tests read of an OpenAPI operation. */
interface Operation {
  operationId?: string
  summary?: string
  security?: unknown
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

/** Parts of requests as nobody should send them, some of them nearly right. */
function junkRequests() {
  const junk = fc.oneof(
    fc.string({ unit: codePoint }),
    fc.constantFrom('', '..', '%00', 'null', '-1', '1e999', 'general'),
  )
  const body = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
    fc.string({ unit: codePoint }),
    fc
      .record(
        {
          instruction: fc.constantFrom('general', 'x', 7),
          k: fc.oneof(fc.integer(), fc.double()),
          users: fc.array(fc.record({ user: fc.oneof(junk, fc.integer()) }), { maxLength: 2 }),
          vector: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 65 }),
          model: fc.constantFrom(MODEL, 'other'),
          text: junk,
          texts: fc.array(junk, { maxLength: 2 }),
          id: fc.constantFrom('..', '-', 'UPPER', 'ok'),
          ids: fc.array(fc.integer(), { maxLength: 2 }),
          filter: fc.dictionary(
            fc.constantFrom('tenantId', 'segment', 'lastEventSinceMs', 'lastEventBeforeMs', 'zz'),
            junk,
          ),
          exact: fc.oneof(fc.boolean(), junk),
          after: junk,
          sample: fc.integer(),
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
      'lastEventBefore',
      'exact',
      'after',
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
  return { junk, query, type, body }
}

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('the HTTP server', () => {
  before(async () => {
    freshet = await startServedFreshet()
    const events = ['ada', 'bob'].map((user) => searchEvent(user, `hotels for ${user}`))
    assert.deepEqual(await freshet.service.ingest(events), { accepted: events.length, rejected: [] })
    await freshet.standalone.untilIdle()
  })

  after(() => freshet.close())

  test('probes, status, version and the page answer; live and ready follow the health', async () => {
    assert.deepEqual((await call('/live')).answer, { live: true, why: null })
    assert.deepEqual((await call('/ready')).answer, { ready: true, why: null, degraded: [] })
    assert.equal((await call('/status')).answer.model.id, MODEL)
    assert.deepEqual((await call('/version')).answer, { version: '0.0.0', node: process.versions.node })
    const metrics = await call('/metrics')
    assert.match(String(metrics.headers['content-type']), /^text\/plain; version=0\.0\.4/)
    assert.match(
      metrics.text,
      /^freshet_http_requests_total\{method="GET",route="\/live",status="200"\} \d+$/m,
    )
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
    assert.equal(operations.length, 26)
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

  test('the page of the API lists every route with who may call it, and no other', async () => {
    const page = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8')
    const listed = [...page.matchAll(/^\| `(\w+) (\S+)` \| (open|admin|probe) \|/gm)].map(
      ([, method, path, access]) => `${method} ${path} ${access === 'admin' ? 'admin' : 'open'}`,
    )
    const { paths } = (await call('/openapi.json')).answer
    const served = Object.entries(paths as Paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, { security }]) =>
          `${method.toUpperCase()} ${path} ${security === undefined ? 'open' : 'admin'}`,
      ),
    )
    assert.deepEqual(listed.sort(), served.sort())
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
    const routes = Object.entries<Record<string, unknown>>(
      (await call('/openapi.json')).answer.paths,
    ).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ path, method: method.toUpperCase() as 'GET' })),
    )
    const { junk, query, type, body } = junkRequests()
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
})
