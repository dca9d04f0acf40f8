/** A producer's rename with an alias is understood, wherever it is, and nothing else is taken for one. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { avroResolver, avroType } from '../../src/events/avro.ts'
import { withWritersNames } from '../../src/events/writer-names.ts'
import { recordError } from './decoder-fixture.ts'

type Json = Record<string, unknown>

const record = (name: string, fields: Json[], more: Json = {}): Json => ({
  type: 'record',
  name,
  namespace: 'ours',
  fields,
  ...more,
})

/** What ours makes of a value of theirs. */
function read(ours: unknown, theirs: unknown, value: unknown): unknown {
  const writer = avroType(theirs)
  const reader = avroType(withWritersNames(ours, writer))
  const bytes = writer.toBuffer(value)
  return JSON.parse(JSON.stringify(reader.fromBuffer(bytes, avroResolver(reader, writer, 'theirs'))))
}

test('a renamed field, record and enum are found by what they were called, at any depth', () => {
  const kind = { type: 'enum', name: 'Kind', symbols: ['UNKNOWN', 'A'], default: 'UNKNOWN' }
  const ours = record('Event', [
    { name: 'header', type: record('Header', [{ name: 'user_id', type: 'string' }]) },
    { name: 'amount', type: ['null', record('Money', [{ name: 'minor', type: 'long' }])], default: null },
    { name: 'kind', type: kind, default: 'UNKNOWN' },
  ])
  const theirs = record(
    'ShopEvent',
    [
      {
        name: 'meta',
        aliases: ['header'],
        type: record('Meta', [{ name: 'buyer', aliases: ['customer', 'user_id'], type: 'string' }], {
          aliases: ['Header'],
        }),
      },
      {
        name: 'total',
        aliases: ['amount'],
        type: [
          'null',
          record('Sum', [{ name: 'cents', aliases: ['minor'], type: 'int' }], { aliases: ['Money'] }),
        ],
      },
      {
        name: 'sort',
        aliases: ['kind'],
        type: { type: 'enum', name: 'Sort', aliases: ['old.Kind'], symbols: ['A', 'B'] },
      },
    ],
    { namespace: 'theirs', aliases: ['ours.Event'] },
  )
  const value = { meta: { buyer: 'u1' }, total: { cents: 5 }, sort: 'A' }
  assert.deepEqual(read(ours, theirs, value), { header: { user_id: 'u1' }, amount: { minor: 5 }, kind: 'A' })
  assert.deepEqual(read(ours, theirs, { ...value, total: null, sort: 'B' }), {
    header: { user_id: 'u1' },
    amount: null,
    kind: 'UNKNOWN',
  })
})

test('where nothing of ours was renamed, our schema is the same object', () => {
  const ours = record('Event', [{ name: 'a', type: 'int' }])
  const more = record('Event', [
    { name: 'a', type: 'int' },
    { name: 'b', aliases: ['was_b'], type: 'int' },
  ])
  for (const theirs of [ours, more, record('Other', []), 'int', ['null', ours]])
    assert.equal(withWritersNames(ours, avroType(theirs)), ours)
})

test('a field that has our name is ours, whatever else claims to have had it', () => {
  const ours = record('Event', [
    { name: 'a', type: 'int' },
    { name: 'b', type: 'int', default: 0 },
  ])
  const claimed = record('Event', [
    { name: 'b', aliases: ['a'], type: 'int' },
    { name: 'a', type: 'int' },
  ])
  assert.deepEqual(read(ours, claimed, { a: 1, b: 2 }), { a: 1, b: 2 })
  // Theirs was split, or renamed onto another of our names: nobody can say which it is.
  const split = record('Event', [
    { name: 'a1', aliases: ['a'], type: 'int' },
    { name: 'a2', aliases: ['a'], type: 'int' },
  ])
  assert.throws(() => read(ours, split, { a1: 1, a2: 2 }), recordError('record-schema-incompatible'))
  const moved = record('Event', [{ name: 'b', aliases: ['a'], type: 'int' }])
  assert.throws(() => read(ours, moved, { b: 2 }), recordError('record-schema-incompatible'))
})
