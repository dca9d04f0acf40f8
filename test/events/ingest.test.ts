/** Lines that people write become the bytes that a producer would have sent, and the decoder agrees on what they say. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder, toIngestLine } from '../../src/events/encoder.ts'
import { createIngestEncoder } from '../../src/events/ingest.ts'
import type { RecordFormat, TopicSettings } from '../../src/events/topic.ts'
import { arbitraryRecord } from './arbitrary-records.ts'
import {
  decoderOf,
  FORMATS,
  HEADER,
  HOLDS,
  recordError,
  SCHEMA_IDS,
  SCHEMAS,
  sourceRecord,
} from './decoder-fixture.ts'

function encoderOf(format: RecordFormat) {
  const topics = HOLDS.map(
    (holds): TopicSettings => ({ topic: holds, holds, format, schema: null, fields: null }),
  )
  return createIngestEncoder({ topics, schemas: SCHEMAS, schemaIds: SCHEMA_IDS })
}

for (const format of FORMATS)
  test(`a line in, a record of a ${format} topic out: it says what the line said`, () => {
    const ingest = encoderOf(format)
    const decoder = decoderOf(format)
    fc.assert(
      fc.property(arbitraryRecord, (record: UserRecord) => {
        const topic = record.kind === 'event' ? record.event.modality : record.kind
        const made = ingest.line(toIngestLine(topic, record, { isSynthetic: true }))
        assert.deepEqual(made.says, record)
        assert.deepEqual(decoder.decode(sourceRecord(made.topic, made.key, made.value)), record)
      }),
      { seed: 6, numRuns: 200 },
    )
  })

test('the examples of docs/events.md are lines that say something, one for each kind of record', () => {
  const text = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
  const lines = text.split('\n').filter((line) => line.startsWith('{"topic"'))
  const topics = [
    ...['paybill', 'miniprogram', 'spm', 'app', 'search'].map((holds) => ({
      topic: `behavior.${holds}`,
      holds,
    })),
    { topic: 'user.tabular', holds: 'tabular' },
    { topic: 'userqa', holds: 'userqa' },
    { topic: 'freshet.tombstones', holds: 'tombstone' },
  ].map((topic) => ({ ...topic, format: 'avro-single-object', schema: null, fields: null }) as TopicSettings)
  const ingest = createIngestEncoder({ topics, schemas: SCHEMAS })
  const decoder = createRecordDecoder({ topics, schemas: SCHEMAS })
  const seen = new Set<string>()
  for (const line of lines) {
    const made = ingest.line(line)
    const said = decoder.decode(sourceRecord(made.topic, made.key, made.value))
    if (said.kind === 'ignored') assert.equal(said.reason, 'userqa-not-collected')
    seen.add(made.topic)
  }
  assert.deepEqual([...seen].sort(), topics.map((topic) => topic.topic).sort())
})

test('fields that are no features reach the stored record, unknown keys and symbols do no harm', () => {
  const ingest = encoderOf('avro-raw')
  const { value } = ingest.object({
    topic: 'paybill',
    header: { ...HEADER, event_time: '2023-11-14T22:13:20Z', attributes: { batch: '7' } },
    bill_id: 'b-17',
    status: 'DISPUTED',
    nonsense: [1, 2],
  })
  assert.ok(value !== null)
  assert.ok(value.includes('b-17'))
  assert.ok(value.includes('batch'))
  assert.ok(!value.includes('nonsense'))
})

test('a deleted tabular record is a key without a value, of its own tenant', () => {
  const made = encoderOf('json').line('{"topic":"tabular","key":"u1","value":null}')
  assert.deepEqual([made.key.toString(), made.value, made.says], ['u1', null, null])
  const deleted = {
    tenant: 'acme',
    user: 'u1',
    kind: 'tabular',
    asOfMs: 0,
    snapshot: null,
  } as unknown as UserRecord
  const line = encoderOf('json').line(toIngestLine('tabular', deleted))
  for (const { key, value, headers } of [line, createRecordEncoder('avro-raw').encode(deleted)]) {
    const said = decoderOf('json').decode({
      ...sourceRecord('tabular', key, value),
      headers,
      appendTimeMs: 0,
    })
    assert.deepEqual(said, deleted)
  }
  assert.throws(
    () => encoderOf('json').line('{"topic":"search","key":"u1","value":null}'),
    recordError('record-value-missing'),
  )
})

test("a mapped topic takes its company's own lines and stores them as they are", () => {
  const topic: TopicSettings = {
    topic: 'queries',
    holds: 'search',
    format: 'json',
    schema: null,
    fields: { user_id: 'who', event_id: { hash: ['who', 'at'] }, event_time: 'at', query: 'q' },
  }
  const made = createIngestEncoder({ topics: [topic], schemas: SCHEMAS }).line(
    '{"topic":"queries","who":"u9","at":5,"q":"hotels","extra":1}',
  )
  assert.equal(made.key.toString(), 'u9')
  assert.deepEqual(JSON.parse(String(made.value)), { who: 'u9', at: 5, q: 'hotels', extra: 1 })
})

test('lines that are no records are refused with the reason', () => {
  const ingest = encoderOf('avro-raw')
  assert.throws(() => ingest.line('{'), recordError('ingest-line', /no JSON/))
  assert.throws(() => ingest.line('[]'), recordError('ingest-line', /a list/))
  assert.throws(() => ingest.line('{"query":"x"}'), recordError('ingest-line', /no topic/))
  assert.throws(() => ingest.line('{"topic":"nowhere"}'), recordError('record-topic-unknown'))
  assert.throws(() => ingest.line('{"topic":"search"}'), recordError('record-field-missing', /header/))
  const badExtra = { topic: 'search', header: HEADER, query: 'x', result_count: 'many' }
  assert.throws(
    () => ingest.object(badExtra),
    recordError('record-field-invalid', /result_count must be of type int/),
  )
  const badTime = { topic: 'search', header: { ...HEADER, ingest_time: 'noon' }, query: 'x' }
  assert.throws(() => ingest.object(badTime), recordError('record-field-invalid', /header\.ingest_time/))
})
