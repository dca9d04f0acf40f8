/** Dead letters: listed, shown, and put back on their topic. */

import type { StoredLetter } from '../drivers/sqlite/sqlite-dead-letters.ts'
import { toRecord } from '../drivers/sqlite/sqlite-dead-letters.ts'
import { RecordError, RequestError } from '../errors.ts'
import type { LetterSummary } from '../server/service.ts'
import type { StandaloneParts } from './standalone.ts'

/** The topic of lines that never became records: of imports and requests. */
export const INGEST_TOPIC = 'ingest'

/** Letters of one transaction. */
const RETRY_LETTERS_MAX = 10_000

export class LocalLetters {
  private readonly parts: StandaloneParts

  constructor(parts: StandaloneParts) {
    this.parts = parts
  }

  list({ limit, after = 0, reason }: { limit: number; after?: number; reason?: string }): LetterSummary[] {
    const filter = reason === undefined ? {} : { reason }
    return this.parts.deadLetters.list(filter, after, limit).map(summary)
  }

  /** @throws {RequestError} `letter-unknown` */
  show(id: number) {
    const letter = this.parts.deadLetters.show(id)
    if (letter === null)
      throw new RequestError(
        'letter-unknown',
        `expected the id of a dead letter, got ${id}: list them (freshet dlq list)`,
        { status: 404 },
      )
    const { key, value, headers } = letter
    return {
      ...summary(letter),
      key: key === null ? null : Buffer.from(key).toString('utf8'),
      valueBase64: value === null ? null : Buffer.from(value).toString('base64'),
      headers: { ...headers },
    }
  }

  /** @returns how many were put back; what still is no record stays a letter */
  retry({ ids, reason }: { ids?: readonly number[]; reason?: string }): number {
    const { deadLetters, log } = this.parts
    const again = (letter: StoredLetter) => this.record(letter)
    const filter = reason === undefined ? {} : { reason }
    if (ids === undefined) return deadLetters.retry(log, filter, RETRY_LETTERS_MAX, again)
    return ids.reduce((count, id) => count + deadLetters.retry(log, { ...filter, id }, 1, again), 0)
  }

  private record(letter: StoredLetter) {
    if (letter.topic !== INGEST_TOPIC) return toRecord(letter)
    try {
      const line = Buffer.from(letter.value ?? []).toString('utf8')
      const { topic, key, value, headers } = this.parts.encoder.line(line)
      return { topic, key, value, headers, appendTimeMs: letter.appendTimeMs }
    } catch (error) {
      if (error instanceof RecordError) return null
      throw error
    }
  }
}

function summary(letter: StoredLetter): LetterSummary {
  const { id, topic, partition, offset, reason, error, failedAtMs, attempts, key, value } = letter
  const sizeBytes = (key?.length ?? 0) + (value?.length ?? 0)
  return { id, topic, partition, offset, reason, error, failedAtMs, attempts, sizeBytes }
}
