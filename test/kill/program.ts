/** Runs the program as a process of its own, to be killed or to end by itself. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { writerInfo } from '../../src/drivers/sqlite/writer-lock.ts'

const PROGRAM = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
/** Of the golden set: it opens in a fraction of a second, and its few slots overflow. */
const GOLDEN_BUNDLE = fileURLToPath(new URL('../golden/bundle-linear', import.meta.url))
/** A start takes about a second; ten times that on a busy machine. */
const START_MS_MAX = 30_000

/** Quick to refresh and to commit, so that a kill meets something under way; histories count however old they are. */
export const QUICK: readonly string[] = [
  '--set',
  'server.port=0',
  '--set',
  'refresh.quietMs=20',
  '--set',
  'refresh.maxDelayMs=200',
  '--set',
  'refresh.commitIntervalMs=20',
  '--set',
  'windows.horizonDays=none',
]

export const SETTINGS: readonly string[] = [
  ...QUICK,
  '--set',
  `model.bundle=${GOLDEN_BUNDLE}`,
  '--set',
  'model.threads=1',
]

export interface Program {
  child: ChildProcess
  /** Resolves with its end: the exit code, or null when it was killed. */
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>
}

export function startProgram(args: readonly string[], input?: string | Uint8Array): Program {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  // Whoever is killed reads no more.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { child, ended }
}

/** @throws {Error} with what the program said, unless it ends with the code */
export async function runToEnd(args: readonly string[], expected = 0, input?: string | Uint8Array) {
  const end = await startProgram(args, input).ended
  if (end.code !== expected)
    throw new Error(
      `expected exit code ${expected}, got ${end.code}: ${args.join(' ')}\n${end.stdout}\n${end.stderr}`,
    )
  return end
}

/** Resolves when the program has the data directory, with its URL if it serves one. @param serving wait for the URL */
export async function hasDirectory(
  program: Program,
  directory: string,
  serving: boolean,
): Promise<string | null> {
  const deadlineMs = Date.now() + START_MS_MAX
  for (;;) {
    const info = existsSync(directory) ? writerInfo(directory) : null
    if (info?.pid === program.child.pid && (!serving || info?.url != null)) return info?.url ?? null
    if (program.child.exitCode !== null) return null
    if (Date.now() > deadlineMs) throw new Error(`no program has ${directory} after ${START_MS_MAX} ms`)
    await sleep(2)
  }
}
