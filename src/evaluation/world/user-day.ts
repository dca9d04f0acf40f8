/** What one user does on one UTC day: the unit in which the world is made, alone and in any order. */

import { type BehaviorEvent, TEXT_MODALITIES, type TextModality } from '../../events/behavior-event.ts'
import { SeededRandom } from '../../model/seeded-random.ts'
import { DAY_MS, isWeekend } from './calendar.ts'
import { CONCEPTS } from './concepts.ts'
import { type LifeChange, lifeChanges, weightsUnder } from './life-change.ts'
import { conceptFields, fraudulentPayment, type Moment, makeEvent, salary } from './make-event.ts'
import type { WorldUser } from './persona.ts'

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** Mean gap between the events of a session. */
const GAP_MS = 3 * MINUTE_MS
/** Mean number of events that follow the first of a session. */
const FOLLOWING = 0.8
const FRAUD_EVENTS = 9
const WEEKEND_FACTOR = 1.25
/** From looking to using: after each modality, what tends to come next in a session. */
const NEXT: Readonly<Record<TextModality, readonly TextModality[]>> = {
  search: ['spm', 'spm', 'search', 'miniprogram'],
  spm: ['spm', 'paybill', 'search', 'app'],
  app: ['miniprogram', 'spm', 'paybill'],
  miniprogram: ['paybill', 'miniprogram', 'app'],
  paybill: ['app', 'miniprogram', 'spm'],
}

/**
 * @param day days since the Unix epoch
 * @returns events by time, all within the day; ids are `<user>-<day>-<n>`
 */
export function userDay(user: WorldUser, day: number): BehaviorEvent[] {
  const startMs = day * DAY_MS
  const changes = lifeChanges(user, startMs, startMs + DAY_MS)
  const random = new SeededRandom(user.seed, user.index, 'day', day)
  const sessions = random.poisson(user.sessionsPerDay * (isWeekend(day) ? WEEKEND_FACTOR : 1))
  const drafts: Draft[] = []
  for (let i = 0; i < sessions; i++) {
    const atMs = startMs + random.weighted(user.hours) * HOUR_MS + random.integer(0, HOUR_MS - 1)
    session(user, atMs, active(changes, atMs), random, drafts)
  }
  for (const change of changes) if (change.kind === 'fraud') fraud(user, change, random, drafts)
  if (isPayDay(user, day) && !changes.some(({ kind }) => kind === 'job-loss')) {
    drafts.push({ modality: 'paybill', timeMs: startMs + 6 * HOUR_MS, fields: salary(user) })
  }
  const endMs = startMs + DAY_MS
  return drafts
    .filter(({ timeMs }) => timeMs >= startMs && timeMs < endMs)
    .sort((a, b) => a.timeMs - b.timeMs)
    .map(({ modality, timeMs, fields }, n) => makeEvent(modality, `${user.user}-${day}-${n}`, timeMs, fields))
}

/** The changes that are on at a time. */
export function active(changes: readonly LifeChange[], atMs: number): LifeChange[] {
  return changes.filter(({ startMs, endMs }) => startMs <= atMs && atMs < endMs)
}

interface Draft {
  modality: TextModality
  timeMs: number
  fields: BehaviorEvent['fields']
}

/** One to a few events about one concept, minutes apart. */
function session(
  user: WorldUser,
  atMs: number,
  changes: readonly LifeChange[],
  random: SeededRandom,
  drafts: Draft[],
): void {
  const concept = CONCEPTS[random.weighted(weightsUnder(user, changes))]!
  const moment = momentOf(user, changes, random)
  let modality = TEXT_MODALITIES[random.weighted(user.habits)]!
  let timeMs = atMs
  for (let rest = random.poisson(FOLLOWING); rest >= 0; rest--) {
    drafts.push({ modality, timeMs, fields: conceptFields(modality, concept, moment) })
    timeMs += 1_000 + Math.floor(random.exponential(GAP_MS))
    modality = random.pick(NEXT[modality])
  }
}

/** What the changes add to a moment: fixed words, and thrift without a job. */
export function momentOf(user: WorldUser, changes: readonly LifeChange[], random: SeededRandom): Moment {
  const slots: Record<string, string> = {}
  for (const change of changes) Object.assign(slots, change.slots)
  return { user, random, slots, spending: changes.some(({ kind }) => kind === 'job-loss') ? 0.6 : 1 }
}

/** A burst of payments within the change's hours, whatever the user's own hours are. */
function fraud(user: WorldUser, change: LifeChange, random: SeededRandom, drafts: Draft[]): void {
  const moment = momentOf(user, [], random)
  for (let i = 0; i < FRAUD_EVENTS; i++) {
    const timeMs = random.integer(change.startMs, change.endMs - 1)
    drafts.push({ modality: 'paybill', timeMs, fields: fraudulentPayment(moment) })
  }
}

function isPayDay(user: WorldUser, day: number): boolean {
  return new Date(day * DAY_MS).getUTCDate() === user.payDay
}

/** Mean number of a user's events a day, life's changes left out. */
export function eventsPerDay(user: WorldUser): number {
  return user.sessionsPerDay * (1 + FOLLOWING) * (1 + ((WEEKEND_FACTOR - 1) * 2) / 7)
}
