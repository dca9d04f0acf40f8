/** Every format gives the same record, and everything that cannot be one says why. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, RecordError, UnavailableError } from '../../src/errors.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import type { Holds } from '../../src/events/topic.ts'
import { arbitraryRecord } from './arbitrary-records.ts'
import {
  decoderOf,
  FORMATS,
  HEADER,
  raw,
  recordError,
  SCHEMA_IDS,
  SCHEMAS,
  sourceRecord,
} from './decoder-fixture.ts'

const holdsOf = (record: UserRecord): Holds =>
  record.kind === 'event' ? record.event.modality : (record.kind as 'tabular' | 'tombstone')

for (const format of FORMATS)
  test(`what is encoded as ${format} decodes as the same record`, () => {
    const encoder = createRecordEncoder(format, SCHEMA_IDS)
    const decoder = decoderOf(format)
    fc.assert(
      fc.property(arbitraryRecord, (record) => {
        const { key, value } = encoder.encode(record)
        // A Uint8Array that is no Buffer and starts inside its memory, as SQLite and others give them.
        const within = new Uint8Array(value!.length + 3)
        within.set(value!, 3)
        assert.deepEqual(decoder.decode(sourceRecord(holdsOf(record), key, within.subarray(3))), record)
      }),
      { seed: 1, numRuns: 300 },
    )
  })

const json = decoderOf('json')
const decodeJson = (topic: Holds, value: unknown, key = 'u1') =>
  json.decode(sourceRecord(topic, key, JSON.stringify(value)))

test('JSON may leave out what has a default, hold keys of its own, and write times in ISO 8601', () => {
  const header = { ...HEADER, event_time: '2023-11-14T22:13:20.5+01:00', trace: 7 }
  assert.deepEqual(
    decodeJson('paybill', { header, amount: { amount_minor: 5, currency: 'eur' }, more: [1] }),
    {
      tenant: 'default',
      user: 'u1',
      kind: 'event',
      event: {
        modality: 'paybill',
        source: 'shop',
        eventId: 'e1',
        eventTimeMs: 1_699_996_400_500,
        fields: {
          status: 'UNKNOWN',
          direction: 'UNKNOWN',
          amountMinor: 5,
          currency: 'EUR',
          merchantName: null,
          category: null,
          itemText: null,
          channel: 'UNKNOWN',
          installments: 1,
        },
      },
    },
  )
})

test('payments that moved no money, suspected bots and empty queries are counted, not applied', () => {
  const reason = (record: UserRecord) => (record.kind === 'ignored' ? record.reason : record.kind)
  assert.equal(reason(decodeJson('paybill', { header: HEADER, status: 'AUTHORIZED' })), 'paybill-authorized')
  assert.equal(reason(decodeJson('paybill', { header: HEADER, status: 'FAILED' })), 'paybill-failed')
  assert.equal(reason(decodeJson('paybill', { header: HEADER, status: 'DISPUTED' })), 'event')
  const spm = { header: HEADER, spm_a: 'a', spm_b: 'b' }
  assert.equal(reason(decodeJson('spm', { ...spm, is_bot_suspect: true })), 'spm-bot-suspect')
  assert.equal(reason(decodeJson('spm', spm)), 'event')
  assert.equal(reason(decodeJson('search', { header: HEADER, query: ' \t ' })), 'search-empty-query')
  const qa = { user_id: 'u1', qa_id: 'q', instruction_text: 'what next?', cutoff_time: 1 }
  assert.equal(reason(decodeJson('userqa', qa)), 'userqa-not-collected')
})

test('a deleted tabular record says so, with the time of its append and the tenant of its header', () => {
  const record = { ...sourceRecord('tabular', 'ü1', null), headers: { 'freshet.tenant': 'acme' } }
  assert.deepEqual(json.decode(record), {
    tenant: 'acme',
    user: 'ü1',
    kind: 'tabular',
    asOfMs: 1_700_000_000_000,
    snapshot: null,
  })
  assert.equal(json.decode(sourceRecord('tabular', 'u', null)).tenant, 'default')
  const noText = sourceRecord('tabular', Uint8Array.of(0xff, 0xfe), null)
  assert.throws(() => json.decode(noText), recordError('record-id-characters'))
})

const SEARCH = { header: HEADER, query: 'hotels' }
const search = raw('search', SEARCH)

test('bytes that are cut off, too many or of another frame are refused with their own codes', () => {
  const decode = (format: 'avro-raw' | 'avro-confluent' | 'avro-single-object', value: Uint8Array) =>
    decoderOf(format).decode(sourceRecord('search', 'u1', value))
  assert.throws(() => decode('avro-raw', search.subarray(0, -1)), recordError('record-avro-truncated'))
  assert.throws(() => decode('avro-raw', new Uint8Array(0)), recordError('record-avro-truncated'))
  assert.throws(
    () => decode('avro-raw', Buffer.concat([search, Buffer.from([0])])),
    recordError('record-avro-trailing-bytes', /1 bytes more/),
  )
  const framed = (first: number, id: number) => Buffer.concat([Buffer.from([first, 0, 0, 0, id]), search])
  assert.equal(decode('avro-confluent', framed(0, SCHEMA_IDS.search)).kind, 'event')
  assert.throws(
    () => decode('avro-confluent', framed(7, SCHEMA_IDS.search)),
    recordError('record-frame', /byte 7/),
  )
  assert.throws(() => decode('avro-confluent', Buffer.from([0, 0, 0])), recordError('record-frame'))
  assert.throws(() => decode('avro-confluent', Buffer.from([])), recordError('record-frame', /nothing/))
  assert.throws(() => decode('avro-confluent', framed(0, 99)), recordError('record-schema-unknown', /99/))
  assert.throws(() => decode('avro-single-object', search), recordError('record-frame'))
  const unknown = Buffer.concat([Buffer.from('c3010102030405060708', 'hex'), search])
  assert.throws(
    () => decode('avro-single-object', unknown),
    recordError('record-schema-unknown', /0102030405060708/),
  )
})

test('a GUID frame finds its schema by the GUID', () => {
  const guid = '0190c7a2-1111-7000-8000-0123456789ab'
  const schemas = {
    ...SCHEMAS,
    byId: (id: number | string) => (id === guid ? SCHEMAS.byName('search') : undefined),
  }
  const value = Buffer.concat([Buffer.from([1]), Buffer.from(guid.replaceAll('-', ''), 'hex'), search])
  assert.equal(decoderOf('avro-confluent', schemas).decode(sourceRecord('search', 'u1', value)).kind, 'event')
})

test('a schema named in a header leaves the value bare, and counts more than what the value begins with', () => {
  const guid = '0190c7a2-1111-7000-8000-0123456789ab'
  const asked: (number | string)[] = []
  const schemas = {
    ...SCHEMAS,
    byId: (id: number | string) => {
      asked.push(id)
      return id === guid ? SCHEMAS.byName('search') : SCHEMAS.byId(id)
    },
  }
  const decoder = decoderOf('avro-confluent', schemas)
  const decode = (schemaId: Buffer, value: Uint8Array = search) =>
    decoder.decode({ ...sourceRecord('search', 'u1', value), schemaId })
  const byGuid = Buffer.from(`01${guid.replaceAll('-', '')}`, 'hex')
  const byId = Buffer.from([0, 0, 0, 0, SCHEMA_IDS.search])
  const framed = Buffer.concat([byId, search])
  assert.deepEqual(decode(byGuid), decoder.decode(sourceRecord('search', 'u1', framed)))
  assert.equal(decode(byId).kind, 'event')
  assert.deepEqual(asked, [guid, SCHEMA_IDS.search])
  // With a header a value has no frame: what looks like one is read as fields, and doesn't fit.
  assert.throws(
    () => decode(byGuid, framed),
    (error: unknown) => error instanceof RecordError,
  )
  for (const wrong of [
    '',
    '00',
    '0000000001ff',
    byGuid.toString('hex', 0, 16),
    `07${guid.replaceAll('-', '')}`,
  ])
    assert.throws(
      () => decode(Buffer.from(wrong, 'hex')),
      recordError('record-frame', /header __value_schema_id/),
    )
  const unknown = Buffer.from([0, 0, 0, 0, 99])
  assert.throws(() => decode(unknown), recordError('record-schema-unknown', /99/))
  // Neither header nor frame.
  assert.throws(() => decoder.decode(sourceRecord('search', 'u1', search)), recordError('record-frame'))
  // Whoever frames otherwise doesn't look at it.
  const other = decoderOf('avro-raw').decode({ ...sourceRecord('search', 'u1', search), schemaId: unknown })
  assert.equal(other.kind, 'event')
})

test('a schema source that is down makes the record wait, and it decodes once the source is back', () => {
  let isDown = true
  const schemas = {
    ...SCHEMAS,
    byId: (id: number | string) => {
      if (isDown) throw new UnavailableError('registry-down', 'expected an answer')
      return SCHEMAS.byId(id)
    },
  }
  const decoder = decoderOf('avro-confluent', schemas)
  const record = sourceRecord(
    'search',
    'u1',
    Buffer.concat([Buffer.from([0, 0, 0, 0, SCHEMA_IDS.search]), search]),
  )
  assert.throws(() => decoder.decode(record), UnavailableError)
  isDown = false
  assert.equal(decoder.decode(record).kind, 'event')
})

test('records without a key, under the wrong key, without a value or of an unknown topic are refused', () => {
  const decoder = decoderOf('avro-raw')
  const decode = (topic: string, key: string | null, value: Buffer | null) => () =>
    decoder.decode(sourceRecord(topic, key, value))
  assert.throws(decode('search', null, search), recordError('record-key-missing'))
  assert.throws(decode('search', 'u2', search), recordError('record-key-mismatch', /"u1".*"u2"/))
  assert.throws(decode('search', 'u11', search), recordError('record-key-mismatch'))
  assert.throws(decode('search', 'u1', null), recordError('record-value-missing'))
  assert.throws(decode('tombstone', 'u1', null), recordError('record-value-missing'))
  assert.throws(decode('elsewhere', 'u1', search), recordError('record-topic-unknown', /elsewhere/))
})

test('a value beyond the limit is refused before it is decoded, one at the limit is not', () => {
  const at = decoderOf('avro-raw', SCHEMAS, search.length)
  assert.equal(at.decode(sourceRecord('search', 'u1', search)).kind, 'event')
  const below = decoderOf('avro-raw', SCHEMAS, search.length - 1)
  assert.throws(
    () => below.decode(sourceRecord('search', 'u1', search)),
    recordError('record-value-too-large'),
  )
  const fiveMegabytes = raw('search', { ...SEARCH, query: 'x'.repeat(5_000_000) })
  assert.throws(
    () => decoderOf('avro-raw').decode(sourceRecord('search', 'u1', fiveMegabytes)),
    recordError('record-value-too-large', /1048576.*5000/),
  )
})

test('ids that are empty, too long or no text are refused', () => {
  const withHeader = (field: string, value: unknown) => () =>
    decodeJson('search', { ...SEARCH, header: { ...HEADER, [field]: value } })
  for (const field of ['user_id', 'event_id', 'source', 'tenant']) {
    assert.throws(withHeader(field, ''), recordError('record-id-length', new RegExp(field)))
    assert.throws(withHeader(field, 'x'.repeat(257)), recordError('record-id-length', /257/))
    assert.throws(withHeader(field, 'a\0b'), recordError('record-id-characters'))
    for (const broken of ['\ud800', 'a\udfff', '\ufffd'])
      assert.throws(withHeader(field, broken), recordError('record-id-characters'))
    assert.throws(withHeader(field, 7), recordError('record-field-invalid'))
  }
  for (const field of ['user_id', 'event_id', 'source', 'event_time'])
    assert.throws(withHeader(field, undefined), recordError('record-field-missing', new RegExp(field)))
})

test('times that are negative, fractional, beyond every calendar or without a zone are refused', () => {
  const at = (event_time: unknown) => () =>
    decodeJson('search', { ...SEARCH, header: { ...HEADER, event_time } })
  for (const time of [-1, 1.5, 2 ** 52, 2 ** 53, 8.64e15])
    assert.throws(at(time), recordError('record-time-range'))
  for (const time of ['yesterday', '2023-11-14T22:13:20', '14.11.2023', {}, true])
    assert.throws(at(time), recordError('record-field-invalid', /event_time/))
  for (const time of ['2023-13-40', '2023-02-30T25:00:00Z'])
    assert.throws(at(time), recordError('record-time-range'))
  assert.throws(
    () =>
      decoderOf('avro-raw').decode(
        sourceRecord('tombstone', 'u', raw('tombstone', { user_id: 'u', at: -5 })),
      ),
    recordError('record-time-range'),
  )
})

test('tabular numbers must be finite, and no feature both given and missing', () => {
  const tabular = { header: HEADER, as_of: 5, feature_set: 'f@1' }
  const avro = decoderOf('avro-raw')
  for (const number of [Number.NaN, Infinity, -Infinity])
    assert.throws(
      () =>
        avro.decode(
          sourceRecord('tabular', 'u1', raw('tabular', { ...tabular, numeric: { spend: number } })),
        ),
      recordError('record-tabular-not-finite', /numeric\.spend/),
    )
  assert.throws(
    () => decodeJson('tabular', { ...tabular, numeric: { a: 1 }, missing: ['a'] }),
    recordError('record-tabular-contradiction', /for a:/),
  )
  const decoded = decodeJson('tabular', { ...tabular, numeric: { a: 1, b: null }, missing: ['c'] })
  assert.deepEqual(decoded.kind === 'tabular' && decoded.snapshot?.numeric, { a: 1 })
})

test('fields of the wrong kind are named', () => {
  const wrong = (topic: Holds, value: object, field: RegExp) =>
    assert.throws(
      () => decodeJson(topic, { header: HEADER, ...value }),
      recordError('record-field-invalid', field),
    )
  wrong('paybill', { amount: 5 }, /amount must be an object/)
  wrong('paybill', { amount: { amount_minor: 1.5, currency: 'EUR' } }, /amount_minor/)
  wrong('paybill', { amount: { amount_minor: 1, currency: 'euro' } }, /currency/)
  wrong('paybill', { merchant_name: ['a'] }, /merchant_name/)
  wrong('paybill', { channel: 5 }, /channel must be one of QR/)
  wrong('paybill', { installments: -1 }, /installments/)
  // The stored state has an int there: a number beyond it could not be written, and the worker would stop.
  wrong('paybill', { installments: 2 ** 31 }, /installments/)
  wrong('spm', { spm_a: 'a', spm_b: 'b', is_bot_suspect: 'no' }, /is_bot_suspect/)
  wrong('search', { query: 5 }, /query/)
  assert.throws(() => decodeJson('app', { header: HEADER }), recordError('record-field-missing', /app_id/))
  assert.throws(() => decodeJson('app', {}), recordError('record-field-missing', /header/))
})

test('JSON that is none, or no object, is refused', () => {
  for (const text of ['{', '[]', '"a"', 'null', ''])
    assert.throws(() => json.decode(sourceRecord('search', 'u1', text)), recordError('record-json'))
  const latin1 = Buffer.from('{"query":"caf\u00e9"}', 'latin1')
  assert.throws(() => json.decode(sourceRecord('search', 'u1', latin1)), recordError('record-json', /UTF-8/))
})

test('topics that are listed twice or name no schema are refused at start', () => {
  const topic = { topic: 'a', holds: 'app', format: 'avro-raw', schema: null, fields: null } as const
  const start =
    (...topics: object[]) =>
    () =>
      createRecordDecoder({ topics: topics as never, schemas: SCHEMAS })
  const configError = (code: string) => (error: unknown) =>
    error instanceof ConfigError && error.code === code
  assert.throws(start(topic, topic), configError('topic-duplicate'))
  assert.throws(start({ ...topic, schema: 'nowhere' }), configError('topic-schema-unknown'))
  assert.throws(start({ ...topic, fields: { app_idd: 'x' } }), configError('topic-mapping-invalid'))
})
