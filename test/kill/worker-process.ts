/** A worker as a process of its own (`freshet run`): started with this or that data directory, killed, asked, stopped. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { writerInfo } from '../../src/drivers/sqlite/writer-lock.ts'
import type { StatusAnswer } from '../../src/server/service.ts'
import { FAULT_VARIABLE, type Fault, MUTANT_VARIABLE, type Mutant } from './moments.ts'

const PROGRAM = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
const FAULT_POINTS = new URL('./fault-points.ts', import.meta.url).href
/** A start takes one or two seconds; many times that on a busy machine. Who ends meanwhile is told of at once. */
const START_MS_MAX = 180_000
/** Longer than a server takes at most: whoever gives up earlier doesn't know what comes of it. */
const ANSWER_MS_MAX = 35_000
const TAIL_CHARACTERS = 6_000

/** What a worker finds when it starts again: what it left, nothing, or what it had some time ago. */
export type Found = 'own' | 'empty' | 'old'

export interface End {
  code: number | null
  signal: NodeJS.Signals | null
}

export class WorkerProcess {
  readonly directory: string
  /** Ends that nobody wanted, with what the worker said last. */
  readonly accidents: string[] = []
  private readonly configFile: string
  private child: ChildProcess | undefined
  private over: Promise<End> = Promise.resolve({ code: null, signal: null })
  private isAsked = false
  private said = ''

  private readonly mutant: Mutant | null

  /** @param configFile names the directory as its `dataDir` */
  constructor(configFile: string, directory: string, mutant: Mutant | null = null) {
    this.configFile = configFile
    this.directory = directory
    this.mutant = mutant
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null
  }

  /** Of the process that was started last. */
  get pid(): number | undefined {
    return this.child?.pid
  }

  /** Resolves with the end of the process that was started last. */
  get ended(): Promise<End> {
    return this.over
  }

  /** The end of what it has said since it was started. */
  get tail(): string {
    return this.said.slice(-TAIL_CHARACTERS)
  }

  /** @param args after `run` */
  start(fault: Fault | null = null, args: readonly string[] = []): void {
    const env = { ...process.env }
    if (fault !== null) env[FAULT_VARIABLE] = JSON.stringify(fault)
    if (this.mutant !== null) env[MUTANT_VARIABLE] = this.mutant
    const command = ['--import', FAULT_POINTS, PROGRAM, 'run', '-c', this.configFile, ...args]
    const child = spawn(process.execPath, command, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.child = child
    this.isAsked = false
    this.said = ''
    child.stderr!.on('data', (chunk) => {
      this.said = (this.said + chunk).slice(-2 * TAIL_CHARACTERS)
    })
    this.over = once(child, 'close').then(([code, signal]) => {
      // A worker that was killed, by itself or by us, is what the test is about; any other end has to be asked for.
      if (signal !== 'SIGKILL' && !this.isAsked)
        this.accidents.push(`ended by itself with ${code ?? signal}:\n${this.tail}`)
      return { code, signal } as End
    })
  }

  /** Puts the directory as it shall be found. @returns `own` in place of `old`, where there is nothing old yet */
  prepare(found: Found): Found {
    const copy = `${this.directory}.old`
    if (found === 'empty') rmSync(this.directory, { recursive: true, force: true })
    if (found === 'old' && existsSync(copy)) {
      rmSync(this.directory, { recursive: true, force: true })
      cpSync(copy, this.directory, { recursive: true })
      rmSync(copy, { recursive: true })
      return 'old'
    }
    if (!existsSync(copy) && existsSync(this.directory)) cpSync(this.directory, copy, { recursive: true })
    return found === 'old' ? 'own' : found
  }

  /** Tells the process to kill itself; who is dead already hears nothing. */
  arm(fault: Fault): void {
    this.child!.send(fault, () => {})
  }

  signal(name: NodeJS.Signals): void {
    this.isAsked = true
    this.child!.kill(name)
  }

  async kill(): Promise<void> {
    this.child?.kill('SIGKILL')
    await this.over
  }

  /** @throws {Error} unless it ends in time */
  async diesWithin(ms: number, why: string): Promise<End> {
    const over = new AbortController()
    const late = sleep(ms, undefined, { signal: over.signal }).then(() => {
      throw new Error(`expected ${why} to end a worker within ${ms} ms, it runs:\n${this.tail}`)
    })
    late.catch(() => {})
    try {
      return await Promise.race([this.over, late])
    } finally {
      over.abort()
    }
  }

  /** null: it serves nothing now. */
  get url(): string | null {
    if (!this.isRunning || !existsSync(this.directory)) return null
    const info = writerInfo(this.directory)
    return info?.pid === this.child!.pid ? (info?.url ?? null) : null
  }

  /** @throws {Error} with what it said, unless it serves in time */
  async serves(): Promise<void> {
    const deadlineMs = Date.now() + START_MS_MAX
    while (this.url === null) {
      if (!this.isRunning || Date.now() > deadlineMs)
        throw new Error(`expected a worker that serves, got none:\n${this.tail}`)
      await sleep(10)
    }
  }

  /** null: no answer now. */
  async status(): Promise<StatusAnswer | null> {
    const answer = await this.ask('GET', '/status')
    return answer?.status === 200 ? (answer.body as StatusAnswer) : null
  }

  /** @returns null: no answer, and nobody knows what came of it */
  async ask(
    method: string,
    path: string,
    body: object | null = null,
  ): Promise<{ status: number; body: unknown } | null> {
    const { url } = this
    if (url === null) return null
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { connection: 'close', ...(body === null ? {} : { 'content-type': 'application/json' }) },
        body: body === null ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      })
      return { status: response.status, body: await response.json() }
    } catch {
      return null
    }
  }
}
