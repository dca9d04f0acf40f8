/** What the whole program promises, on the real server that QDRANT_URL names. */

import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { readerPromises } from '../cli/qdrant/reader-promises.ts'
import { writerPromises } from '../cli/qdrant/writer-promises.ts'
import { QdrantStandalone, type withQdrant } from '../cli/qdrant-standalone.ts'
import { namedServer } from './named-server.ts'

const server = namedServer()
if (server === null) throw new Error('expected QDRANT_URL: run npm run test:qdrant')
const { url, apiKey } = server
const withServer: typeof withQdrant = async (use) => {
  const prefix = `t${randomBytes(6).toString('hex')}-`
  const qdrant = await QdrantStandalone.on({ url, apiKey, prefix, double: null })
  try {
    return await use(qdrant)
  } finally {
    await qdrant.close()
  }
}

if (url.startsWith('https:'))
  // Its certificate is not of the proxy's address, and faults need the proxy.
  test('the whole program on a real server', { skip: 'over TLS nothing can stand in between' }, () => {})
else {
  writerPromises('a real server', withServer)
  readerPromises('a real server', withServer)
}
