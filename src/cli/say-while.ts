/** Says what is waited for, so that nobody sits before a silent program and guesses. */

import type { Clock } from '../pipeline/clock.ts'
import { note } from './output.ts'

/** Longer than anything takes that is well. */
const FIRST_MS = 2_000
/** Often enough to see that it still tries, seldom enough for a log. */
const REPEAT_MS = 15_000

/** Where such lines go: a log, or the error output. @param component who is waited for, as in log lines */
export type Say = (component: string, text: string) => void

/** For verbs. */
export const sayNote: Say = (_component, text) => note(text)

/** Calls `say` after 2 s and every 15 s from then on, until the work has ended. */
export async function sayWhile<Result>(
  clock: Clock,
  say: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const over = new AbortController()
  const saying = (async () => {
    await clock.sleep(FIRST_MS, over.signal)
    while (!over.signal.aborted) {
      say()
      await clock.sleep(REPEAT_MS, over.signal)
    }
  })()
  try {
    return await work()
  } finally {
    over.abort()
    await saying
  }
}
