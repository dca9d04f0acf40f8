import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RestClient } from '../../../src/drivers/qdrant/rest-client.ts'
import { UnavailableError } from '../../../src/errors.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import { framed, type ScriptedServer, startScriptedServer } from './scripted-server.ts'
import { settingsOf } from './settings-of.ts'

const clock: Clock = { nowMs: () => Date.parse('2026-11-24T12:00:00Z'), sleep: async () => {} }
const ASKED = { what: 'try', collection: null }

/** The two ways to the server, and what each asks here. */
const WAYS = {
  'through the client': (rest: RestClient) => rest.result(ASKED, (api, init) => api.getCollections({}, init)),
  'past the client': (rest: RestClient) => rest.post(ASKED, '/collections/c/points', { ids: [] }),
}

type Reply = Parameters<typeof startScriptedServer>[0]

async function withServer(
  reply: Reply,
  run: (rest: RestClient, server: ScriptedServer) => Promise<void>,
  changes: Parameters<typeof settingsOf>[1] = {},
): Promise<void> {
  const server = await startScriptedServer(reply)
  const rest = new RestClient(settingsOf(server.url, changes), clock)
  try {
    await run(rest, server)
  } finally {
    await rest.close()
    await server.close()
  }
}

async function errorOf(work: Promise<unknown>): Promise<UnavailableError> {
  const error = await work.then(
    () => assert.fail('it was answered'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof UnavailableError, `${error}`)
  return error
}

for (const [way, ask] of Object.entries(WAYS)) {
  test(`${way}: no reply comes compressed, for those stall, and the key goes with every request`, async () => {
    await withServer(
      () => framed({ collections: [] }),
      async (rest, { requests }) => {
        await ask(rest)
        const { headers } = requests[0]!
        assert.equal(headers['accept-encoding'], 'identity')
        assert.equal(headers['api-key'], 'a-secret-key')
      },
      { apiKey: 'a-secret-key' },
    )
  })

  test(`${way}: a kept connection that the server closed meanwhile costs a second try, and no error`, async () => {
    await withServer(
      ({ ofConnection }) => (ofConnection === 1 ? framed({ collections: [] }) : null),
      async (rest, server) => {
        for (let i = 0; i < 5; i++) await ask(rest)
        assert.ok(server.requests.some(({ ofConnection }) => ofConnection === 2))
      },
      { connectionsMax: 1 },
    )
  })

  test(`${way}: a server that closes on everybody is asked twice, and then waited for`, async () => {
    await withServer(
      () => null,
      async (rest, { requests }) => {
        assert.equal((await errorOf(ask(rest))).code, 'qdrant-unavailable')
        assert.equal(requests.length, 2)
      },
    )
  })

  test(`${way}: a server that never answers is given up after the time-out`, async () => {
    await withServer(
      () => 'hang',
      async (rest, { requests }) => {
        assert.match((await errorOf(ask(rest))).message, /an answer within 600 ms/)
        assert.equal(requests.length, 1)
      },
      { timeoutMs: 600 },
    )
  })

  test(`${way}: Retry-After is kept whole, as seconds and as a date`, async () => {
    const headers = ['37', 'Tue, 24 Nov 2026 12:00:45 GMT', '600']
    const sent = [...headers]
    await withServer(
      () => ({
        status: 429,
        headers: { 'retry-after': sent.shift()! },
        body: { status: { error: 'slow down' } },
      }),
      async (rest) => {
        const waits: number[] = []
        for (const _ of headers) waits.push((await errorOf(ask(rest))).retryAfterMs)
        assert.deepEqual(waits, [37_000, 45_000, 60_000])
      },
    )
  })

  test(`${way}: a redirect is not followed, the key goes to nobody else`, async () => {
    await withServer(
      () => ({ status: 307, headers: { location: 'http://127.0.0.1:9/' }, body: '' }),
      async (rest, { requests }) => {
        await assert.rejects(ask(rest), { code: 'qdrant-url', name: 'ConfigError' })
        assert.equal(requests.length, 1)
      },
    )
  })

  test(`${way}: a page of HTML is no answer, whatever its status`, async () => {
    for (const status of [200, 404, 502])
      await withServer(
        () => ({ status, body: '<html>Sign in</html>' }),
        async (rest) => assert.match((await errorOf(ask(rest))).message, /<html>Sign in/),
      )
  })

  test(`${way}: no more connections than allowed, however much is asked at once`, async () => {
    await withServer(
      () => framed({ collections: [] }),
      async (rest, server) => {
        await Promise.all(Array.from({ length: 40 }, () => ask(rest)))
        assert.equal(server.requests.length, 40)
        assert.ok(server.connections <= 3, `${server.connections}`)
      },
      { connectionsMax: 3 },
    )
  })

  test(`${way}: closing ends what hangs, and what is asked afterwards`, async () => {
    await withServer(
      () => 'hang',
      async (rest) => {
        const hung = errorOf(ask(rest))
        await rest.close()
        assert.equal((await hung).code, 'vectors-closed')
        assert.equal((await errorOf(ask(rest))).code, 'vectors-closed')
      },
    )
  })
}

test('a path in the address goes before every request', async () => {
  const server = await startScriptedServer(() => framed({ collections: [] }))
  const rest = new RestClient(settingsOf(`${server.url}/behind/a/proxy/`), clock)
  for (const ask of Object.values(WAYS)) await ask(rest)
  assert.deepEqual(
    server.requests.map(({ url }) => url),
    ['/behind/a/proxy/collections', '/behind/a/proxy/collections/c/points'],
  )
  await rest.close()
  await server.close()
})

test('a body in slices arrives whole, and anew at a second try', async () => {
  const bodies: unknown[] = []
  await withServer(
    ({ body, ofConnection, url }) => {
      if (url.startsWith('/collections/c/points')) bodies.push(body)
      return ofConnection === 2 ? null : framed({ operation_id: 1, status: 'completed' })
    },
    async (rest) => {
      async function* slices() {
        yield Buffer.from('{"points":[1,')
        yield Buffer.from('2,3]}')
      }
      for (let i = 0; i < 2; i++)
        assert.equal((await rest.put(ASKED, '/collections/c/points?wait=true', slices)).kind, 'done')
      assert.deepEqual(bodies, Array(3).fill({ points: [1, 2, 3] }))
    },
    { connectionsMax: 1 },
  )
})
