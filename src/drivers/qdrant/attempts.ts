/** One request as the driver makes it, over whatever protocol: bounded in time, repeated once when its connection was dropped. */

import { UnavailableError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { type Answer, type Asked, isDropped, judge, type Verdict } from './answers.ts'

/** Asks once. What it throws is taken for a connection that failed. */
export type Attempt = (signal: AbortSignal) => Promise<Answer>

export class Attempts {
  private readonly clock: Clock
  private readonly address: string
  private readonly live = new Set<AbortController>()
  private isClosed = false

  /** @param address of the server, for the sentences of errors */
  constructor(clock: Clock, address: string) {
    this.clock = clock
    this.address = address
  }

  /** @throws {UnavailableError} `vectors-closed` */
  async judged(asked: Asked, timeoutMs: number, attempt: Attempt): Promise<Verdict> {
    return this.judge(await this.answer(timeoutMs, attempt), asked)
  }

  judge(answer: Answer, asked: Asked): Verdict {
    return judge(answer, { ...asked, address: this.address }, this.clock.nowMs())
  }

  /**
   * A connection that was dropped under the request is no reason to wait; the second time it is.
   *
   * @throws {UnavailableError} `vectors-closed`
   */
  async answer(timeoutMs: number, attempt: Attempt): Promise<Answer> {
    const first = await this.bounded(timeoutMs, attempt)
    return isDropped(first) ? await this.bounded(timeoutMs, attempt) : first
  }

  /** Ends what is under way, and whatever comes after. */
  close(): void {
    this.isClosed = true
    for (const limit of this.live) limit.abort()
  }

  private async bounded(timeoutMs: number, attempt: Attempt): Promise<Answer> {
    if (this.isClosed) throw closed()
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), timeoutMs)
    this.live.add(limit)
    let answer: Answer
    try {
      answer = await attempt(limit.signal)
    } catch (error) {
      answer = { kind: 'network', code: codeOf(error), cause: error }
    } finally {
      clearTimeout(timer)
      this.live.delete(limit)
    }
    if (answer.kind === 'http') return answer
    if (this.isClosed) throw closed()
    return limit.signal.aborted ? { kind: 'timeout', afterMs: timeoutMs } : answer
  }
}

/** The code of Node's or undici's error, a cause or two deep; undici gives none to an answer that is no HTTP/1.1. */
export function codeOf(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code
    if (at.name === NOT_HTTP) return NOT_HTTP
  }
  return null
}

/** Another protocol was spoken, such as gRPC's. */
export const NOT_HTTP = 'HTTPParserError'

function closed(): UnavailableError {
  return new UnavailableError(
    'vectors-closed',
    'expected an open store of vectors, got one that is closed: ask again once freshet is back',
  )
}
