/** Kills the program at seeded times while it imports or serves, and brings it to its end after the last kill. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import { hasDirectory, type Program, runToEnd, SETTINGS, startProgram } from './program.ts'

interface ImportKills {
  kills: number
  seed: number
  /** A kill comes within it after the program has the data directory, milliseconds. */
  spanMs: number
  settings?: readonly string[]
}

/**
 * Imports a file under kills.
 *
 * @returns how many runs were killed before they had ended by themselves
 */
export async function importUnderKills(
  directory: string,
  args: readonly string[],
  { kills, seed, spanMs, settings = SETTINGS }: ImportKills,
): Promise<number> {
  const random = new SeededRandom(seed, 'kill', 'import')
  let killed = 0
  for (let round = 0; round < kills; round++) {
    const program = startProgram(['-d', directory, ...settings, ...args])
    await hasDirectory(program, directory, false)
    await sleep(random.uniform() * spanMs)
    if (await kill(program)) killed++
  }
  await runToEnd(['-d', directory, ...settings, ...args])
  return killed
}

/**
 * Sends the lines of a file to a running program over HTTP, kills it, and sends what was not answered again: the log
 * then holds records twice, and the windows must not.
 */
export async function serveUnderKills(
  directory: string,
  file: string,
  { kills, seed, batchLines }: { kills: number; seed: number; batchLines: number },
): Promise<void> {
  const random = new SeededRandom(seed, 'kill', 'serve')
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  const share = Math.ceil(lines.length / (kills + 1))
  let sent = 0
  for (let round = 0; round <= kills; round++) {
    const isLast = round === kills
    const program = startProgram(['-d', directory, ...SETTINGS, 'run'])
    const url = await hasDirectory(program, directory, true)
    assert.ok(url !== null, (await withTimeout(program))?.stderr)
    const killing = isLast ? undefined : sleep(random.uniform() * 400).then(() => kill(program))
    const until = isLast ? lines.length : Math.min(lines.length, (round + 1) * share)
    while (sent < until) {
      const batch = lines.slice(sent, sent + batchLines)
      if (!(await isTaken(url, batch))) break
      sent += batch.length
    }
    await killing
    if (!isLast) continue
    program.child.kill('SIGTERM')
    const { code, stderr } = await program.ended
    assert.equal(code, 0, stderr)
  }
  assert.equal(sent, lines.length)
}

async function isTaken(url: string, lines: readonly string[]): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: `[${lines.join(',')}]`,
    })
    const body = await response.text()
    assert.ok(response.ok, body)
    return true
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    // Killed before the answer: nobody knows whether the records are durable.
    return false
  }
}

async function kill(program: Program): Promise<boolean> {
  const wasRunning = program.child.kill('SIGKILL')
  const { code } = await program.ended
  return wasRunning && code === null
}

async function withTimeout(program: Program) {
  return Promise.race([program.ended, sleep(1_000).then(() => undefined)])
}
