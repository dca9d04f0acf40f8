import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BehaviorEvent } from '../../src/events/behavior-event.ts'
import type { EventId } from '../../src/events/ids.ts'
import { plainText } from '../../src/events/plain-text.ts'
import { readRecord } from '../../src/events/read-record.ts'
import { rendererFor } from '../../src/model/renderer.ts'

const render = rendererFor(1)
const header = { user_id: 'u1', event_id: 'e1', event_time: 1_700_000_000_000, source: 'test' }
/** A bell, a next line, an escape: control characters that `trim` leaves. */
const CONTROL = String.fromCodePoint(7, 0x85, 0x1b)

test('a text is cleaned of what nobody wrote: width, controls, runs of space, broken halves', () => {
  const full = String.fromCodePoint(0xff21, 0xff22)
  assert.equal(plainText(null), '')
  assert.equal(plainText(`  ${full}${CONTROL}\t\n c `), 'AB c')
  assert.equal(plainText(CONTROL), '')
  assert.equal(plainText(String.fromCharCode(0xd83d)), String.fromCodePoint(0xfffd))
  assert.equal(plainText('x'.repeat(600)).length, 500)
})

test('a query is read as empty exactly where its sentence would say no more than that there was a search', () => {
  const unit = fc.constantFrom(
    ' ',
    '\t',
    'a',
    '0',
    ...CONTROL,
    ...[0xa0, 0x3000, 0x200b, 0xfeff, 0xd800].map((c) => String.fromCharCode(c)),
  )
  const query = fc.oneof(
    fc.string({ unit, maxLength: 6 }),
    fc.string({ unit: 'binary', maxLength: 3 }),
    // What stands behind the part that is looked at says nothing.
    fc.constantFrom(CONTROL, ' '.repeat(500), ' '.repeat(499)).map((head) => `${head}hotels`),
  )
  fc.assert(
    fc.property(query, (text) => {
      const record = readRecord('search', { header, query: text })
      const event: BehaviorEvent = {
        modality: 'search',
        source: 'test' as BehaviorEvent['source'],
        eventId: 'e1' as EventId,
        eventTimeMs: header.event_time,
        fields: { query: text },
      }
      const saysNothing = render(event).startsWith('A search, ')
      assert.equal(record.kind === 'ignored', saysNothing, JSON.stringify(text))
      if (record.kind === 'ignored') assert.equal(record.reason, 'search-empty-query')
    }),
    { seed: 20261124, numRuns: 200, examples: [[CONTROL], [''], ['a']] },
  )
})
