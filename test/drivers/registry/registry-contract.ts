/** What freshet relies on in a schema registry: the double keeps it, and a real one is held against the same tests. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { type CompatibilityLevel, RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import { selfContained } from '../../../src/drivers/registry/schema-references.ts'
import { avroType } from '../../../src/events/avro.ts'

const SETTINGS = { username: null, password: null, timeoutMs: 10_000, cacheSize: 100 }

/** Ids that no registry gives away in a lifetime. */
const ID_UNKNOWN = 2_000_000_000
const GUID_UNKNOWN = '00000000-1111-4222-8333-444444444444'

/** A record of the test's own, so that registries that others use as well don't know it yet. */
export function recordSchema(name: string, ...fields: unknown[]): string {
  const id = { name: 'id', type: 'string' }
  return JSON.stringify({ type: 'record', name, namespace: 'test.registry', fields: [id, ...fields] })
}

/**
 * @param url asked when the tests run
 * @param credentials where the registry wants any
 */
export function registryContract(
  name: string,
  url: () => string,
  credentials: { username?: string; password?: string } = {},
): void {
  describe(`a schema registry: ${name}`, () => {
    let client: RegistryClient
    const subject = `contract-${randomUUID()}-value`
    const recordName = `R${randomUUID().replaceAll('-', '')}`
    const text = recordSchema(recordName)
    const optional = { name: 'city', type: ['null', 'string'], default: null }

    const register = async (to: string, schema: string): Promise<number> => {
      const answer = await client.register(to, schema)
      assert.ok('id' in answer, JSON.stringify(answer))
      return answer.id
    }
    /** Freshet never does. */
    const registerLeaning = async (to: string, schema: string, references: unknown): Promise<number> => {
      const { username = null, password = null } = credentials
      const headers: Record<string, string> = { 'content-type': 'application/vnd.schemaregistry.v1+json' }
      if (username !== null)
        headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
      const body = JSON.stringify({ schema, references })
      const response = await fetch(`${url()}/subjects/${to}/versions`, { method: 'POST', headers, body })
      return ((await response.json()) as { id: number }).id
    }
    const setLevel = async (to: string, level: CompatibilityLevel) =>
      assert.equal(await client.setLevel(to, level), null)

    before(() => {
      client = new RegistryClient({ ...SETTINGS, ...credentials, urls: [url()] })
    })

    test('it is known as a registry', () => client.check())

    test('what nobody registered is unknown, and nothing else', async () => {
      assert.equal(await client.schema(ID_UNKNOWN), undefined)
      assert.equal(await client.schema(GUID_UNKNOWN), undefined)
      assert.equal(await client.versions(`${subject}-none`), undefined)
      assert.equal(await client.version(`${subject}-none`, 1), undefined)
      assert.equal(await client.find(`${subject}-none`, text), undefined)
      assert.match(await client.level(`${subject}-none`), /^(NONE|(BACKWARD|FORWARD|FULL)(_TRANSITIVE)?)$/)
    })

    test('a schema has one id however often it is registered, and is found by it and under its subject', async () => {
      const to = `${subject}-same`
      const id = await register(to, text)
      assert.equal(await register(to, text), id)
      const schema = await client.schema(id)
      assert.deepEqual(JSON.parse(schema!.text), JSON.parse(text))
      assert.deepEqual([schema!.type, schema!.references], ['AVRO', []])
      assert.deepEqual(await client.versions(to), [1])
      const { id: foundId, version } = (await client.find(to, text))!
      assert.deepEqual([foundId, version], [id, 1])
      assert.equal((await client.version(to, 1))!.id, id)
      assert.equal(await client.version(to, 7), undefined)
      assert.equal(await client.find(to, recordSchema(`${recordName}Other`)), undefined)
    })

    test('the level of a subject decides what may follow', async () => {
      const to = `${subject}-level`
      await setLevel(to, 'FULL_TRANSITIVE')
      assert.equal(await client.level(to), 'FULL_TRANSITIVE')
      await register(to, text)
      const wider = recordSchema(recordName, optional)
      assert.deepEqual(await client.compatibility(to, wider, 'FULL_TRANSITIVE'), {
        isCompatible: true,
        reasons: [],
      })
      const narrow = recordSchema(recordName, { name: 'city', type: 'string' })
      assert.equal((await client.compatibility(to, narrow, 'FULL_TRANSITIVE')).isCompatible, false)
      const refused = await client.register(to, narrow)
      assert.ok('refused' in refused && refused.refused.length > 10, JSON.stringify(refused))
      assert.deepEqual(await client.versions(to), [1])
      await register(to, wider)
      assert.deepEqual(await client.versions(to), [1, 2])
      await setLevel(to, 'NONE')
      await register(to, narrow)
    })

    test('a transitive level looks at every version, another one at the latest', async () => {
      const to = `${subject}-transitive`
      await setLevel(to, 'FULL_TRANSITIVE')
      await register(to, recordSchema(recordName, { name: 'n', type: 'int', default: 0 }))
      await register(to, text)
      const other = recordSchema(recordName, { name: 'n', type: 'string', default: '' })
      assert.equal((await client.compatibility(to, other, 'FULL_TRANSITIVE')).isCompatible, false)
      assert.ok('refused' in (await client.register(to, other)))
      await setLevel(to, 'FULL')
      assert.equal((await client.compatibility(to, other, 'FULL')).isCompatible, true)
      await register(to, other)
    })

    test('what is no schema is refused in words', async () => {
      const answer = await client.register(`${subject}-none`, '{"type":"no such thing"}')
      assert.ok('refused' in answer && answer.refused.length > 5, JSON.stringify(answer))
    })

    test('a schema that leans on another is read as one', async () => {
      const part = recordSchema(`${recordName}Part`)
      await register(`${subject}-part`, part)
      const name = `test.registry.${recordName}Part`
      const whole = recordSchema(`${recordName}Whole`, { name: 'part', type: name })
      const reference = { name, subject: `${subject}-part`, version: 1 }
      const id = await registerLeaning(`${subject}-whole`, whole, [reference])
      const schema = await client.schema(id)
      assert.deepEqual(schema!.references, [reference])
      const one = await selfContained(id, schema!, ({ subject, version }) => client.version(subject, version))
      const type = avroType(one)
      const value = { id: 'w', part: { id: 'p' } }
      assert.deepEqual(structuredClone(type.fromBuffer(type.toBuffer(value))), value)
    })
  })
}
