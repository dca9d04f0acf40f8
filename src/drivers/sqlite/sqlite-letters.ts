/** The dead letters of a data directory as the port has them: named by numbers, put back in transactions. */

import type { NewRecord } from '../../events/new-record.ts'
import type { DeadLetter } from '../../pipeline/control-log.ts'
import { headersAgain, type LetterFilter, type Letters, type NamedLetter } from '../../pipeline/letters.ts'
import type { SqliteEventLog } from './event-log.ts'
import type { SqliteDeadLetters, StoredLetter } from './sqlite-dead-letters.ts'

/** Letters of one transaction. */
const RETRY_LETTERS_MAX = 1_000

export class SqliteLetters implements Letters {
  private readonly stored: SqliteDeadLetters
  private readonly log: SqliteEventLog

  constructor(stored: SqliteDeadLetters, log: SqliteEventLog) {
    this.stored = stored
    this.log = log
  }

  async list(filter: LetterFilter, after: string | null, limit: number): Promise<NamedLetter[]> {
    const from = after === null ? 0 : numberOf(after)
    if (filter.ids === undefined) return this.stored.list(reasonOf(filter), from, limit).map(named)
    return idsOf(filter)
      .filter((id) => id > from)
      .flatMap((id) => this.stored.show(id) ?? [])
      .filter(({ reason }) => filter.reason === undefined || reason === filter.reason)
      .slice(0, limit)
      .map(named)
  }

  async show(id: string): Promise<NamedLetter | null> {
    const letter = this.stored.show(numberOf(id))
    return letter === null ? null : named(letter)
  }

  /** Each letter is in the log or among the letters. @throws {UnavailableError} `disk-full` and its like: the rest stays */
  async retry(filter: LetterFilter, again: (letter: DeadLetter) => NewRecord | null): Promise<number> {
    const convert = (letter: StoredLetter) => {
      const record = again(letter)
      if (record === null) return null
      return { ...record, headers: { ...record.headers, ...headersAgain(letter, record) } }
    }
    const { stored, log } = this
    const reason = reasonOf(filter)
    let count = 0
    if (filter.ids !== undefined) {
      for (const id of idsOf(filter)) count += stored.retry(log, { ...reason, id }, 0, 1, convert).retried
      return count
    }
    // What becomes a letter again meanwhile is left for another call.
    const last = stored.lastId()
    for (let after = 0; after < last; ) {
      const page = stored.retry(log, reason, after, RETRY_LETTERS_MAX, convert)
      count += page.retried
      after = page.lastId
    }
    return count
  }

  async purge(filter: LetterFilter): Promise<number> {
    const reason = reasonOf(filter)
    if (filter.ids === undefined) return this.stored.purge(reason)
    return idsOf(filter).reduce((count, id) => count + this.stored.purge({ ...reason, id }), 0)
  }

  count(): number {
    return this.stored.count()
  }
}

/** Whatever is no number of ours names no letter. */
function numberOf(id: string): number {
  return /^\d{1,15}$/.test(id) ? Number(id) : -1
}

/** Each once, oldest first. */
function idsOf({ ids = [] }: LetterFilter): number[] {
  return [...new Set(ids.map(numberOf))].sort((a, b) => a - b)
}

function reasonOf({ reason }: LetterFilter): { reason?: string } {
  return reason === undefined ? {} : { reason }
}

function named(letter: StoredLetter): NamedLetter {
  return { id: String(letter.id), letter }
}
