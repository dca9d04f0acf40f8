/** What can be done with dead letters, wherever they lie. */

import type { NewRecord } from '../events/new-record.ts'
import type { DeadLetter } from './control-log.ts'

/** A dead letter, and what callers name it by. */
export interface NamedLetter {
  /** A number in a data directory; topic, partition and offset of the letter itself in Kafka. */
  id: string
  letter: DeadLetter
}

export interface LetterFilter {
  ids?: readonly string[] | undefined
  /** Code of the error. */
  reason?: string | undefined
}

/** Header of a record that comes back: how often it has failed so far. */
export const ATTEMPTS_HEADER = 'freshet.dlq.attempts'
/** Header of a record that comes back under another append time: its first one, milliseconds. */
const FIRST_APPEND_HEADER = 'freshet.dlq.first-append-time-ms'
/** The one reason that lies in the append time itself. */
const FROM_FUTURE = 'event-from-future'

/**
 * The record that a letter was. It keeps its append time, by which lateness is judged (S4); only an event from the future,
 * which by that time will be so for ever, is appended as of now.
 */
export function recordAgain(letter: DeadLetter): NewRecord {
  const { topic, key, value, headers, appendTimeMs, reason } = letter
  return reason === FROM_FUTURE
    ? { topic, key, value, headers }
    : { topic, key, value, headers, appendTimeMs }
}

/** What a record that comes back says in its headers beside what it said at first. */
export function headersAgain(letter: DeadLetter, record: NewRecord): Record<string, string> {
  const own = { [ATTEMPTS_HEADER]: String(letter.attempts) }
  if (record.appendTimeMs !== undefined) return own
  const first = letter.headers[FIRST_APPEND_HEADER] ?? String(letter.appendTimeMs)
  return { ...own, [FIRST_APPEND_HEADER]: first }
}

/** What can be done with records that went to the dead letters. */
export interface Letters {
  /** Oldest first. @param after id of the last one that was shown */
  list(filter: LetterFilter, after: string | null, limit: number): Promise<NamedLetter[]>
  /** @returns null: there is none of that id */
  show(id: string): Promise<NamedLetter | null>
  /**
   * Puts letters back on their topics, with what `headersAgain` says in their headers.
   *
   * @param again makes the record, mostly `recordAgain`; null: it still is none, and stays a letter
   * @returns how many were put back
   */
  retry(filter: LetterFilter, again: (letter: DeadLetter) => NewRecord | null): Promise<number>
  /** Removes letters for good; who wants only some of them is told what can be removed. @returns how many */
  purge(filter: LetterFilter): Promise<number>
  /** null: nobody counts them. */
  count(): number | null
}
