/** Schemas that lean on others become one, and mean what avsc reads when it is shown the others first. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import avsc from 'avsc'
import type { RegistrySchema, SchemaReference } from '../../../src/drivers/registry/registry-client.ts'
import { selfContained } from '../../../src/drivers/registry/schema-references.ts'
import { RecordError } from '../../../src/errors.ts'

type Json = Record<string, unknown>

/** Subjects of one version each, in the order in which Avro would parse them. */
type Parts = Record<string, { schema: unknown; leansOn?: string[] }>

const reference = (subject: string): SchemaReference => ({ name: subject, subject, version: 1 })

function registered({ schema, leansOn = [] }: Parts[string]): RegistrySchema {
  return { text: JSON.stringify(schema), type: 'AVRO', references: leansOn.map(reference) }
}

function resolved(main: unknown, parts: Parts, leansOn = Object.keys(parts)): Promise<unknown> {
  return selfContained(7, registered({ schema: main, leansOn }), async ({ subject }) =>
    parts[subject] === undefined ? undefined : registered(parts[subject]),
  )
}

/** The canonical form, which has full names and no order of definition of ours in it. */
async function sameAsAvsc(main: unknown, parts: Parts): Promise<unknown> {
  const registry = {}
  for (const { schema } of Object.values(parts)) avsc.Type.forSchema(schema as avsc.Schema, { registry })
  const expected = avsc.Type.forSchema(main as avsc.Schema, { registry })
  const one = await resolved(main, parts)
  const type = avsc.Type.forSchema(one as avsc.Schema)
  assert.deepEqual(type.schema(), expected.schema())
  assert.equal(type.equals(expected), true)
  return one
}

const record = (name: string, namespace: string | undefined, fields: Json): Json => ({
  type: 'record',
  name,
  ...(namespace === undefined ? {} : { namespace }),
  fields: Object.entries(fields).map(([name, type]) => ({ name, type })),
})

test('a schema without references is left as it is', async () => {
  const main = record('A', 'x', { self: ['null', 'A'], more: { type: 'array', items: 'x.A' } })
  assert.deepEqual(await resolved(main, {}), main)
})

test('a name is replaced where it comes first, and stays a name from then on', async () => {
  const part = record('Part', 'x.parts', { city: 'string' })
  const main = record('Whole', 'x', {
    first: ['null', 'x.parts.Part'],
    second: { type: 'map', values: { type: 'array', items: 'x.parts.Part' } },
  })
  const one = (await sameAsAvsc(main, { part: { schema: part } })) as { fields: { type: unknown }[] }
  assert.deepEqual(one.fields[0]!.type, ['null', part])
  assert.deepEqual(one.fields[1]!.type, { type: 'map', values: { type: 'array', items: 'x.parts.Part' } })
})

test('a short name means the enclosing namespace, and the outer one where that has none', async () => {
  const inner = record('Part', 'x', { n: 'int' })
  const bare = record('Bare', undefined, { n: 'int', again: ['null', 'Bare'] })
  const main = record('Whole', 'x', { part: 'Part', next: ['null', 'Whole'] })
  await sameAsAvsc(main, { inner: { schema: inner } })
  await sameAsAvsc(record('Whole', undefined, { bare: 'Bare', again: 'Bare' }), { bare: { schema: bare } })
  // avsc, shown the other first, would not look in the outer namespace.
  const one = await resolved(record('Whole', 'x', { bare: 'Bare', again: ['null', 'Bare'] }), {
    bare: { schema: bare },
  })
  const value = { bare: { n: 1, again: { n: 2, again: null } }, again: { n: 3, again: null } }
  const type = avsc.Type.forSchema(one as avsc.Schema)
  assert.deepEqual(structuredClone(type.fromBuffer(type.toBuffer(value))), value)
})

test('a type that is defined inside a referenced one can be used by itself, before and after it', async () => {
  const customer = record('Customer', 'x', {
    address: record('Address', undefined, { kind: { type: 'enum', name: 'Kind', symbols: ['A', 'B'] } }),
  })
  for (const fields of [
    { home: 'x.Address', customer: 'x.Customer', kind: 'x.Kind' },
    { kind: 'x.Kind', customer: 'x.Customer', home: 'x.Address' },
    { customer: 'x.Customer', kind: 'x.Kind', home: 'x.Address' },
  ])
    await sameAsAvsc(record('Order', 'y', fields), { customer: { schema: customer } })
})

test('references of references are followed, once each, and in circles', async () => {
  const parts: Parts = {
    c: { schema: record('C', 'z', { n: { type: 'fixed', name: 'Hash', size: 4 } }) },
    b: { schema: record('B', 'y', { c: 'z.C', hash: 'z.Hash' }), leansOn: ['c'] },
    a: { schema: record('A', 'x', { b: 'y.B', c: 'z.C' }), leansOn: ['b', 'c'] },
  }
  await sameAsAvsc(record('Main', 'm', { c: ['null', 'z.C'], a: 'x.A', b: 'y.B' }), parts)
  const one = await resolved(record('Main', 'm', { a: 'x.A' }), parts, ['a'])
  assert.equal(avsc.Type.forSchema(one as avsc.Schema).name, 'm.Main')

  const circle: Parts = {
    p: { schema: record('P', 'x', { q: ['null', 'x.Q'] }), leansOn: ['q'] },
    q: { schema: record('Q', 'x', { p: ['null', 'x.P'] }), leansOn: ['p'] },
  }
  const round = await resolved(record('Main', 'm', { p: 'x.P' }), circle, ['p'])
  const type = avsc.Type.forSchema(round as avsc.Schema)
  const value = { p: { q: { p: { q: null } } } }
  const wrapped = avsc.Type.forSchema(round as avsc.Schema, { wrapUnions: 'never' })
  assert.equal(type.name, 'm.Main')
  assert.deepEqual(structuredClone(wrapped.fromBuffer(wrapped.toBuffer(value))), value)
})

test('defaults, docs, aliases and logical types come through', async () => {
  const part = {
    ...record('Part', 'x', {}),
    aliases: ['Old'],
    doc: 'what',
    fields: [
      { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' }, default: 0, doc: 'when' },
    ],
  }
  const main = { ...record('Whole', 'm', {}), fields: [{ name: 'part', type: 'x.Part', doc: 'a part' }] }
  const one = (await sameAsAvsc(main, { part: { schema: part } })) as { fields: Json[] }
  assert.deepEqual(one.fields, [{ name: 'part', type: part, doc: 'a part' }])
})

test('what can’t be had as one Avro schema is the record’s fault, and says what is wrong', async () => {
  const refused = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof RecordError && error.code === 'record-schema-unknown', String(error))
    assert.match(error.message, /under id 7/)
    assert.match(error.message, message)
    return true
  }
  const main = registered({ schema: 'int', leansOn: ['gone'] })
  await assert.rejects(
    selfContained(7, main, async () => undefined),
    refused(/version 1 of gone, which is not registered/),
  )
  const proto = { text: 'syntax = "proto3";', type: 'PROTOBUF', references: [] }
  await assert.rejects(
    selfContained(7, proto, async () => undefined),
    refused(/type PROTOBUF/),
  )
  await assert.rejects(
    selfContained(7, main, async () => proto),
    refused(/type PROTOBUF/),
  )
  await assert.rejects(
    selfContained(7, { text: '{', type: 'AVRO', references: [] }, async () => undefined),
    refused(/no JSON/),
  )
  let made = 0
  const endless = async () => registered({ schema: 'int', leansOn: [`${made++}`] })
  await assert.rejects(selfContained(7, main, endless), refused(/more than 200 others/))
  assert.ok(made <= 201, `asked for ${made}`)
})
