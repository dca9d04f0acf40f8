/** Whatever bytes come, the decoder answers at once with a record or a RecordError. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecordError } from '../../src/errors.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import type { RecordDecoder } from '../../src/events/source-record.ts'
import { arbitraryRecord } from './arbitrary-records.ts'
import { decoderOf, FORMATS, HOLDS, raw, SCHEMA_IDS, SCHEMAS, sourceRecord } from './decoder-fixture.ts'

/** Milliseconds: a record takes microseconds and a hang lasts for years; the rest is for a busy machine. */
const ANSWER_MS_MAX = 5_000

function mustAnswer(decoder: RecordDecoder, topic: string, key: Uint8Array, value: Uint8Array): void {
  const startMs = performance.now()
  try {
    decoder.decode(sourceRecord(topic, key, value))
  } catch (error) {
    assert.ok(error instanceof RecordError, `${error}`)
  }
  assert.ok(performance.now() - startMs < ANSWER_MS_MAX, `took ${performance.now() - startMs} ms`)
}

for (const format of FORMATS) {
  const decoder = decoderOf(format)
  const encoder = createRecordEncoder(format, SCHEMA_IDS)

  test(`${format}: every truncation is refused`, () => {
    fc.assert(
      fc.property(arbitraryRecord, (record) => {
        const { key, value } = encoder.encode(record)
        const topic = record.kind === 'event' ? record.event.modality : record.kind
        for (let length = 0; length < value!.length; length++)
          assert.throws(
            () => decoder.decode(sourceRecord(topic, key, value!.subarray(0, length))),
            RecordError,
          )
      }),
      { seed: 2, numRuns: 20 },
    )
  })

  test(`${format}: flipped and inserted bytes give a record or a RecordError, never a hang`, () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 3, 0x7f, 0x80, 0xff), fc.boolean()), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(arbitraryRecord, fc.constantFrom(...HOLDS), damage, (record, topic, faults) => {
        const { key, value } = encoder.encode(record)
        const bytes = [...value!]
        for (const [place, byte, isInsertion] of faults)
          bytes.splice(place % bytes.length, isInsertion ? 0 : 1, byte)
        mustAnswer(decoder, topic, key, Uint8Array.from(bytes))
        const own = record.kind === 'event' ? record.event.modality : record.kind
        mustAnswer(decoder, own, key, Uint8Array.from(bytes))
      }),
      { seed: 3, numRuns: 1_500 },
    )
  })

  test(`${format}: random bytes give a record or a RecordError`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...HOLDS), (bytes, topic) =>
        mustAnswer(decoder, topic, Buffer.from('u'), bytes),
      ),
      { seed: 4, numRuns: 1_500 },
    )
  })
}

test('a map that promises 2^40 entries, and one whose key leads back, are refused at once', () => {
  const header = { event_id: 'e', user_id: 'u', event_time: 1, source: 's' }
  const whole = raw('tabular', { header, as_of: 1, feature_set: 'f', numeric: {} })
  // The record ends with three empty containers: numeric, categorical, missing.
  const upToNumeric = whole.subarray(0, -3)
  const decoder = decoderOf('avro-raw')
  const huge = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])
  const backwards = Buffer.from([0x02, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  for (const tail of [huge, backwards]) {
    mustAnswer(decoder, 'tabular', Buffer.from('u'), Buffer.concat([upToNumeric, tail]))
    assert.throws(
      () => decoder.decode(sourceRecord('tabular', 'u', Buffer.concat([upToNumeric, tail]))),
      RecordError,
    )
  }
})

test("a foreign schema of nested empty lists can't multiply its counts into a hang", () => {
  const schema = {
    type: 'record',
    name: 'Foreign',
    fields: [
      { name: 'id', type: 'string' },
      {
        name: 'deep',
        type: { type: 'array', items: { type: 'array', items: { type: 'array', items: 'null' } } },
      },
    ],
  }
  const decoder = createRecordDecoder({
    topics: [
      {
        topic: 't',
        holds: 'search',
        format: 'avro-raw',
        schema: 'foreign',
        fields: { user_id: 'id', event_id: 'id', event_time: { constant: 1 }, query: 'id' },
      },
    ],
    schemas: { ...SCHEMAS, byName: () => schema },
  })
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1_000, maxLength: 3_000 }), (bytes) =>
      mustAnswer(decoder, 't', Buffer.from('u'), Buffer.concat([Buffer.from([2, 0x75]), bytes])),
    ),
    { seed: 5, numRuns: 200 },
  )
  // Every count is as large as it may be: 2,000 lists of lists of nothing.
  const worst = Buffer.concat([Buffer.from([2, 0x75]), Buffer.alloc(60_000, Buffer.from([0xa0, 0x1f]))])
  mustAnswer(decoder, 't', Buffer.from('u'), worst)
})
