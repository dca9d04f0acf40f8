/** Asks before what can't be undone. */

import { confirm, isCancel } from '@clack/prompts'
import { RequestError } from '../errors.ts'

/**
 * @param question says what would be done
 * @throws {RequestError} `not-confirmed`, where the answer is no, or nobody can answer
 */
export async function confirmed(question: string): Promise<void> {
  const isAsked = process.stdin.isTTY === true && process.stderr.isTTY === true
  if (isAsked) {
    const answer = await confirm({ message: question, initialValue: false, output: process.stderr })
    if (!isCancel(answer) && answer) return
  }
  throw new RequestError(
    'not-confirmed',
    `expected a yes to "${question}", got ${isAsked ? 'none' : 'no terminal to ask on'}: repeat the command with --yes`,
  )
}
