/** Dead letters: listed, shown, put back on their topic, and removed. */

import { RecordError, RequestError } from '../errors.ts'
import type { NewRecord } from '../events/new-record.ts'
import type { DeadLetter } from '../pipeline/control-log.ts'
import { type LetterFilter, type NamedLetter, recordAgain } from '../pipeline/letters.ts'
import type { LetterSummary } from '../server/service.ts'
import type { Parts } from './parts.ts'

/** The topic of lines that never became records: of imports and requests. */
export const INGEST_TOPIC = 'ingest'

export class LocalLetters {
  private readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  async list({
    limit,
    after,
    reason,
  }: {
    limit: number
    after?: string
    reason?: string
  }): Promise<LetterSummary[]> {
    const letters = await this.parts.backend.letters.list({ reason }, after ?? null, limit)
    return letters.map(summary)
  }

  /** @throws {RequestError} `letter-unknown` */
  async show(id: string) {
    const named = await this.parts.backend.letters.show(id)
    if (named === null)
      throw new RequestError(
        'letter-unknown',
        `expected the id of a dead letter, got ${JSON.stringify(id.slice(0, 300))}: list them (freshet dlq list)`,
        { status: 404 },
      )
    const { key, value, headers } = named.letter
    return {
      ...summary(named),
      key: key === null ? null : Buffer.from(key).toString('utf8'),
      valueBase64: value === null ? null : Buffer.from(value).toString('base64'),
      headers: { ...headers },
    }
  }

  /** @returns how many were put back; what still is no record stays a letter */
  async retry(filter: LetterFilter): Promise<number> {
    await this.parts.encoder.prepare()
    return this.parts.backend.letters.retry(filter, (letter) => this.record(letter))
  }

  /** @returns how many are gone for good */
  purge(filter: LetterFilter): Promise<number> {
    return this.parts.backend.letters.purge(filter)
  }

  private record(letter: DeadLetter): NewRecord | null {
    if (letter.topic !== INGEST_TOPIC) return recordAgain(letter)
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

function summary({ id, letter }: NamedLetter): LetterSummary {
  const { topic, partition, offset, reason, error, failedAtMs, attempts, key, value } = letter
  const sizeBytes = (key?.length ?? 0) + (value?.length ?? 0)
  return { id, topic, partition, offset, reason, error, failedAtMs, attempts, sizeBytes }
}
