/** Who may call what, on this machine and beyond it. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { caller } from './call.ts'
import { type ServedFreshet, startServedFreshet } from './served-freshet.ts'

const SECRET = 'sixteen-letters-and-more'

let freshet: ServedFreshet
const { call, refused } = caller(() => freshet)

describe('access', () => {
  before(async () => {
    freshet = await startServedFreshet()
  })

  after(() => freshet.close())

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
    for (const headers of [
      { host: 'localhost:7710', origin: 'http://localhost:7710' },
      { host: '[::1]:7710' },
    ])
      assert.equal((await call('/v1/parked/retry', from(headers))).status, 200)
  })

  test('guessing the secret is limited as any call is', async () => {
    const server = await freshet.serve({ adminSecret: SECRET, requestsPerMinuteMax: 2 })
    const guess = { headers: { authorization: 'Bearer a-guess-of-sixteen' }, on: server }
    await refused('/v1/parked', guess, 401, 'admin-secret')
    await refused('/v1/parked', guess, 401, 'admin-secret')
    await refused('/v1/parked', guess, 429, 'request-rate')
  })
})
