/** Shows that a window becomes exactly what the model looks at. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BehaviorEvent } from '../../src/events/behavior-event.ts'
import type { EventId } from '../../src/events/ids.ts'
import { userInput } from '../../src/model/user-input.ts'

const search = (query: string): BehaviorEvent => {
  return { modality: 'search', source: 's', eventId: query as EventId, eventTimeMs: 0, fields: { query } }
}
const none = { paybill: [], miniprogram: [], spm: [], app: [], search: [] }
const slots = { paybill: 1, miniprogram: 1, spm: 1, app: 0, search: 2 }
const say = (event: BehaviorEvent) => event.eventId

test('the newest events up to the slots are rendered, in order; nothing else is', () => {
  const rendered: string[] = []
  const render = (event: BehaviorEvent) => {
    rendered.push(event.eventId)
    return `${event.eventId}!`
  }
  const window = {
    events: { ...none, search: [search('a'), search('b'), search('c')], app: [search('x')] },
    tabular: null,
  }
  const input = userInput({ slots, tabularFeatures: ['f'] }, render, window)
  assert.deepEqual(input, { events: { search: ['b!', 'c!'] }, tabular: null })
  assert.deepEqual(rendered, ['b', 'c'])
})

test('a snapshot is put into the order of the features; a model without the modality gets none', () => {
  const tabular = { featureSet: 'a@1', numeric: { f: 1, g: 2 }, categorical: {} }
  const window = { events: none, tabular }
  assert.deepEqual(userInput({ slots, tabularFeatures: ['g', 'h'] }, say, window).tabular, [2, null])
  assert.equal(userInput({ slots, tabularFeatures: null }, say, window).tabular, null)
})
