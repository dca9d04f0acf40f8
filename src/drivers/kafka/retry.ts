/** Tries again while something is unavailable: with growing pauses, until a deadline. */

import { UnavailableError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'

/** Pauses between attempts, milliseconds; the first, and the longest. */
const PAUSE_MIN_MS = 50
const PAUSE_MAX_MS = 2_000

/** Pauses that double, a little at random, so that workers that lost the same broker don't return in step. */
export class Backoff {
  private pauseMs = PAUSE_MIN_MS

  nextMs(): number {
    const pauseMs = this.pauseMs
    this.pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS)
    return pauseMs * (0.75 + 0.5 * Math.random())
  }

  reset(): void {
    this.pauseMs = PAUSE_MIN_MS
  }
}

/**
 * @param deadlineMs of the clock
 * @throws {UnavailableError} the last, when the deadline has come or the signal aborts; `kafka-closed` at once
 */
export async function untilAvailable<Result>(
  clock: Clock,
  deadlineMs: number,
  attempt: () => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const backoff = new Backoff()
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof UnavailableError) || error.code === 'kafka-closed' || signal?.aborted)
        throw error
      const pauseMs = backoff.nextMs()
      if (clock.nowMs() + pauseMs > deadlineMs) throw error
      await clock.sleep(pauseMs, signal)
    }
  }
}
