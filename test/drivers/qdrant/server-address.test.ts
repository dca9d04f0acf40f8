import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serverAddress } from '../../../src/drivers/qdrant/server-address.ts'

test('an address keeps its port and its path, and takes the port of its scheme where none is stated', () => {
  const read: [string, string, number, string][] = [
    ['http://qdrant:6333', 'http://qdrant:6333', 6333, ''],
    ['http://qdrant', 'http://qdrant:80', 80, ''],
    ['https://qdrant.example', 'https://qdrant.example:443', 443, ''],
    ['https://qdrant.example:443/', 'https://qdrant.example:443', 443, ''],
    ['https://example.org/search/qdrant/', 'https://example.org:443', 443, '/search/qdrant'],
    ['http://[::1]:6333', 'http://[::1]:6333', 6333, ''],
  ]
  for (const [url, origin, port, prefix] of read)
    assert.deepEqual(serverAddress(url, null), { origin, port, prefix })
})

test('a key never travels in clear beyond this machine', () => {
  for (const url of [
    'http://qdrant:6333',
    'http://10.0.0.7',
    'http://[2001:db8::1]:6333',
    'http://localhost.evil.org',
  ])
    assert.throws(() => serverAddress(url, 'secret-key'), {
      code: 'qdrant-secret-in-clear',
      message: /^(?!.*secret-key)/s,
    })
  for (const url of [
    'http://127.0.0.1:6333',
    'http://127.1.2.3',
    'http://localhost:6333',
    'http://[::1]:6333',
  ])
    assert.ok(serverAddress(url, 'secret-key'))
  assert.ok(serverAddress('https://qdrant.example', 'secret-key'))
})

test('what is no address of a server is refused, and a password in it is not repeated', () => {
  for (const url of ['qdrant:6333', '127.0.0.1:6333', 'ftp://qdrant', '', 'http://', 'grpc://qdrant:6334'])
    assert.throws(() => serverAddress(url, null), { code: 'qdrant-url' }, url)
  for (const url of ['me:hunter2@qdrant:6333', 'ftp://me:hunter2@qdrant', 'http//me:hunter2@qdrant'])
    assert.throws(() => serverAddress(url, null), { code: 'qdrant-url', message: /^(?!.*hunter2)/s }, url)
  for (const url of ['https://me:hunter2@qdrant', 'https://qdrant?api-key=hunter2', 'https://qdrant#hunter2'])
    assert.throws(() => serverAddress(url, null), { code: 'qdrant-url', message: /^(?!.*hunter2)/s }, url)
})
