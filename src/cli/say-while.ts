/** Says what is waited for, so that nobody sits before a silent program and guesses. */

import { note } from './output.ts'

/** Longer than anything takes that is well. */
const FIRST_MS = 2_000
/** Often enough to see that it still tries, seldom enough for a log. */
const REPEAT_MS = 15_000

/** Where such lines go: a log, or the error output. @param component who is waited for, as in log lines */
export type Say = (component: string, text: string) => void

/** For verbs. */
export const sayNote: Say = (_component, text) => note(text)

/** Calls `say` after 2 s and every 15 s from then on, by the time of people, until the work has ended. */
export async function sayWhile<Result>(say: () => void, work: () => Promise<Result>): Promise<Result> {
  const later = (ms: number): NodeJS.Timeout =>
    setTimeout(() => {
      say()
      timer = later(REPEAT_MS)
    }, ms)
  let timer = later(FIRST_MS)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
  }
}
