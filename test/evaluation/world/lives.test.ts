/** Concepts are said in many ways, and changes in life show in what users do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { activitySnapshot, dayActivity } from '../../../src/evaluation/world/activity.ts'
import { DAY_MS } from '../../../src/evaluation/world/calendar.ts'
import { CONCEPTS, conceptIndex } from '../../../src/evaluation/world/concepts.ts'
import { lifeChanges, weightsUnder } from '../../../src/evaluation/world/life-change.ts'
import { conceptFields } from '../../../src/evaluation/world/make-event.ts'
import { worldUser, worldUsers } from '../../../src/evaluation/world/persona.ts'
import { history } from '../../../src/evaluation/world/stream.ts'
import { active, userDay } from '../../../src/evaluation/world/user-day.ts'
import { type BehaviorEvent, TEXT_MODALITIES } from '../../../src/events/behavior-event.ts'
import { TABULAR } from '../../../src/model/presets.ts'
import { SeededRandom } from '../../../src/model/seeded-random.ts'

const SEED = 20_261_124
const NOW_MS = Date.UTC(2026, 10, 24)
const TODAY = NOW_MS / DAY_MS

function eventsOf(index: number, days: number): BehaviorEvent[] {
  return Array.from({ length: days }, (_, i) => userDay(worldUser(SEED, index), TODAY - days + i)).flat()
}

test('every concept is searched for in at least 20 ways, and no slot is left open in any modality', () => {
  for (const concept of CONCEPTS) {
    const random = new SeededRandom('paraphrases', concept.name)
    const moment = { user: worldUser(SEED, 1), random, slots: {}, spending: 1 }
    const queries = new Set<string>()
    for (let i = 0; i < 2_000; i++) queries.add(conceptFields('search', concept, moment).query)
    assert.ok(queries.size >= 20, `${concept.name}: ${queries.size} queries`)
    for (const modality of TEXT_MODALITIES) {
      for (let i = 0; i < 200; i++) {
        assert.doesNotMatch(JSON.stringify(conceptFields(modality, concept, moment)), /\{\w+\}/)
      }
    }
  }
})

test('a change in life is the same whichever stretch of time asks for it', () => {
  const stretches = fc.tuple(
    fc.nat(200),
    fc.integer({ min: -400, max: 400 }),
    fc.integer({ min: 1, max: 90 }),
  )
  const property = fc.property(stretches, ([index, fromDay, days]) => {
    const user = worldUser(SEED, index)
    const fromMs = NOW_MS + fromDay * DAY_MS
    const untilMs = fromMs + days * DAY_MS
    const whole = lifeChanges(user, NOW_MS - 500 * DAY_MS, NOW_MS + 600 * DAY_MS)
    assert.deepEqual(
      lifeChanges(user, fromMs, untilMs),
      whole.filter(({ startMs, endMs }) => startMs < untilMs && endMs > fromMs),
    )
  })
  fc.assert(property, { seed: SEED, numRuns: 100 })
})

test('users change about once in 45 days, and every kind of change occurs', () => {
  const days = 450
  const kinds = new Map<string, number>()
  for (const user of worldUsers(SEED, 100)) {
    const begun = lifeChanges(user, NOW_MS, NOW_MS + days * DAY_MS).filter(({ startMs }) => startMs >= NOW_MS)
    for (const { kind } of begun) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  const total = [...kinds.values()].reduce((sum, count) => sum + count, 0)
  // At most two in 45 days: a Poisson mean of 1, cut at 2, is 0.90 a period; five standard errors of 1,000 periods are 0.12.
  assert.ok(Math.abs(total / 1_000 - 0.9) < 0.12, String(total))
  assert.equal(kinds.size, 6)
})

test('on a trip, travel fills most of the days; without one it is rare', () => {
  const counts = { on: { travel: 0, all: 0 }, off: { travel: 0, all: 0 } }
  for (let index = 0; index < 150; index++) {
    const changes = lifeChanges(worldUser(SEED, index), NOW_MS - 60 * DAY_MS, NOW_MS)
    for (const event of eventsOf(index, 60)) {
      if (event.modality !== 'paybill' || event.fields.direction !== 'OUT') continue
      const count =
        counts[active(changes, event.eventTimeMs).some(({ kind }) => kind === 'trip') ? 'on' : 'off']
      count.all++
      if (event.fields.category === 'travel') count.travel++
    }
  }
  const { on, off } = counts
  assert.ok(on.all > 100 && off.all > 1_000)
  assert.ok(on.travel / on.all > 0.5, JSON.stringify(counts))
  assert.ok(off.travel / off.all < 0.05, JSON.stringify(counts))
})

test('a stolen card shows as a burst of payments, some charged back', () => {
  let bursts = 0
  let chargedBack = 0
  for (let index = 0; index < 300 && bursts < 5; index++) {
    const user = worldUser(SEED, index)
    const days = lifeChanges(user, NOW_MS - 90 * DAY_MS, NOW_MS).filter(({ kind }) => kind === 'fraud')
    for (const { startMs, endMs } of days) {
      const touched = [startMs, endMs - 1].flatMap((ms) => userDay(user, Math.floor(ms / DAY_MS)))
      const odd = touched.filter(({ modality, fields }) => {
        return (
          modality === 'paybill' && /gift cards|wallet top-up|virtual currency/.test(fields.category ?? '')
        )
      })
      if (odd.length >= 5) bursts++
      chargedBack += odd.filter(
        (event) => event.modality === 'paybill' && event.fields.status === 'CHARGED_BACK',
      ).length
    }
  }
  assert.ok(bursts >= 5)
  assert.ok(chargedBack > 0)
})

test('losing a job stops the salary, and jobs and loans come to mind', () => {
  let months = { employed: 0, without: 0 }
  for (let index = 0; index < 200; index++) {
    const changes = lifeChanges(worldUser(SEED, index), NOW_MS - 60 * DAY_MS, NOW_MS)
    const lost = changes.filter(({ kind }) => kind === 'job-loss')
    for (const event of eventsOf(index, 60)) {
      if (event.modality !== 'paybill' || event.fields.direction !== 'IN') continue
      if (active(lost, event.eventTimeMs).length > 0) months = { ...months, without: months.without + 1 }
      else months = { ...months, employed: months.employed + 1 }
    }
    if (lost.length === 0) continue
    const user = worldUser(SEED, index)
    for (const name of ['jobs', 'borrowing']) {
      assert.ok(
        weightsUnder(user, lost)[conceptIndex(name)]! > weightsUnder(user, [])[conceptIndex(name)]! + 0.9,
      )
    }
  }
  assert.equal(months.without, 0)
  assert.ok(months.employed > 300)
})

test('activity features count exactly the 30 days before the day on which they are told', () => {
  const user = worldUser(SEED, 5)
  const snapshots = [...history(user, NOW_MS, 40)].flatMap((record) =>
    record.kind === 'tabular' ? [record] : [],
  )
  assert.ok(snapshots.length >= 5)
  for (const { asOfMs, snapshot } of snapshots) {
    const day = asOfMs / DAY_MS
    const events = Array.from({ length: 30 }, (_, i) => userDay(user, day - 30 + i)).flat()
    const { numeric } = snapshot!
    for (const modality of TEXT_MODALITIES) {
      for (const days of [1, 7, 30]) {
        const counted = events.filter(
          (event) => event.modality === modality && event.eventTimeMs >= asOfMs - days * DAY_MS,
        )
        assert.equal(numeric[`${modality}_${days}d`], counted.length)
      }
    }
    assert.equal(
      numeric.active_days_30d,
      new Set(events.map((event) => Math.floor(event.eventTimeMs / DAY_MS))).size,
    )
    assert.equal(numeric.days_since_last_event, (asOfMs - events.at(-1)!.eventTimeMs) / DAY_MS)
    const share = (isIn: (date: Date) => boolean) =>
      events.filter((event) => isIn(new Date(event.eventTimeMs))).length / events.length
    assert.equal(
      numeric.night_share_30d,
      share((date) => date.getUTCHours() < 6),
    )
    assert.equal(
      numeric.weekend_share_30d,
      share((date) => date.getUTCDay() % 6 === 0),
    )
  }
  const idle = activitySnapshot([dayActivity([])], NOW_MS).numeric
  assert.ok(idle.search_30d === 0 && idle.active_days_30d === 0 && !('night_share_30d' in idle))
})

test('the features are those that the built-in model reads', () => {
  const [first] = [...history(worldUser(SEED, 5), NOW_MS, 10)].flatMap((record) =>
    record.kind === 'tabular' ? [record.snapshot!.numeric] : [],
  )
  assert.deepEqual(Object.keys(first!).sort(), TABULAR.features.toSorted())
})
