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

/** What can be done with records that went to the dead letters. */
export interface Letters {
  /** Oldest first. @param after id of the last one that was shown */
  list(filter: LetterFilter, after: string | null, limit: number): Promise<NamedLetter[]>
  /** @returns null: there is none of that id */
  show(id: string): Promise<NamedLetter | null>
  /**
   * Puts letters back on their topics.
   *
   * @param again makes the record; null: it still is none, and stays a letter
   * @returns how many were put back
   */
  retry(filter: LetterFilter, again: (letter: DeadLetter) => NewRecord | null): Promise<number>
  /** Removes letters for good; who wants only some of them is told what can be removed. @returns how many */
  purge(filter: LetterFilter): Promise<number>
  /** null: nobody counts them. */
  count(): number | null
}
