/** Applies records to users' states and marks them dirty; what can't be applied goes to the dead letters. */

import { RecordError, UnavailableError } from '../errors.ts'
import type { UserRecord } from '../events/behavior-event.ts'
import { userKey } from '../events/ids.ts'
import type { RecordDecoder, SourceRecord } from '../events/source-record.ts'
import { applyEvent, applyTabular, applyTombstone } from '../window/apply.ts'
import { isLate, isTooFarAhead } from '../window/day.ts'
import { eventBytes } from '../window/state-size.ts'
import { consumed, unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Control } from './control.ts'
import type { DeadLetter, DeadLetters } from './control-log.ts'
import type { EventSource } from './event-source.ts'
import { markEverywhere } from './marks.ts'
import type { Ownership } from './ownership.ts'
import type { Partition } from './partition.ts'
import type { Pauses } from './pauses.ts'
import type { Scheduler } from './scheduler.ts'
import type { PipelineSettings } from './settings.ts'
import type { Snapshots } from './snapshot.ts'

export interface ConsumerParts {
  clock: Clock
  settings: PipelineSettings
  source: EventSource
  pauses: Pauses
  decoder: RecordDecoder
  deadLetters: DeadLetters
  ownership: Ownership
  control: Control
  scheduler: Scheduler
  snapshots: Snapshots
  /** Ends waits: nothing is read any more. */
  stopping: AbortSignal
}

export class Consumer {
  private readonly parts: ConsumerParts
  private readonly topicIndex: ReadonlyMap<string, number>

  constructor(parts: ConsumerParts) {
    this.parts = parts
    this.topicIndex = new Map(parts.source.topics.map((topic, index) => [topic, index]))
  }

  /** Records of one topic and partition, in order; synchronous, because a heartbeat may wait behind it. */
  records(batch: readonly SourceRecord[]): void {
    const first = batch[0]
    const partition = first === undefined ? undefined : this.parts.ownership.partitions.get(first.partition)
    const topicIndex = first === undefined ? undefined : this.topicIndex.get(first.topic)
    if (first === undefined || partition === undefined || topicIndex === undefined) return
    const outcomes = new Map<string, number>()
    const letters: DeadLetter[] = []
    const nowMs = this.parts.clock.nowMs()
    const horizonDays = this.longestHorizon()
    for (const record of batch) {
      // What was read in this ownership is in the state or held already.
      if (record.offset < partition.read[topicIndex]!) continue
      let outcome: string
      try {
        const said = this.parts.decoder.decode(record)
        outcome = this.apply(partition, topicIndex, said, record, { nowMs, horizonDays })
      } catch (error) {
        if (error instanceof UnavailableError) {
          this.retryFrom(partition, error)
          break
        }
        if (!(error instanceof RecordError)) throw error
        letters.push(deadLetter(record, error, nowMs))
        outcome = 'dead-letter'
      }
      partition.read[topicIndex] = record.offset + 1
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    if (letters.length > 0) void this.bury(partition, topicIndex, letters)
    const deadLetters = countByReason(letters)
    consumed.publish({ topic: first.topic, partition: partition.number, outcomes, deadLetters })
  }

  private apply(
    partition: Partition,
    topicIndex: number,
    record: UserRecord,
    { offset, appendTimeMs }: SourceRecord,
    { nowMs, horizonDays }: { nowMs: number; horizonDays: number | null },
  ): string {
    const { control, scheduler, settings } = this.parts
    const { view } = control
    let outcome: string = record.kind
    const timeMs =
      record.kind === 'event' ? record.event.eventTimeMs : record.kind === 'tabular' ? record.asOfMs : 0
    if (isTooFarAhead(timeMs, appendTimeMs, settings.maxFutureSkewMs))
      throw new RecordError(
        'event-from-future',
        `expected a time at most ${settings.maxFutureSkewMs} ms after the append time ${appendTimeMs}, got ${timeMs}: ` +
          'mend the clock of the producer and send it again, or retry the dead letter once that time has come',
      )
    const entry = partition.entry(userKey(record.tenant, record.user))
    const state = partition.stateOf(entry)
    switch (record.kind) {
      case 'event': {
        const window = state.windows[record.event.modality]
        const { length } = window
        // S4: judged at the append time; a reader's clock that runs ahead must not drop events for good.
        if (isLate(timeMs, appendTimeMs, horizonDays)) outcome = 'late'
        else outcome = applyEvent(state, record.event, partition.caps)
        // In a full window an event takes another's place: counted, a busy user would seem to fill the memory.
        if (window.length > length) partition.grow(entry, eventBytes(record.event))
        break
      }
      case 'tabular':
        applyTabular(state, { offset, asOfMs: record.asOfMs, snapshot: record.snapshot })
        break
      case 'tombstone':
        applyTombstone(state, record.atMs)
        break
      case 'ignored':
        outcome = record.reason
        break
    }
    // S5: every record marks its user, whether or not it changed the state; the hash decides what is computed.
    entry.revision++
    entry.changed = true
    entry.dirty = true
    partition.hold(entry, topicIndex, offset)
    const isTombstone = record.kind === 'tombstone'
    markEverywhere(entry, state, view, nowMs, isTombstone, settings.quietMs)
    scheduler.recordRead(entry, view, nowMs, appendTimeMs)
    if (isTombstone) scheduler.later(entry, nowMs)
    return outcome
  }

  /** An event is late only if no model in use would see it. */
  private longestHorizon(): number | null {
    const { control, snapshots } = this.parts
    let longest = 0
    for (const model of control.view.models.inUse) {
      const days = snapshots.horizonOf(model)
      if (days === null) return null
      longest = Math.max(longest, days)
    }
    return longest
  }

  /** A schema can't be fetched now: the partition waits, and reads on from the record that needs it. */
  private retryFrom(partition: Partition, error: UnavailableError): void {
    const { clock, pauses, source, stopping } = this.parts
    // Who was asked a moment ago isn't down.
    if (error.answered === null) unavailable.publish({ what: 'schemas', error, attempt: 1 })
    // First of all: whatever else resumes the partition, no record is passed over.
    source.seek(partition.number, partition.readPositions)
    pauses.pause(partition, 'schema')
    const alarm = new AbortController()
    void error.answered?.then(() => alarm.abort())
    void clock.sleep(error.retryAfterMs, AbortSignal.any([alarm.signal, stopping])).then(() => {
      if (!stopping.aborted) pauses.resume(partition, 'schema')
    })
  }

  /** The raw bytes are durable before their offsets count as acknowledged: nothing is lost. */
  private async bury(
    partition: Partition,
    topicIndex: number,
    letters: readonly DeadLetter[],
  ): Promise<void> {
    const { clock, deadLetters, ownership } = this.parts
    const hold = partition.holdRecord(topicIndex, letters[0]!.offset)
    for (let attempt = 1; partition.owned; attempt++) {
      try {
        await deadLetters.put(letters)
        partition.release(hold)
        return
      } catch (error) {
        if (!(error instanceof UnavailableError)) {
          ownership.failed(error)
          return
        }
        unavailable.publish({ what: 'dead-letters', error, attempt })
        await clock.sleep(error.retryAfterMs)
      }
    }
  }
}

function countByReason(letters: readonly DeadLetter[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { reason } of letters) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return counts
}

/** What becomes of a record that can't be taken: its bytes as they came, and why. */
export function deadLetter(record: SourceRecord, error: RecordError, failedAtMs: number): DeadLetter {
  const { topic, partition, offset, appendTimeMs, key, value, headers = {} } = record
  const { code: reason, message } = error
  return {
    topic,
    partition,
    offset,
    appendTimeMs,
    key,
    value,
    headers,
    reason,
    error: message,
    attempts: 1,
    failedAtMs,
  }
}
