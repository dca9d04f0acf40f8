/** Lines that people write become the bytes that a producer would have sent, and the decoder agrees on what they say. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecordError, RequestError, UnavailableError } from '../../src/errors.ts'
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

/** Any UTF-16 units, halves of pairs and NUL among them. */
const anyText = fc.string({
  unit: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('a', 'é', '\u{1f600}') },
    fc.constantFrom('\ud83d', '\ude00', '\ufffd', '\0'),
  ),
  maxLength: 6,
})
const anyNumber = fc.oneof(
  fc.integer(),
  ...[2 ** 31, 2 ** 52, 2 ** 53].flatMap((near) => [
    fc.integer({ min: near - 3, max: near }),
    fc.integer({ min: -near, max: 3 - near }),
  ]),
)
/** Mostly what a record may hold, so that most of it passes and one fault at a time is seen. */
const mostly = <Value>(usual: Value, any: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, any)

const anyHeader = fc.record({
  event_id: mostly('e1', anyText),
  user_id: mostly('u1', anyText),
  source: mostly('shop', anyText),
  event_time: mostly(1_700_000_000_000, anyNumber),
  session_id: anyText,
  ingest_time: mostly(1, anyNumber),
})
const anyLine = fc.oneof(
  fc.record({ topic: fc.constant('search'), header: anyHeader, query: anyText }),
  fc.record({
    topic: fc.constant('paybill'),
    header: anyHeader,
    status: fc.constant('SETTLED'),
    amount: fc.record({ amount_minor: anyNumber, currency: fc.constant('EUR') }),
    item_text: anyText,
    installments: mostly(1, anyNumber),
  }),
  fc.record({
    topic: fc.constant('tabular'),
    header: anyHeader,
    as_of: anyNumber,
    feature_set: anyText,
    numeric: fc.dictionary(anyText, anyNumber.map(Number)),
    categorical: fc.dictionary(anyText, anyText),
  }),
)

for (const format of FORMATS)
  test(`whatever texts and numbers a line of a ${format} topic holds, it is refused, or read as it was compared`, () => {
    const ingest = encoderOf(format)
    const decoder = decoderOf(format)
    const stored = createRecordEncoder('avro-raw')
    const storedDecoder = decoderOf('avro-raw')
    let taken = 0
    const property = fc.property(anyLine, (line) => {
      let made: ReturnType<typeof ingest.line>
      try {
        made = ingest.line(JSON.stringify(line))
      } catch (error) {
        assert.ok(error instanceof RecordError, `${error}`)
        return
      }
      taken++
      assert.deepEqual(decoder.decode(sourceRecord(made.topic, made.key, made.value)), made.says)
      // The state keeps it in Avro: what comes back from there must name the same event.
      if (made.says?.kind !== 'event') return
      const kept = stored.encode(made.says)
      assert.deepEqual(storedDecoder.decode(sourceRecord(made.topic, kept.key, kept.value)), made.says)
    })
    fc.assert(property, { seed: 8, numRuns: 1_000 })
    assert.ok(taken > 200, `only ${taken} lines were taken`)
  })

test('an id hashed from halves of surrogate pairs is the same before and after they were stored', () => {
  const schema = {
    type: 'record',
    name: 'Query',
    fields: ['who', 'q'].map((name) => ({ name, type: 'string' })),
  }
  const topic: TopicSettings = {
    topic: 'queries',
    holds: 'search',
    format: 'avro-raw',
    schema: 'query',
    fields: { user_id: 'who', event_id: { hash: ['who', 'q'] }, event_time: { constant: 5 }, query: 'q' },
  }
  const options = { topics: [topic], schemas: { ...SCHEMAS, byName: () => schema } }
  const made = createIngestEncoder(options).object({ topic: 'queries', who: 'u9', q: 'hotel \ud83d' })
  const said = createRecordDecoder(options).decode(sourceRecord('queries', made.key, made.value))
  assert.deepEqual(said, made.says)
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

test('an id is looked for once it is needed, and what came of it is said of the topic that is written to', async () => {
  const topics = (['search', 'app'] as const).map(
    (holds): TopicSettings => ({ topic: holds, holds, format: 'avro-confluent', schema: null, fields: null }),
  )
  const asked: string[] = []
  let answer: () => number | undefined = () => undefined
  const findId = async ({ topic }: TopicSettings) => {
    asked.push(topic)
    return answer()
  }
  const ingest = createIngestEncoder({ topics, schemas: SCHEMAS, findId })
  const write = () => ingest.object({ topic: 'search', header: HEADER, query: 'tea' })
  const isNotRegistered = { constructor: RequestError, code: 'schema-not-registered', status: 409 }
  assert.throws(write, isNotRegistered)
  await ingest.prepare(['search', 'elsewhere'])
  assert.throws(write, isNotRegistered)
  answer = () => {
    throw new UnavailableError('registry-unavailable', 'expected an answer, got none')
  }
  await ingest.prepare()
  assert.throws(write, { code: 'registry-unavailable' })
  assert.deepEqual(asked, ['search', 'search', 'app'])
  answer = () => 258
  await ingest.prepare(['search'])
  assert.deepEqual([...write().value!.subarray(0, 5)], [0, 0, 0, 1, 2])
  asked.length = 0
  await ingest.prepare(['search'])
  assert.deepEqual(asked, [])
})

test('a mapped topic takes lines only if it names the schema of its producers', async () => {
  const mapped: TopicSettings = {
    topic: 'queries',
    holds: 'search',
    format: 'avro-confluent',
    schema: null,
    fields: { user_id: 'who', query: 'q', event_id: 'id', event_time: 'at' },
  }
  const ingest = createIngestEncoder({ topics: [mapped], schemas: SCHEMAS, findId: async () => 1 })
  await ingest.prepare()
  assert.throws(() => ingest.object({ topic: 'queries', who: 'u1', q: 'tea', id: 'e1', at: 1 }), {
    code: 'schema-not-registered',
    message: /in its `schema`/,
  })
})
