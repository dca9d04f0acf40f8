/** Schemas from a registry behind the synchronous port: who is asked how often, and what is thrown meanwhile. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../../../src/drivers/registry/registry-schemas.ts'
import { RecordError, UnavailableError } from '../../../src/errors.ts'
import { ownSchema } from '../../../src/events/own-schemas.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import { recordSchema } from './registry-contract.ts'
import { type RegistryDouble, startRegistryDouble } from './registry-double.ts'

let double: RegistryDouble

/** A source on a clock of the test's own; waits are noted and are over at once. */
function source(cacheSize = 100) {
  const clock = { nowMs: 1_700_000_000_000 }
  const waits: number[] = []
  const base = { urls: [double.url], username: null, password: null, timeoutMs: 5_000, cacheSize }
  const schemas = new RegistrySchemas({
    client: new RegistryClient(base, { roundsMax: 1 }),
    directory: directorySchemas(null, { 900: 'search' }),
    cacheSize,
    nowMs: () => clock.nowMs,
    sleep: async (ms) => void waits.push(ms),
  })
  return { schemas, clock, waits }
}

/** What the port throws. */
function thrown(schemas: RegistrySchemas, id: number | string): UnavailableError {
  try {
    schemas.byId(id)
  } catch (error) {
    assert.ok(error instanceof UnavailableError, String(error))
    return error
  }
  return assert.fail(`expected id ${id} to be unavailable`)
}

/** Asks, waits for the answer, and asks again. */
async function answered(schemas: RegistrySchemas, id: number | string): Promise<unknown> {
  const { code, answered } = thrown(schemas, id)
  assert.equal(code, 'schema-asked')
  await answered
  return schemas.byId(id)
}

describe('schemas from a registry', () => {
  before(async () => {
    double = await startRegistryDouble()
    for (const name of ['A', 'B', 'C']) double.put(`${name}-value`, recordSchema(name))
  })

  beforeEach(() => {
    double.fault = null
    double.requests.length = 0
  })

  after(() => double.close())

  test('whoever asks meanwhile shares one request, and the answer is kept for good', async () => {
    const { schemas, clock } = source()
    const first = thrown(schemas, 1)
    const second = thrown(schemas, 1)
    assert.equal(first.answered, second.answered)
    await first.answered
    assert.deepEqual(schemas.byId(1), JSON.parse(recordSchema('A')))
    clock.nowMs += 1e12
    assert.equal(schemas.byId(1), schemas.byId(1))
    assert.deepEqual(double.requests, ['GET /schemas/ids/1'])
  })

  test('a GUID is one in whatever case it is written', async () => {
    const { schemas } = source()
    const { guid } = double.put('A-value', recordSchema('A'))
    const schema = await answered(schemas, guid)
    assert.deepEqual(schema, JSON.parse(recordSchema('A')))
    assert.equal(schemas.byId(guid.toUpperCase()), schema)
    assert.equal(double.requests.length, 1)
  })

  test('an id that the operator maps to a file is never asked for; fingerprints and names are the directory’s', () => {
    const { schemas } = source()
    assert.equal(schemas.byId(900), schemas.byName('search'))
    assert.deepEqual(schemas.byName('search.avsc'), ownSchema('search'))
    assert.equal(schemas.byFingerprint('0011223344556677'), undefined)
    assert.deepEqual(double.requests, [])
  })

  test('an unknown id is doubted once, then unknown for half a minute, then asked for again', async () => {
    const { schemas, clock, waits } = source()
    assert.equal(await answered(schemas, 77), undefined)
    assert.deepEqual(waits, [1_000])
    assert.equal(double.requests.length, 2)
    clock.nowMs += 29_999
    assert.equal(schemas.byId(77), undefined)
    assert.equal(double.requests.length, 2)
    clock.nowMs += 1
    assert.equal(await answered(schemas, 77), undefined)
  })

  test('a replica that hasn’t heard of an id yet sends no record to the dead letters', async () => {
    const { schemas } = source()
    double.fault = { kind: 'lags', answers: 1 }
    assert.deepEqual(await answered(schemas, 2), JSON.parse(recordSchema('B')))
  })

  test('many unknown ids at once are believed at once: poison holds nobody up', async () => {
    const { schemas, waits } = source()
    for (let id = 100; id < 120; id++) assert.equal(await answered(schemas, id), undefined)
    assert.equal(waits.length, 8)
    assert.deepEqual(await answered(schemas, 3), JSON.parse(recordSchema('C')))
  })

  test('unknown ids, however many, push no schema out; too many schemas push out the one not used for longest', async () => {
    const { schemas } = source(2)
    await answered(schemas, 1)
    await answered(schemas, 2)
    for (let id = 100; id < 110; id++) await answered(schemas, id)
    schemas.byId(1)
    double.requests.length = 0
    await answered(schemas, 3)
    schemas.byId(1)
    assert.deepEqual(double.requests, ['GET /schemas/ids/3'])
    await answered(schemas, 2)
  })

  test('a registry that is down is asked again ever later, and what it says then counts at once', async () => {
    const { schemas, clock } = source()
    double.fault = { kind: 'down' }
    const waits: number[] = []
    for (let i = 0; i < 6; i++) {
      await thrown(schemas, 1).answered
      const error = thrown(schemas, 1)
      assert.equal(error.code, 'schema-unanswered')
      assert.equal(error.answered, null)
      assert.match(error.message, /id 1 .*registry-unavailable: .*other side closed/)
      waits.push(error.retryAfterMs)
      clock.nowMs += error.retryAfterMs - 1
      assert.equal(thrown(schemas, 1).retryAfterMs, 1)
      assert.equal(double.requests.length, i + 1)
      clock.nowMs += 1
    }
    assert.deepEqual(waits, [1_000, 1_000, 2_000, 4_000, 5_000, 5_000])
    double.fault = null
    assert.deepEqual(await answered(schemas, 1), JSON.parse(recordSchema('A')))
  })

  test('a registry says itself when to come back, within a minute', async () => {
    const { schemas, clock } = source()
    for (const [header, waitMs] of [
      ['20', 20_000],
      ['86400', 60_000],
    ] as const) {
      double.fault = { kind: 'status', status: 429, headers: { 'retry-after': header } }
      await thrown(schemas, 1).answered
      assert.equal(thrown(schemas, 1).retryAfterMs, waitMs)
      clock.nowMs += waitMs
    }
  })

  for (const [what, fault, message] of [
    ['refuses us', { kind: 'status', status: 401 }, /registry-unauthorized: .*username/],
    ['answers as something else', { kind: 'page' }, /registry-answer: .*<html>/],
  ] as const)
    test(`a registry that ${what} while we run is waited for: nothing is lost, and the reason is said`, async () => {
      const { schemas } = source()
      double.fault = fault
      await thrown(schemas, 1).answered
      const error = thrown(schemas, 1)
      assert.equal(error.code, 'schema-unanswered')
      assert.match(error.message, message)
      assert.equal(error.retryAfterMs, 500)
    })

  test('what is no Avro schema is the record’s fault, for as long as an unknown one', async () => {
    const { schemas, clock } = source()
    const odd = [
      double.put('proto', 'syntax = "proto3";', { schemaType: 'PROTOBUF' }),
      double.put('broken', '{"type":'),
      double.put('leaning', recordSchema('L'), { references: [{ name: 'x', subject: 'gone', version: 1 }] }),
      // Deep enough to exhaust the stack of whoever takes it apart.
      double.put('deep', `${'['.repeat(100_000)}"int"${']'.repeat(100_000)}`, {
        references: [{ name: 'test.registry.A', subject: 'A-value', version: 1 }],
      }),
    ]
    for (const { id } of odd) {
      await thrown(schemas, id).answered
      const refused = (error: unknown) =>
        error instanceof RecordError && error.code === 'record-schema-unknown'
      assert.throws(() => schemas.byId(id), refused)
      assert.throws(() => schemas.byId(id), refused)
      clock.nowMs += 30_000
      await thrown(schemas, id).answered
    }
  })

  test('what a schema leans on is fetched with it', async () => {
    const { schemas } = source()
    const references = [{ name: 'test.registry.A', subject: 'A-value', version: 1 }]
    const { id } = double.put('W-value', recordSchema('W', { name: 'a', type: 'test.registry.A' }), {
      references,
    })
    const whole = (await answered(schemas, id)) as { fields: { type: unknown }[] }
    assert.deepEqual(whole.fields[1]!.type, JSON.parse(recordSchema('A')))
  })

  test('closing lets nobody wait', async () => {
    const { schemas } = source()
    double.fault = { kind: 'hangs' }
    const error = thrown(schemas, 1)
    schemas.close()
    await error.answered
    assert.match(thrown(schemas, 1).message, /aborted/)
  })
})
