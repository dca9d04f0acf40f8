/** The rules that every schema we ship keeps, so that producers and readers can change one after the other. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { avroType } from '../../src/events/avro.ts'
import { OWN_SCHEMA_DIRECTORY, ownTypeByFingerprint, readSchemaFiles } from '../../src/events/own-schemas.ts'
import { projectionOf } from '../../src/events/projection.ts'
import { fingerprint } from '../../src/events/single-object.ts'
import { HOLDS } from './decoder-fixture.ts'

interface Node {
  type?: unknown
  name?: string
  symbols?: string[]
  default?: unknown
  fields?: Node[]
}

function* nodes(schema: unknown): Generator<Node> {
  if (Array.isArray(schema)) for (const one of schema) yield* nodes(one)
  else if (typeof schema === 'object' && schema !== null) {
    yield schema as Node
    const { type, fields, items, values } = schema as Record<string, unknown>
    for (const part of [type, fields, items, values]) yield* nodes(part)
  }
}

const files = readSchemaFiles(OWN_SCHEMA_DIRECTORY)

test('all twelve schemas are there and parse in our namespace', () => {
  assert.deepEqual([...files.keys()].filter((name) => !name.includes('/')).sort(), [
    'app',
    'embedding-update',
    'instruction',
    'miniprogram',
    'model-version',
    'paybill',
    'search',
    'spm',
    'tabular',
    'tombstone',
    'user-state',
    'userqa',
  ])
  for (const schema of files.values()) assert.match(avroType(schema).name ?? '', /^dev\.freshet\.v1\.[A-Z]/)
})

test('every enum starts with its default, which is UNKNOWN but for the split of examples', () => {
  for (const [file, schema] of files)
    for (const node of nodes(schema)) {
      if (node.symbols === undefined) continue
      assert.equal(node.symbols[0], node.default, `${file}: ${node.name}`)
      assert.equal(node.default, node.name === 'UserQaSplit' ? 'UNASSIGNED' : 'UNKNOWN', file)
    }
})

test('every union that starts with null defaults to null', () => {
  for (const [file, schema] of files)
    for (const node of nodes(schema))
      for (const field of node.fields ?? [])
        if (Array.isArray(field.type) && field.type[0] === 'null')
          assert.equal(field.default, null, `${file}: ${field.name}`)
})

test('every shipped schema is found by its fingerprint, and every projection reads its whole schema', () => {
  for (const schema of files.values()) {
    const type = avroType(schema)
    assert.equal(ownTypeByFingerprint(fingerprint(type).toString('hex'))?.name, type.name)
  }
  for (const holds of HOLDS) {
    const whole = avroType(files.get(holds))
    const projected = projectionOf(holds).type
    const bytes = whole.toBuffer(whole.random())
    assert.ok(projected.fromBuffer(bytes, projected.createResolver(whole)))
  }
})
