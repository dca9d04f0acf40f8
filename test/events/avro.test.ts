/** Fingerprints as the specification gives them, and what older and newer writers of a schema may change. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BugError, RecordError } from '../../src/errors.ts'
import { avroType, decodeAvro, encodeAvro } from '../../src/events/avro.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { avroCodec, ownSchema } from '../../src/events/own-schemas.ts'
import { fingerprint, singleObjectFrame } from '../../src/events/single-object.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { HEADER, recordError, SCHEMAS, sourceRecord } from './decoder-fixture.ts'

test('fingerprints are those of the Avro specification', () => {
  const hex = (schema: unknown) =>
    Buffer.from(fingerprint(avroType(schema)))
      .reverse()
      .toString('hex')
  // From share/test/data/schema-tests.txt of Apache Avro: its signed decimals as unsigned hexadecimals.
  assert.equal(hex('null'), '63dd24e7cc258f8a')
  assert.equal(hex('int'), '7275d51a3f395c8f')
  const expected = BigInt.asUintN(64, -6970731678124411036n).toString(16)
  assert.equal(hex('boolean'), expected)
  assert.equal(hex({ type: 'boolean', doc: 'left out of the canonical form' }), expected)
})

interface Schema {
  name: string
  namespace?: string
  doc?: string
  fields: { name: string; type: unknown; default?: unknown; aliases?: string[] }[]
}

/** Decodes, as an app topic, one value written with a changed schema. */
function decodeWrittenBy(change: (schema: Schema) => void, value: object) {
  const schema = structuredClone(ownSchema('app')) as Schema
  change(schema)
  const decoder = createRecordDecoder({
    topics: [{ topic: 'app', holds: 'app', format: 'avro-confluent', schema: null, fields: null }],
    schemas: { ...SCHEMAS, byId: () => schema },
  })
  const frame = Buffer.from([0, 0, 0, 0, 42])
  const record = (): SourceRecord =>
    sourceRecord('app', 'u1', Buffer.concat([frame, encodeAvro(avroType(schema), value)]))
  return () => {
    const said = decoder.decode(record())
    assert.ok(said.kind === 'event' && said.event.modality === 'app')
    return said.event.fields
  }
}

const APP = { header: HEADER, app_id: 'a', app_name: 'Maps', lifecycle: 'UPDATE' }
const FIELDS = { appId: 'a', appName: 'Maps', category: null, lifecycle: 'UPDATE' }

test('a writer that added fields is read as before', () => {
  const decode = decodeWrittenBy(
    (schema) => schema.fields.splice(2, 0, { name: 'added', type: { type: 'map', values: 'long' } }),
    { ...APP, added: { x: 1 } },
  )
  assert.deepEqual(decode(), FIELDS)
})

test('a writer that does not know our optional fields is read with their defaults', () => {
  const decode = decodeWrittenBy((schema) => {
    schema.fields = schema.fields.filter((field) => ['header', 'app_id', 'lifecycle'].includes(field.name))
  }, APP)
  assert.deepEqual(decode(), { ...FIELDS, appName: null })
})

test('a symbol that a writer added reads as UNKNOWN', () => {
  const decode = decodeWrittenBy(
    (schema) => {
      const lifecycle = schema.fields.find((field) => field.name === 'lifecycle')!
      ;(lifecycle.type as { symbols: string[] }).symbols.push('HIBERNATE')
    },
    { ...APP, lifecycle: 'HIBERNATE' },
  )
  assert.deepEqual(decode(), { ...FIELDS, lifecycle: 'UNKNOWN' })
})

test("a writer of another namespace is read, one of another record's name is refused", () => {
  const renamed = decodeWrittenBy((schema) => {
    schema.namespace = 'com.example'
  }, APP)
  assert.deepEqual(renamed(), FIELDS)
  const other = decodeWrittenBy((schema) => {
    schema.name = 'Something'
  }, APP)
  assert.throws(other, recordError('record-schema-incompatible', /of id 42 must be readable as .*AppEvent/))
})

test('an int reads as a long; a long where we have an int, and a missing required field, are refused', () => {
  const narrow = decodeWrittenBy(
    (schema) => {
      const header = schema.fields[0]!.type as Schema
      header.fields.find((field) => field.name === 'event_time')!.type = 'int'
    },
    { ...APP, header: { ...HEADER, event_time: 7 } },
  )
  assert.deepEqual(narrow(), FIELDS)
  const missing = decodeWrittenBy((schema) => {
    schema.fields = schema.fields.filter((field) => field.name !== 'app_id')
  }, APP)
  assert.throws(missing, recordError('record-schema-incompatible', /app_id/))

  const paybill = structuredClone(ownSchema('paybill')) as Schema
  paybill.fields.find((field) => field.name === 'installments')!.type = 'long'
  const decoder = createRecordDecoder({
    topics: [{ topic: 'p', holds: 'paybill', format: 'avro-confluent', schema: null, fields: null }],
    schemas: { ...SCHEMAS, byId: () => paybill },
  })
  const value = Buffer.concat([Buffer.alloc(5), encodeAvro(avroType(paybill), { header: HEADER })])
  assert.throws(
    () => decoder.decode(sourceRecord('p', 'u1', value)),
    recordError('record-schema-incompatible', /cannot read "long" as "int"/),
  )
})

test('writers of several versions may take turns in one topic', () => {
  const newer = structuredClone(ownSchema('app')) as Schema
  newer.fields.unshift({ name: 'added', type: 'string' })
  const types = [avroType(ownSchema('app')), avroType(newer)]
  const schemas = {
    ...SCHEMAS,
    byFingerprint: (hex: string) => {
      const at = types.findIndex((type) => fingerprint(type).toString('hex') === hex)
      return [ownSchema('app'), newer][at]
    },
  }
  const decoder = createRecordDecoder({
    topics: [{ topic: 'app', holds: 'app', format: 'avro-single-object', schema: null, fields: null }],
    schemas,
  })
  for (const at of [0, 1, 1, 0, 1, 0]) {
    const type = types[at]!
    const value = Buffer.concat([singleObjectFrame(type), encodeAvro(type, { ...APP, added: 'x' })])
    const said = decoder.decode(sourceRecord('app', 'u1', value))
    assert.deepEqual(said.kind === 'event' && said.event.fields, FIELDS)
  }
})

test('a field that we renamed is found by its alias', () => {
  // The roles are turned round: our reader has the alias, an older writer the old name.
  const reader = avroType({
    type: 'record',
    name: 'R',
    fields: [{ name: 'merchant_name', aliases: ['shop'], type: 'string' }],
  })
  const writer = avroType({ type: 'record', name: 'R', fields: [{ name: 'shop', type: 'string' }] })
  const read = reader.fromBuffer(encodeAvro(writer, { shop: 'corner' }), reader.createResolver(writer))
  assert.deepEqual({ ...read }, { merchant_name: 'corner' })
})

test('a codec reads what it wrote, and refuses bytes of versions that nobody knows', () => {
  const codec = avroCodec<{ user_id: string; tenant: string; at: number; reason: string | null }>('tombstone')
  const bytes = codec.encode({ user_id: 'u', tenant: 't', at: 5, reason: null })
  assert.deepEqual({ ...codec.decode(bytes) }, { user_id: 'u', tenant: 't', at: 5, reason: null })
  assert.deepEqual([...bytes.subarray(0, 10)], [...singleObjectFrame(avroType(ownSchema('tombstone')))])
  const damaged = Buffer.from(bytes)
  damaged[3]! ^= 1
  assert.throws(() => codec.decode(damaged), recordError('record-schema-unknown'))
  assert.throws(() => codec.decode(bytes.subarray(10)), recordError('record-frame'))
  assert.throws(() => codec.encode({ user_id: 5 } as never), /must fit its schema/)
})

/** A long as the Avro specification writes it, in integers of any size. */
function zigZag(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value >= 0n ? 2n * value : -2n * value - 1n
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Buffer.from([...bytes, Number(rest)])
}

const BOUND = 2n ** 52n
const anyLong = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  ...[0n, BOUND, 2n ** 53n].flatMap((near) =>
    [near, -near].map((edge) => fc.bigInt({ min: edge - 9n, max: edge + 9n })),
  ),
)

test('a long of 53 bits is written and read as the specification says; a longer one never is, and no sign turns', () => {
  const long = avroType('long')
  const optional = avroType(['null', { type: 'long', logicalType: 'timestamp-millis' }])
  const isBoundedBigInt = (value: bigint) => value >= -BOUND && value < BOUND
  const property = fc.property(anyLong, (value) => {
    const bytes = zigZag(value)
    const number = Number(value)
    if (isBoundedBigInt(value)) {
      assert.deepEqual(encodeAvro(long, number), bytes)
      assert.equal(decodeAvro(long, bytes, 0), number)
      assert.equal(decodeAvro(optional, Buffer.concat([Buffer.from([2]), bytes]), 0), number)
    } else {
      assert.throws(() => decodeAvro(long, bytes, 0), recordError('record-avro-malformed', /53 bits/))
      assert.throws(() => encodeAvro(long, number), BugError)
      assert.equal(long.isValid(number), false)
    }
  })
  fc.assert(property, { seed: 7, numRuns: 2_000 })
  for (const no of [1.5, Number.NaN, Number.POSITIVE_INFINITY, '7', null])
    assert.throws(() => encodeAvro(long, no), BugError)
})

test('a long where we have a double is bounded as well, an int where we have a long is read', () => {
  const double = avroType('double')
  const long = avroType('long')
  const fromLong = double.createResolver(long)
  assert.equal(decodeAvro(double, zigZag(-BOUND), 0, fromLong), -(2 ** 52))
  assert.throws(() => decodeAvro(double, zigZag(-1n - BOUND), 0, fromLong), RecordError)
  assert.equal(decodeAvro(long, zigZag(-7n), 0, long.createResolver(avroType('int'))), -7)
})

test('values of any size are written whole, each into bytes of its own', () => {
  const texts = avroType({ type: 'array', items: 'string' })
  const sizes = [0, 1, 1_023, 1_024, 65_530, 65_536, 65_537, 200_000, 1_048_570, 1_048_577, 3_000_000, 5]
  const values = sizes.map((size, at) => [String.fromCharCode(0x61 + at).repeat(size), 'end'])
  const written = values.map((value) => encodeAvro(texts, value))
  for (const [at, bytes] of written.entries()) assert.deepEqual(decodeAvro(texts, bytes, 0), values[at])
})
