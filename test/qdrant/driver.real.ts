/** The contract of stores and the driver's promises, on the real server that QDRANT_URL names. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { openQdrant } from '../../src/drivers/qdrant/open-qdrant.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { qdrantPromises } from '../drivers/qdrant/driver-promises.ts'
import { vectorStoreContract } from '../vectors/vector-store-contract.ts'
import { namedServer, settingsFor } from './named-server.ts'

const server = namedServer()
if (server === null) throw new Error('expected QDRANT_URL: run npm run test:qdrant')

const overGrpc = server.grpcUrl === null ? [] : [server]
for (const way of [{ ...server, grpcUrl: null }, ...overGrpc]) {
  const what = `a real server, points over ${way.grpcUrl === null ? 'REST' : 'gRPC'}`
  vectorStoreContract(what, async (clock) => {
    const store = await openQdrant(settingsFor(way, `t${randomBytes(6).toString('hex')}-`), clock)
    return { store, dispose: () => store.close() }
  })
  qdrantPromises(what, async () => ({ ...way, double: null, dispose: async () => {} }))
}

test('a server that wants a key takes no other and none', {
  skip: server.apiKey === null && 'no QDRANT_API_KEY',
}, async () => {
  for (const apiKey of [null, 'not-the-key'])
    await assert.rejects(openQdrant({ ...settingsFor(server, ''), apiKey }, systemClock), {
      name: 'ConfigError',
      code: 'qdrant-key',
    })
})
