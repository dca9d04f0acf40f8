/** The client against the double: what it asks, whom it asks, and who must act when it gets no answer. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import type { RegistryHttpOptions } from '../../../src/drivers/registry/registry-http.ts'
import type { RegistrySettings } from '../../../src/drivers/registry/registry-settings.ts'
import { ConfigError, UnavailableError } from '../../../src/errors.ts'
import { recordSchema, registryContract } from './registry-contract.ts'
import { type RegistryDouble, startRegistryDouble } from './registry-double.ts'

const SECRET = 'correct horse'

let double: RegistryDouble
let other: RegistryDouble
let guarded: RegistryDouble

function client(settings: Partial<RegistrySettings>, options: RegistryHttpOptions = {}): RegistryClient {
  const base = { urls: [double.url], username: null, password: null, timeoutMs: 5_000, cacheSize: 10 }
  return new RegistryClient({ ...base, ...settings }, options)
}

/** Notes how long it was told to wait, and doesn't. */
function noted(): { waits: number[]; options: RegistryHttpOptions } {
  const waits: number[] = []
  return { waits, options: { roundsMax: 3, sleep: async (ms) => void waits.push(ms) } }
}

const unavailable = (message: RegExp, retryAfterMs?: number) => (error: unknown) => {
  assert.ok(error instanceof UnavailableError, String(error))
  assert.equal(error.code, 'registry-unavailable')
  assert.match(error.message, message)
  if (retryAfterMs !== undefined) assert.equal(error.retryAfterMs, retryAfterMs)
  return true
}

const config = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ConfigError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  assert.doesNotMatch(error.message, new RegExp(SECRET))
  return true
}

describe('the client of a registry', () => {
  before(async () => {
    double = await startRegistryDouble()
    other = await startRegistryDouble({ hasGuids: false, path: '/apis/ccompat/v7' })
    guarded = await startRegistryDouble({ username: 'me', password: SECRET })
    other.put('a-value', recordSchema('A'))
  })

  beforeEach(() => {
    for (const one of [double, other, guarded]) {
      one.fault = null
      one.requests.length = 0
    }
  })

  after(() => Promise.all([double.close(), other.close(), guarded.close()]))

  registryContract('the double', () => double.url)
  registryContract('the double below a path, without GUIDs', () => other.url)
  registryContract('the double that asks for a secret', () => guarded.url, {
    username: 'me',
    password: SECRET,
  })

  test('a GUID finds the schema that its id finds', async () => {
    const { id, guid } = double.put('guid-value', recordSchema('G'))
    assert.deepEqual(await client({}).schema(guid), await client({}).schema(id))
  })

  test('an id beyond 31 bits is nobody’s, and nobody is asked', async () => {
    assert.equal(await client({}).schema(0x8000_0000), undefined)
    assert.equal(await client({}).schema(Number.NaN), undefined)
    assert.deepEqual(double.requests, [])
  })

  test('the next address answers for one that is down, and is asked first from then on', async () => {
    const both = client({ urls: [double.url, other.url] }, { roundsMax: 1 })
    double.fault = { kind: 'down' }
    assert.deepEqual(await both.versions('a-value'), [1])
    assert.deepEqual(await both.versions('a-value'), [1])
    assert.equal(double.requests.length, 1)
    other.fault = { kind: 'status', status: 500 }
    double.fault = null
    assert.equal(await both.versions('a-value'), undefined)
  })

  test('an id is unknown only when every address that answers says so', async () => {
    const both = client({ urls: [double.url, other.url] }, { roundsMax: 1 })
    double.fault = { kind: 'lags', answers: 1 }
    assert.equal((await both.schema(1))?.text, recordSchema('A'))
    other.fault = { kind: 'down' }
    assert.equal(await both.schema(99), undefined)
  })

  for (const [what, fault, message] of [
    ['is down', { kind: 'down' }, /other side closed/],
    ['answers 500', { kind: 'status', status: 500 }, /status 500/],
    ['answers 429', { kind: 'status', status: 429 }, /status 429/],
    ['is silent', { kind: 'hangs' }, /no answer in 300 ms/],
  ] as const)
    test(`a registry that ${what} is tried three times, ever later, and then it is nobody's fault yet`, async () => {
      const { waits, options } = noted()
      double.fault = fault
      await assert.rejects(
        // Only silence is waited for: an answer may take its time on a busy machine.
        client({ timeoutMs: fault.kind === 'hangs' ? 300 : 10_000 }, options).versions('a-value'),
        unavailable(message, 1_000),
      )
      assert.deepEqual(waits, [200, 400])
      assert.equal(double.requests.length, 3)
    })

  test('nobody listens: the system’s own words are passed on', async () => {
    const gone = await startRegistryDouble()
    await gone.close()
    await assert.rejects(
      client({ urls: [gone.url] }, { roundsMax: 1 }).check(),
      unavailable(/ECONNREFUSED 127\.0\.0\.1/),
    )
  })

  test('a registry says itself when to come back; what is too long is passed on to whoever waits', async () => {
    const { waits, options } = noted()
    double.fault = { kind: 'status', status: 503, headers: { 'retry-after': '3' } }
    await assert.rejects(client({}, options).check(), unavailable(/status 503/, 3_000))
    assert.deepEqual(waits, [3_000, 3_000])
    double.fault = { kind: 'status', status: 429, headers: { 'retry-after': '120' } }
    await assert.rejects(client({}, options).check(), unavailable(/status 429/, 120_000))
    assert.equal(waits.length, 2, 'it was not waited for')
    double.fault = {
      kind: 'status',
      status: 503,
      headers: { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' },
    }
    await assert.rejects(client({}, options).check(), unavailable(/status 503/, 0))
  })

  test('a wrong secret, or none, is for the operator; it is not tried again and not repeated', async () => {
    const wrong = client({ urls: [guarded.url], username: 'me', password: `${SECRET}!` })
    await assert.rejects(wrong.check(), config('registry-unauthorized', /status 401/))
    await assert.rejects(
      client({ urls: [guarded.url] }).versions('a'),
      config('registry-unauthorized', /events\.registry\.username/),
    )
    assert.equal(guarded.requests.length, 2)
    double.fault = { kind: 'status', status: 403 }
    await assert.rejects(client({}).check(), config('registry-unauthorized', /status 403/))
  })

  test('a secret does not follow a redirect', async () => {
    guarded.fault = { kind: 'redirect', to: `${double.url}/schemas/types` }
    const sent = client({ urls: [guarded.url], username: 'me', password: SECRET }, { roundsMax: 1 })
    await assert.rejects(sent.check(), unavailable(/redirect/))
    assert.deepEqual(double.requests, [])
  })

  test('what answers as no registry does is for the operator', async () => {
    for (const [fault, message] of [
      [{ kind: 'page' }, /status 200 with <html>/],
      [{ kind: 'json', body: { hello: 'world' } }, /status 200 with {"hello"/],
      [{ kind: 'json', body: null }, /status 200 with null/],
      [{ kind: 'endless' }, /more than 4194304 bytes/],
      [{ kind: 'status', status: 404 }, /status 404 with not now/],
      [{ kind: 'status', status: 400 }, /status 400 with not now/],
    ] as const) {
      double.fault = fault
      const refused = config('registry-answer', message)
      await assert.rejects(client({}).schema(1), refused)
      await assert.rejects(client({}).versions('a'), refused)
      await assert.rejects(client({}).find('a', '"int"'), refused)
      await assert.rejects(client({}).level('a'), refused)
      await assert.rejects(client({}).register('a', '"int"'), refused)
      await assert.rejects(client({}).compatibility('a', '"int"', 'FULL'), refused)
    }
    const nowhere = client({ urls: [other.url.replace('ccompat', 'nothing')] })
    await assert.rejects(nowhere.schema(1), config('registry-answer', /may lie below a path/))
  })

  test('answers of a shape that nobody can use are refused, whichever field it is', async () => {
    const schema = '"int"'
    for (const body of [
      { schema: 7 },
      { schema, schemaType: 7 },
      { schema, references: 'a' },
      { schema, references: [{ name: 'a', subject: 'b' }] },
    ]) {
      double.fault = { kind: 'json', body }
      await assert.rejects(client({}).schema(1), config('registry-answer', /status 200/))
    }
    double.fault = { kind: 'json', body: { schema, references: null } }
    assert.deepEqual(await client({}).schema(1), { text: schema, type: 'AVRO', references: [] })
    double.fault = { kind: 'json', body: { schema, id: 1, version: '1' } }
    await assert.rejects(client({}).version('a', 1), config('registry-answer', /status 200/))
    double.fault = { kind: 'json', body: [1, 'two'] }
    await assert.rejects(client({}).versions('a'), config('registry-answer', /status 200/))
  })

  test('a subject is one part of a path, whatever its name', async () => {
    const subject = ':.ctx:a/b ?#%-value'
    double.put(subject, recordSchema('Odd'))
    assert.deepEqual(await client({}).versions(subject), [1])
  })

  test('an address that is none, or that holds a secret, is refused without being repeated', () => {
    for (const url of ['registry:8081', 'ftp://registry', ''])
      assert.throws(() => client({ urls: [url] }), config('registry-url', /https:\/\/registry\.example/))
    for (const url of [`https://me:${SECRET}@a`, `https://a?k=${SECRET}`, `https://a#${SECRET}`])
      assert.throws(() => client({ urls: [url] }), config('registry-url', /username and password/))
    assert.throws(() => client({ urls: [] }), config('registry-url', /got no URL/))
  })

  test('closing ends what is under way', async () => {
    double.fault = { kind: 'hangs' }
    const one = client({})
    const asked = one.check()
    one.close()
    await assert.rejects(asked, unavailable(/aborted/))
  })
})
