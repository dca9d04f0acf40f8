/** Waits for the end of processes that are nobody's children any more. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const END_MS_MAX = 60_000

/** A zombie counts as ended: where pid 1 reaps late or never, it stays in the table. */
export function isAlive(pid: number): boolean {
  if (existsSync('/proc/self/stat')) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      return !/\) [ZX] /.test(stat)
    } catch {
      return false
    }
  }
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** @throws {AssertionError} naming what never came */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + END_MS_MAX
  while (!isTrue()) {
    assert.ok(Date.now() < deadlineMs, `not within ${END_MS_MAX} ms: ${what}`)
    await sleep(5)
  }
}
