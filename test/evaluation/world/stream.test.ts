/** The world to watch: deterministic, independent of order, valid records, and lives that change visibly. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DAY_MS } from '../../../src/evaluation/world/calendar.ts'
import { worldUser, worldUsers } from '../../../src/evaluation/world/persona.ts'
import { CHAPTER_EVENTS, storyStep } from '../../../src/evaluation/world/story.ts'
import { history, live, paced, timeMs } from '../../../src/evaluation/world/stream.ts'
import { userDay } from '../../../src/evaluation/world/user-day.ts'
import { createRecordDecoder } from '../../../src/events/decoder.ts'
import { createRecordEncoder } from '../../../src/events/encoder.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import type { Holds, TopicSettings } from '../../../src/events/topic.ts'

const NOW_MS = Date.UTC(2026, 10, 24, 9, 30)
const SEED = 20_261_124

type TimedRecord = ReturnType<typeof history> extends Generator<infer T> ? T : never

function take<T>(records: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  for (const record of records) {
    if (taken.length === count) break
    taken.push(record)
  }
  return taken
}

function assertOrderedAndUnique(records: readonly TimedRecord[]): void {
  const ids = new Set<string>()
  let lastMs = Number.NEGATIVE_INFINITY
  for (const record of records) {
    assert.ok(timeMs(record) >= lastMs, 'times never go back')
    lastMs = timeMs(record)
    assert.ok(Number.isSafeInteger(lastMs))
    const id = record.kind === 'event' ? record.event.eventId : `${record.user} as of ${record.asOfMs}`
    assert.ok(!ids.has(id), `${id} came twice`)
    ids.add(id)
  }
}

test('a user is the same however many users there are', () => {
  assert.deepEqual(worldUsers(SEED, 40)[17], worldUser(SEED, 17))
  assert.notDeepEqual(worldUser(SEED + 1, 17), worldUser(SEED, 17))
  assert.equal(new Set(worldUsers(SEED, 300).map(({ user }) => user)).size, 300)
  assert.equal(worldUser(SEED, 0).user, 'ada')
})

test('any day of any user is the same alone, in any order, and however long a history it is part of', () => {
  const anyDays = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 0, max: 40 })), {
    minLength: 2,
    maxLength: 6,
  })
  const property = fc.property(anyDays, (pairs) => {
    const today = Math.floor(NOW_MS / DAY_MS)
    const make = ([index, ago]: readonly [number, number]) => userDay(worldUser(SEED, index), today - ago)
    const forwards = pairs.map(make)
    const backwards = pairs.toReversed().map(make).toReversed()
    assert.deepEqual(backwards, forwards)
    const [[index, ago]] = pairs as [[number, number]]
    const long = [...history(worldUser(SEED, index), NOW_MS, 45)].filter(
      (record) => Math.floor(timeMs(record) / DAY_MS) === today - ago,
    )
    const short = [...history(worldUser(SEED, index), NOW_MS, ago)].filter(
      (record) => Math.floor(timeMs(record) / DAY_MS) === today - ago,
    )
    assert.deepEqual(short, long)
  })
  fc.assert(property, { seed: SEED, numRuns: 30 })
})

test('a history is ordered, its ids are unique, it ends before its end and is a prefix of a later one', () => {
  for (const user of worldUsers(SEED, 20)) {
    const past = [...history(user, NOW_MS, 30)]
    assertOrderedAndUnique(past)
    assert.ok(past.every((record) => timeMs(record) < NOW_MS))
    const later = [...history(user, NOW_MS + 2 * DAY_MS, 32)]
    assert.deepEqual(later.slice(0, past.length), past)
  }
})

test('all five modalities and features occur, and what is encoded is decoded to the same record', () => {
  const holds = ['paybill', 'miniprogram', 'spm', 'app', 'search', 'tabular'] as const
  const topics: TopicSettings[] = holds.map((one) => ({
    topic: one,
    holds: one,
    format: 'avro-raw',
    schema: null,
    fields: null,
  }))
  const encoder = createRecordEncoder('avro-raw')
  const decoder = createRecordDecoder({ topics, schemas: directorySchemas(null) })
  const seen = new Set<Holds>()
  const records = [
    ...take(live(SEED, NOW_MS, { userCount: 60 }), 3_000),
    ...history(worldUser(SEED, 3), NOW_MS, 60),
  ]
  for (const record of records) {
    const topic = record.kind === 'event' ? record.event.modality : 'tabular'
    seen.add(topic)
    const { key, value } = encoder.encode(record)
    const said = decoder.decode({ topic, partition: 0, offset: 0, appendTimeMs: timeMs(record), key, value })
    assert.deepEqual(said, record)
  }
  assert.deepEqual([...seen].sort(), [...holds].sort())
})

test('the live stream is ordered, unique, the same twice, and goes on where the histories end', () => {
  const records = take(live(SEED, NOW_MS, { userCount: 40 }), 1_500)
  assertOrderedAndUnique(records)
  assert.deepEqual(take(live(SEED, NOW_MS, { userCount: 40 }), 1_500), records)
  const untilMs = timeMs(records.at(-1)!)
  for (const user of worldUsers(SEED, 40).slice(1, 10)) {
    const expected = [...history(user, untilMs, 60)].filter((record) => timeMs(record) >= NOW_MS)
    const seen = records.filter((record) => record.user === user.user && timeMs(record) < untilMs)
    assert.deepEqual(seen, expected)
  }
})

test('Ada lives a story: she buys a train ticket and looks for a hotel in that city, then the next chapter comes', () => {
  const ada = worldUser(SEED, 0)
  const steps = Array.from({ length: 2 * CHAPTER_EVENTS }, (_, n) => storyStep(ada, NOW_MS, 60_000, n))
  assert.deepEqual(
    steps.toReversed().map((_, i) => storyStep(ada, NOW_MS, 60_000, steps.length - 1 - i)),
    steps.toReversed(),
  )
  const [ticket] = steps
  assert.equal(ticket!.chapter, 'trip')
  const fields = ticket!.event.modality === 'paybill' && ticket!.event.fields
  assert.ok(fields && fields.merchantName === 'Northline Rail')
  const city = /^train ticket to (.+)$/.exec(fields.itemText ?? '')?.[1]
  assert.ok(city)
  const queries = steps
    .slice(0, CHAPTER_EVENTS)
    .flatMap(({ event }) => (event.modality === 'search' ? [event.fields.query] : []))
  assert.ok(queries.some((query) => query.includes(city)))
  assert.equal(steps[CHAPTER_EVENTS]!.chapter, 'new-hobby')
})

test('Ada has a twentieth of the live events, and chapters follow in the stream', () => {
  const records = take(live(SEED, NOW_MS, { userCount: 300 }), 6_000)
  const share = records.filter(
    (record) => record.kind === 'event' && /^ada-story/.test(record.event.eventId),
  ).length
  // Whole world: a twentieth by design; the others' rate varies with the hour, so only its order is held.
  assert.ok(share > 100 && share < 900, String(share))
  const { user } = worldUser(SEED, 0)
  assert.ok(records.slice(0, 40).some((record) => record.user === user))
})

test('paced records are sent at the rate asked for, and claim no event of another run', () => {
  const rate = 20
  const source = () => live(SEED, NOW_MS, { userCount: 30 })
  const count = 4_000
  const played = take(paced(source(), { fromMs: NOW_MS, eventsPerSecond: rate, seed: SEED }), count)
  assertOrderedAndUnique(played.filter((record) => record.kind === 'event'))
  assert.ok(played.every((record) => timeMs(record) >= NOW_MS))
  const seconds = (timeMs(played.at(-1)!) - NOW_MS) / 1_000
  // Mean of 4,000 exponential gaps: standard error 1/sqrt(4,000); five of them are 8 %.
  assert.ok(Math.abs((seconds * rate) / count - 1) < 0.08, String(seconds))
  const ids = (records: readonly TimedRecord[]) =>
    records.flatMap((record) => (record.kind === 'event' ? [record.event.eventId] : []))
  const later = ids(take(paced(source(), { fromMs: NOW_MS + 1, eventsPerSecond: rate, seed: SEED }), 100))
  assert.ok(!later.some((id) => new Set<string>(ids(played)).has(id)))
})
