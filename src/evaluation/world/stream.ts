/** The synthetic world as records: each user's past for the backfill, and an endless present to watch. */

import type { UserRecord } from '../../events/behavior-event.ts'
import { DEFAULT_TENANT, type EventId } from '../../events/ids.ts'
import { SeededRandom } from '../../model/seeded-random.ts'
import { ACTIVITY_DAYS, activitySnapshot, type DayActivity, dayActivity } from './activity.ts'
import { DAY_MS } from './calendar.ts'
import { FOLLOWED_INDEX, type WorldUser, worldUsers } from './persona.ts'
import { storyStep } from './story.ts'
import { eventsPerDay, userDay } from './user-day.ts'

/** Every so many days a user's features are told anew. */
const SNAPSHOT_EVERY_DAYS = 7
/** Share of all live events that are the followed user's: one a second at 20 events/s. */
const FOLLOWED_SHARE = 0.05

type TimedRecord = Extract<UserRecord, { kind: 'event' | 'tabular' }>

/**
 * One user's past, by time: events, and activity features once a week.
 *
 * @param untilMs the past ends before it
 * @param days begins at the start of the UTC day that many days earlier
 */
export function* history(user: WorldUser, untilMs: number, days = 60): Generator<TimedRecord> {
  const lastDay = Math.floor((untilMs - 1) / DAY_MS)
  const diary = new Diary(user)
  for (let day = Math.floor(untilMs / DAY_MS) - days; day <= lastDay; day++) {
    for (const record of diary.day(day)) if (timeMs(record) < untilMs) yield record
  }
}

/**
 * What all users do from a time on, by time, without end; times are the world's own, see `paced`. The followed user
 * lives a story beside her ordinary days, so that there is a vector to watch.
 *
 * @param fromMs nothing happens before it
 */
export function* live(
  seed: number,
  fromMs: number,
  { userCount = 300 }: { userCount?: number } = {},
): Generator<TimedRecord> {
  const users = worldUsers(seed, userCount)
  const diaries = users.map((user) => new Diary(user))
  const followed = users[FOLLOWED_INDEX]!
  const total = users.reduce((sum, user) => sum + eventsPerDay(user), 0)
  const gapMs = DAY_MS / ((total * FOLLOWED_SHARE) / (1 - FOLLOWED_SHARE))
  let step = 0
  for (let day = Math.floor(fromMs / DAY_MS); ; day++) {
    const records = diaries.flatMap((diary) => diary.day(day))
    for (; ; step++) {
      const { event } = storyStep(followed, fromMs, gapMs, step)
      if (event.eventTimeMs >= (day + 1) * DAY_MS) break
      records.push({ tenant: DEFAULT_TENANT, user: followed.user, kind: 'event', event })
    }
    // Stable: of one millisecond, the order of the users decides.
    records.sort((a, b) => timeMs(a) - timeMs(b))
    for (const record of records) if (timeMs(record) >= fromMs) yield record
  }
}

/**
 * Plays records at a visible speed: each gets a time at which it should be sent, which is its time from then on. The
 * world's days pass quicker than ours, and no event may lie in the future.
 *
 * @param fromMs when the first may be sent
 * @param eventsPerSecond mean rate; the gaps are exponential, as those of many users together are
 * @returns the records in their order, renamed by the run, so that two runs never claim the same event
 */
export function* paced(
  records: Iterable<TimedRecord>,
  { fromMs, eventsPerSecond, seed }: { fromMs: number; eventsPerSecond: number; seed: number },
): Generator<TimedRecord> {
  const random = new SeededRandom(seed, 'pace', fromMs)
  let atMs = fromMs
  let n = 0
  for (const record of records) {
    atMs += random.exponential(1_000 / eventsPerSecond)
    yield restamped(record, Math.round(atMs), `live-${fromMs}-${n++}`)
  }
}

/** When a record's event happened or its features were true, milliseconds since the Unix epoch. */
export function timeMs(record: TimedRecord): number {
  return record.kind === 'event' ? record.event.eventTimeMs : record.asOfMs
}

function restamped(record: TimedRecord, atMs: number, eventId: string): TimedRecord {
  if (record.kind === 'tabular') return { ...record, asOfMs: atMs }
  return { ...record, event: { ...record.event, eventTimeMs: atMs, eventId: eventId as EventId } }
}

/** One user's days, with the counters of the days before them, whichever day is asked for first. */
class Diary {
  private readonly user: WorldUser
  private readonly activity = new Map<number, DayActivity>()

  constructor(user: WorldUser) {
    this.user = user
  }

  /** Records of a day: the features first where they are due, as of its start. */
  day(day: number): TimedRecord[] {
    const { user } = this
    const events = userDay(user, day)
    this.activity.set(day, dayActivity(events))
    this.activity.delete(day - ACTIVITY_DAYS - SNAPSHOT_EVERY_DAYS)
    const records: TimedRecord[] = events.map((event) => ({
      tenant: DEFAULT_TENANT,
      user: user.user,
      kind: 'event',
      event,
    }))
    // Spread over the week by user, so that they don't all come at once.
    if ((day + user.index) % SNAPSHOT_EVERY_DAYS !== 0) return records
    const days = Array.from({ length: ACTIVITY_DAYS }, (_, i) => this.activityOf(day - ACTIVITY_DAYS + i))
    const snapshot = activitySnapshot(days, day * DAY_MS)
    return [
      { tenant: DEFAULT_TENANT, user: user.user, kind: 'tabular', asOfMs: day * DAY_MS, snapshot },
      ...records,
    ]
  }

  private activityOf(day: number): DayActivity {
    const known = this.activity.get(day) ?? dayActivity(userDay(this.user, day))
    this.activity.set(day, known)
    return known
  }
}
