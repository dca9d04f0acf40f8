/** A company's own records say what ours would, and a mapping that cannot work is told so before it starts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { avroType, encodeAvro } from '../../src/events/avro.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { lintMapping } from '../../src/events/mapping-lint.ts'
import { targetsOf } from '../../src/events/mapping-targets.ts'
import { projectionOf } from '../../src/events/projection.ts'
import type { FieldRules, Holds, TopicSettings } from '../../src/events/topic.ts'
import { HOLDS, recordError, SCHEMAS, sourceRecord } from './decoder-fixture.ts'

function topicOf(holds: Holds, fields: FieldRules, format: 'json' | 'avro-raw' = 'json'): TopicSettings {
  return { topic: 'orders', holds, format, schema: format === 'avro-raw' ? 'order' : null, fields }
}

function decode(topic: TopicSettings, value: Uint8Array | string, key: string, schema?: unknown) {
  const schemas = { ...SCHEMAS, byName: () => schema }
  return createRecordDecoder({ topics: [topic], schemas }).decode(sourceRecord('orders', key, value))
}

const ORDER_FIELDS: FieldRules = {
  user_id: 'buyer.id',
  event_id: { hash: ['buyer.id', 'placed', 'lines.0.sku'] },
  event_time: { path: 'placed', unit: 's' },
  tenant: { constant: 'acme' },
  status: { path: 'state', values: { paid: 'SETTLED', returned: 'REFUNDED' } },
  direction: { constant: 'OUT' },
  amount_minor: { path: 'total', scale: 100 },
  currency: { constant: 'EUR' },
  merchant_name: { path: 'shop', default: 'Webshop' },
  item_text: 'lines.0.title',
}

const ORDER = {
  buyer: { id: 17 },
  placed: 1_700_000_000.25,
  state: 'paid',
  total: 19.99,
  lines: [{ sku: 's1', title: 'A kettle' }],
}

const EXPECTED = {
  tenant: 'acme',
  user: '17',
  kind: 'event',
  event: {
    modality: 'paybill',
    source: 'orders',
    // sha256 of '[17,1700000000.25,"s1"]', by another tool.
    eventId: '2b6b672464b63e3a7ca57c0d346d284e',
    eventTimeMs: 1_700_000_000_250,
    fields: {
      status: 'SETTLED',
      direction: 'OUT',
      amountMinor: 1_999,
      currency: 'EUR',
      merchantName: 'Webshop',
      category: null,
      itemText: 'A kettle',
      channel: 'UNKNOWN',
      installments: 1,
    },
  },
}

test('JSON of a company maps by path, constant, hash, unit, scale, values and default', () => {
  assert.deepEqual(decode(topicOf('paybill', ORDER_FIELDS), JSON.stringify(ORDER), '17'), EXPECTED)
})

const ORDER_SCHEMA = {
  type: 'record',
  name: 'Order',
  namespace: 'com.acme',
  fields: [
    {
      name: 'buyer',
      type: { type: 'record', name: 'Buyer', fields: [{ name: 'id', type: ['null', 'int', 'long'] }] },
    },
    { name: 'placed', type: 'double' },
    { name: 'state', type: { type: 'enum', name: 'State', symbols: ['paid', 'returned', 'open'] } },
    { name: 'total', type: ['null', 'double'] },
    { name: 'shop', type: ['null', 'string'], default: null },
    {
      name: 'lines',
      type: {
        type: 'array',
        items: {
          type: 'record',
          name: 'Line',
          fields: [
            { name: 'sku', type: 'string' },
            { name: 'title', type: 'string' },
          ],
        },
      },
    },
    { name: 'photo', type: ['null', 'bytes'], default: null },
  ],
}

test("Avro of a company's own schema maps to the same record, wrapped union branches included", () => {
  const value = encodeAvro(avroType(ORDER_SCHEMA), { ...ORDER, buyer: { id: { int: 17 } } })
  assert.deepEqual(decode(topicOf('paybill', ORDER_FIELDS, 'avro-raw'), value, '17', ORDER_SCHEMA), EXPECTED)
})

test('an amount without its number, a value that is not translated and a path into nothing are absent', () => {
  const said = decode(
    topicOf('paybill', ORDER_FIELDS),
    JSON.stringify({ ...ORDER, total: null, state: 'lost', lines: [{ sku: 's1' }] }),
    '17',
  )
  assert.ok(said.kind === 'event' && said.event.modality === 'paybill')
  const { amountMinor, currency, status, itemText } = said.event.fields
  assert.deepEqual([amountMinor, currency, status, itemText], [null, null, 'UNKNOWN', null])
})

test('times in seconds, microseconds, ISO 8601 and as texts come out as milliseconds', () => {
  const timeOf = (unit: 'ms' | 's' | 'us' | 'iso' | undefined, at: unknown) => {
    const topic = topicOf('tombstone', { user_id: 'u', at: { path: 'at', unit } })
    const said = decode(topic, JSON.stringify({ u: 'x', at }), 'x')
    return said.kind === 'tombstone' ? said.atMs : said.kind
  }
  assert.equal(timeOf('s', 1_700_000_000), 1_700_000_000_000)
  assert.equal(timeOf('s', '1700000000.5'), 1_700_000_000_500)
  assert.equal(timeOf('us', 1_700_000_000_123_456), 1_700_000_000_123)
  assert.equal(timeOf('ms', '1700000000000'), 1_700_000_000_000)
  assert.equal(timeOf('iso', '2023-11-14T22:13:20Z'), 1_700_000_000_000)
  assert.equal(timeOf(undefined, '2023-11-14T22:13:20Z'), 1_700_000_000_000)
  assert.throws(() => timeOf('s', 'noon'), recordError('record-field-invalid'))
})

test('tabular features map one by one or as a whole', () => {
  const topic = topicOf('tabular', {
    user_id: 'u',
    as_of: 't',
    feature_set: { constant: 'rfm@1' },
    'numeric.spend_eur': { path: 'cents', scale: 0.01 },
    'numeric.orders': 'orders',
    categorical: 'labels',
  })
  const said = decode(topic, '{"u":"x","t":5,"cents":250,"orders":"3","labels":{"city":"Lyon"}}', 'x')
  assert.ok(said.kind === 'tabular')
  assert.deepEqual(said.snapshot, {
    featureSet: 'rfm@1',
    numeric: { spend_eur: 2.5, orders: 3 },
    categorical: { city: 'Lyon' },
  })
})

test('an event whose hashed paths are all absent has no id, rather than that of every other such event', () => {
  const topic = topicOf('search', {
    user_id: 'u',
    event_id: { hash: ['a', 'b'] },
    event_time: 't',
    query: 'q',
  })
  const record = { u: 'x', t: 1, q: 'hotels' }
  assert.throws(
    () => decode(topic, JSON.stringify(record), 'x'),
    recordError('record-field-missing', /event_id/),
  )
  assert.equal(decode(topic, JSON.stringify({ ...record, b: 0 }), 'x').kind, 'event')
})

test('numeric ids of more than 53 bits, which may have lost digits or their sign, are refused', () => {
  const topic = topicOf('tombstone', { user_id: 'u', at: 'at' })
  for (const id of ['12345678901234567890', '-9007199254740990', '4503599627370496'])
    assert.throws(
      () => decode(topic, `{"u":${id},"at":1}`, id),
      recordError('record-field-invalid', /more than 53 bits/),
    )
  const kept = '-4503599627370496'
  assert.equal(decode(topic, `{"u":${kept},"at":1}`, kept).user, kept)
})

const said = (topic: TopicSettings, schema?: unknown) =>
  lintMapping(topic, schema).map((finding) => `${finding.severity} ${finding.field}: ${finding.message}`)

test('a mapping that works has no finding but what it may lose', () => {
  assert.deepEqual(said(topicOf('paybill', ORDER_FIELDS)), [])
  assert.deepEqual(said(topicOf('paybill', ORDER_FIELDS, 'avro-raw'), ORDER_SCHEMA), [
    'warning user_id: required, but buyer.id may be null: such records go to the dead letters',
    'warning status: open will read as UNKNOWN: add them to values',
  ])
  assert.deepEqual(lintMapping({ ...topicOf('app', {}), fields: null }), [])
})

test('lint names unknown fields, required ones without a rule, and rules that contradict themselves', () => {
  assert.deepEqual(
    said(
      topicOf('paybill', {
        user_id: { path: 'u', constant: 'x' },
        event_time: { hash: ['a'] },
        merchant: 'm',
        zzz: 'z',
        status: { path: 's', values: { p: 'PAID' } },
        currency: { path: 'c', unit: 's' },
        category: { path: 'c', scale: 2 },
        item_text: {},
      }),
    ),
    [
      'error user_id: give exactly one of path, constant and hash, got 2',
      'error event_time: a hash is a text, and this field holds none: give its path',
      'error merchant: no such field of paybill: use one of user_id, event_id, event_time, source, tenant, status, direction, amount_minor, currency, merchant_name, category, item_text, channel, installments',
      'error zzz: no such field of paybill: use one of user_id, event_id, event_time, source, tenant, status, direction, amount_minor, currency, merchant_name, category, item_text, channel, installments',
      'error status: "PAID" is none of UNKNOWN, AUTHORIZED, SETTLED, REFUNDED, CHARGED_BACK, FAILED',
      'error currency: unit (s) is for times: remove it',
      'error category: scale (2) is for numbers: remove it',
      'error item_text: give exactly one of path, constant and hash, got 0',
      'error event_id: required, and nothing is mapped to it: give its path, a constant or a hash',
    ],
  )
  assert.match(said(topicOf('app', { ap_id: 'x' }))[0]!, /did you mean app_id\?/)
})

test("lint follows each path through the writer's schema and checks that its type converts", () => {
  assert.deepEqual(
    said(
      topicOf(
        'paybill',
        {
          user_id: 'buyer.name',
          event_id: { hash: ['lines.0.sku', 'lines.0.ean'] },
          event_time: 'placed',
          merchant_name: 'photo',
          amount_minor: 'total',
          item_text: 'lines.first.title',
          channel: 'total',
        },
        'avro-raw',
      ),
      ORDER_SCHEMA,
    ),
    [
      "error user_id: buyer.name is not in the writer's schema",
      "error event_id: lines.0.ean is not in the writer's schema",
      "error event_time: placed is a double, which can't become a time",
      "error merchant_name: photo is a bytes, which can't become a text",
      "error amount_minor: total is a double, which can't become a whole number",
      "error item_text: lines.first.title is not in the writer's schema",
      "error channel: total is a double, which can't become an enum symbol",
    ],
  )
  assert.match(
    said(topicOf('tombstone', { user_id: 'u', at: 't' }), { type: 'recrod' })[0]!,
    /is no Avro schema/,
  )
})

test('every field that a mapping can fill is a field of our schemas, with our symbols', () => {
  for (const holds of HOLDS)
    for (const [field, target] of targetsOf(holds)) {
      let type = projectionOf(holds).type as unknown as Composite | undefined
      const isUnread =
        holds === 'userqa' && ['instruction_id', 'generator', 'horizon_end', 'label'].includes(field)
      if (isUnread) continue
      for (const name of target.at) {
        const found: Composite | undefined = type?.fields?.find((one) => one.name === name)?.type
        type = found?.types?.find((one) => one.typeName !== 'null') ?? found
      }
      assert.ok(type, `${holds}.${field}`)
      if (target.kind === 'symbol') assert.deepEqual(type.symbols, target.symbols, `${holds}.${field}`)
    }
})

interface Composite {
  typeName: string
  fields?: { name: string; type: Composite }[]
  types?: Composite[]
  symbols?: string[]
}
