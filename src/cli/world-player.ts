/** Plays the synthetic world into the event log: everybody's past at once, then the present at a visible speed. */

import { FOLLOWED_INDEX, type WorldUser, worldUsers } from '../evaluation/world/persona.ts'
import { history, live, paced, timeMs } from '../evaluation/world/stream.ts'
import type { UserRecord } from '../events/behavior-event.ts'
import { createRecordEncoder, type RecordEncoder } from '../events/encoder.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { Holds, TopicSettings } from '../events/topic.ts'
import type { Standalone } from './open-standalone.ts'

/** Long enough for every user to have a window, short enough to be read in a second or two. */
const HISTORY_DAYS = 25
const BATCH_RECORDS = 1_000
/** Records whose time comes within it are appended together. */
const TICK_MS = 50

export interface WorldOptions {
  seed: number
  userCount: number
  eventsPerSecond: number
}

export class WorldPlayer {
  /** The last thing that the followed user did, as a sentence; null: nothing yet. */
  lastSentence: string | null = null
  readonly followed: WorldUser

  private readonly standalone: Standalone
  private readonly options: WorldOptions
  private readonly users: WorldUser[]
  private readonly encoders = new Map<Holds, { topic: string; encoder: RecordEncoder }>()

  constructor(standalone: Standalone, options: WorldOptions) {
    this.standalone = standalone
    this.options = options
    this.users = worldUsers(options.seed, options.userCount)
    this.followed = this.users[FOLLOWED_INDEX]!
    for (const topic of standalone.parts.settings.events.topics) this.addEncoder(topic)
  }

  /** Appends the past of all users, once for a data directory. @returns how many records */
  async past(): Promise<number> {
    const { log, clock } = this.standalone.parts
    const name = `world ${this.options.seed} ${this.users.length} ${HISTORY_DAYS}`
    if (log.importProgress(name)?.isDone === true) return 0
    const untilMs = clock.nowMs()
    let batch: NewRecord[] = []
    let count = 0
    for (const user of this.users)
      for (const record of history(user, untilMs, HISTORY_DAYS)) {
        batch.push(...this.encoded(record))
        if (batch.length < BATCH_RECORDS) continue
        count += batch.length
        await log.append(batch)
        batch = []
      }
    count += batch.length
    await log.append(batch, { import: name, position: 0, records: count, asOfDay: null, isDone: true })
    return count
  }

  /** Plays until the signal comes. */
  async present(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.standalone.parts
    const { seed, userCount, eventsPerSecond } = this.options
    const fromMs = clock.nowMs()
    const records = paced(live(seed, fromMs, { userCount }), { fromMs, eventsPerSecond, seed })
    let next = records.next().value
    while (!signal.aborted && next !== undefined) {
      const nowMs = clock.nowMs()
      const due: NewRecord[] = []
      while (next !== undefined && timeMs(next) <= nowMs) {
        due.push(...this.encoded(next))
        this.follow(next)
        next = records.next().value
      }
      if (due.length > 0) await log.append(due)
      await clock.sleep(TICK_MS, signal)
    }
  }

  private follow(record: UserRecord): void {
    if (record.user === this.followed.user && record.kind === 'event')
      this.lastSentence = this.standalone.parts.opened.render(record.event)
  }

  private addEncoder({ topic, holds, format, fields }: TopicSettings): void {
    // A mapped topic, or one of a registry's schema ids, is somebody's own and no place for a play.
    if (fields !== null || format === 'avro-confluent' || this.encoders.has(holds)) return
    this.encoders.set(holds, { topic, encoder: createRecordEncoder(format) })
  }

  private encoded(record: UserRecord): NewRecord[] {
    const found = this.encoders.get(record.kind === 'event' ? record.event.modality : 'tabular')
    return found === undefined ? [] : [{ topic: found.topic, ...found.encoder.encode(record) }]
  }
}
