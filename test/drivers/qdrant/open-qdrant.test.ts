import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import type { QdrantSettings } from '../../../src/drivers/qdrant/qdrant-settings.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import { opensslMissing } from '../../kafka/certificates.ts'
import { type DoubleOptions, type QdrantDouble, startQdrantDouble } from './double/qdrant-double.ts'
import { startFaultyProxy } from './faulty-proxy.ts'
import { startScriptedServer } from './scripted-server.ts'
import { settingsOf } from './settings-of.ts'

const clock: Clock = { nowMs: () => 0, sleep: async () => {} }

async function opened(
  options: DoubleOptions,
  changes: Partial<QdrantSettings>,
  check: (work: Promise<unknown>) => Promise<void>,
) {
  const double = await startQdrantDouble(options)
  try {
    const work = openQdrant(settingsOf(double.url, changes), clock).then((store) => store.close())
    await check(work)
    assertUntouched(double)
  } finally {
    await double.close()
  }
}

/** A change of aliases that holds none is all that opening asks beyond reading. */
function assertUntouched({ log }: QdrantDouble): void {
  for (const { endpoint, body } of log.requests)
    if (!endpoint.startsWith('GET ')) assert.deepEqual(body, { actions: [] })
}

test('servers of 1.18 and later are opened, older ones are told what they lack', async () => {
  for (const version of ['1.18.0', '1.19.0', '1.19.1', '1.20.0-dev', '1.117.3', '2.0.0'])
    await opened({ version }, {}, (work) => assert.doesNotReject(work))
  const lacking: [string, RegExp][] = [
    ['1.17.9', /got 1\.17\.9, which lacks vector names that come and go with instructions: upgrade/],
    ['1.15.4', /lacks update_mode; vector names/],
    ['1.15.3', /lacks conditional writes .*; update_mode; vector names/],
    ['0.11.1', /lacks conditional writes/],
  ]
  for (const [version, message] of lacking)
    await opened({ version }, {}, (work) =>
      assert.rejects(work, { name: 'ConfigError', code: 'qdrant-version', message }),
    )
})

test('a key is checked before anything is written', async () => {
  const keys = { apiKey: 'may-do-all', readOnlyApiKey: 'may-read' }
  await opened(keys, { apiKey: 'may-do-all' }, (work) => assert.doesNotReject(work))
  const wrong: [string | null, string][] = [
    ['may-read', 'qdrant-key-read-only'],
    ['another', 'qdrant-key'],
    [null, 'qdrant-key'],
  ]
  for (const [apiKey, code] of wrong)
    await opened(keys, { apiKey }, (work) =>
      assert.rejects(work, { name: 'ConfigError', code, message: /^(?!.*may-)/s }),
    )
})

test('a key for some collections only is judged by its first write, not before', async () => {
  const server = await startScriptedServer(({ url }) =>
    url === '/'
      ? { body: { title: 'qdrant - vector search engine', version: '1.19.0' } }
      : { status: 403, body: { status: { error: 'Forbidden: Global access is required' }, time: 0 } },
  )
  await (await openQdrant(settingsOf(server.url), clock)).close()
  await server.close()
})

test('what is no Qdrant server is named so', async () => {
  for (const [status, body] of [
    [200, '<html>It works!</html>'],
    [404, '<html>Not found</html>'],
    [200, { name: 'elasticsearch' }],
    [301, ''],
  ] as const) {
    const server = await startScriptedServer(() => ({ status, body }))
    await assert.rejects(openQdrant(settingsOf(server.url), clock), {
      name: 'ConfigError',
      code: 'qdrant-url',
    })
    await server.close()
  }
})

test('the port of gRPC in place of the one of REST is named at once, and so is a path too much', async () => {
  // What an HTTP/2 server says first, whatever it was sent: an empty frame of settings.
  const http2 = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])))
  })
  await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve))
  const { port } = http2.address() as AddressInfo
  await assert.rejects(openQdrant(settingsOf(`http://127.0.0.1:${port}`), clock), {
    name: 'ConfigError',
    code: 'qdrant-url',
    message: new RegExp(`at http://127\\.0\\.0\\.1:${port}, got another protocol`),
  })
  await new Promise((resolve) => http2.close(resolve))
  const double = await startQdrantDouble()
  await assert.rejects(openQdrant(settingsOf(`${double.url}/dashboard`), clock), {
    code: 'qdrant-url',
    message: /at http:.*\/dashboard, got something else: .* without the path/,
  })
  await double.close()
})

test('a server that is not there, or does not answer, is nobody’s fault yet', async () => {
  const double = await startQdrantDouble()
  const proxy = await startFaultyProxy(double.url)
  const unavailable = { name: 'UnavailableError', code: 'qdrant-unavailable' }
  proxy.stall('requests')
  await assert.rejects(openQdrant(settingsOf(proxy.url, { timeoutMs: 50 }), clock), unavailable)
  await proxy.refuse()
  await assert.rejects(openQdrant(settingsOf(proxy.url), clock), {
    ...unavailable,
    message: new RegExp(`at ${proxy.url}: expected an answer, got ECONNREFUSED: .* its address`),
  })
  await proxy.close()
  await double.close()
})

test('who starts freshet waits ten seconds for a silent server, whatever a write may take', async (t) => {
  const server = await startScriptedServer(() => 'hang')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const opening = openQdrant(settingsOf(server.url, { timeoutMs: 30_000 }), clock)
  opening.catch(() => {})
  while (server.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(10_000)
  await assert.rejects(opening, {
    code: 'qdrant-unavailable',
    message: /an answer within 10000 ms, got none/,
  })
  t.mock.timers.reset()
  await server.close()
})

test('a server that speaks no TLS is named at once', async () => {
  const plain = await startScriptedServer(() => ({ body: {} }))
  await assert.rejects(openQdrant(settingsOf(plain.url.replace('http:', 'https:')), clock), {
    name: 'ConfigError',
    code: 'qdrant-tls',
    message: /got ERR_SSL_/,
  })
  await plain.close()
})

test('a certificate that nobody vouches for is named at once', {
  skip: opensslMissing() ?? false,
}, async () => {
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const named = ['-days', '2', '-subj', '/CN=127.0.0.1', '-keyout', '-', '-out', '-']
  const pem = execFileSync('openssl', [...request, ...named], { encoding: 'utf8', stdio: 'pipe' })
  const server = await startScriptedServer(() => ({ body: {} }), { key: pem, cert: pem })
  await assert.rejects(openQdrant(settingsOf(server.url), clock), {
    name: 'ConfigError',
    code: 'qdrant-tls',
    message: /got DEPTH_ZERO_SELF_SIGNED_CERT.*NODE_EXTRA_CA_CERTS/,
  })
  assert.equal(server.requests.length, 0)
  await server.close()
})

test('a key in clear is refused before there is a connection', async () => {
  await assert.rejects(openQdrant(settingsOf('http://qdrant.example:6333', { apiKey: 'k' }), clock), {
    name: 'ConfigError',
    code: 'qdrant-secret-in-clear',
  })
})
