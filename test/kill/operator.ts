/** An operator who adds, changes and retires instructions while workers are killed: asks one worker after another until it is done. */

import { setTimeout as sleep } from 'node:timers/promises'
import {
  GENERAL,
  type InstructionId,
  type VectorName,
  vectorName,
} from '../../src/instructions/instruction.ts'
import type { SeededRandom } from '../../src/model/seeded-random.ts'
import { Patience } from './patience.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Which group each question is in. */
const GROUPS: Readonly<Record<string, 'main' | 'slow'>> = {
  next: 'main',
  love: 'main',
  repay: 'slow',
  churn: 'slow',
}
/** Milliseconds between two refreshes of a user in the group `slow`. */
const SLOW_MS = 300
const PAUSE_MS = 1_500
const POLL_MS = 50
/** Of changes, those that are followed by another of the same question at once, while its old text is still looked after. */
const AGAIN_SHARE = 0.3
/** Answers of a worker that has not read the control topics yet, or not to their end; or whose broker is away. */
const NOTHING_SUCH = 404
const NOT_YET = new Set([NOTHING_SUCH, 503])

/** The text of a question; null: it is not asked. */
type Asked = string | null

export class Operator {
  /** What is asked now, by question. */
  private readonly asked = new Map<string, string>()
  /** By question: what it may become again, as nobody knows what came of a request; whoever was asked may do it yet. */
  private readonly inDoubt = new Map<string, Set<Asked>>()
  private readonly workers: readonly WorkerProcess[]
  private readonly random: SeededRandom
  private running: Promise<void> | undefined
  private changing: Promise<void> = Promise.resolve()
  private failure: unknown
  private isPaused = false
  private isOver = false
  private isAbandoned = false
  private changes = 0

  constructor(workers: readonly WorkerProcess[], random: SeededRandom) {
    this.workers = workers
    this.random = random
  }

  /** What there is before the first event. */
  async begin(): Promise<void> {
    const patience = new Patience(this.workers)
    await this.done('PUT', '/v1/groups/slow', { minRefreshMs: SLOW_MS, paused: false }, patience)
    await this.ask('next')
    await this.ask('repay')
  }

  /** Goes on changing until `stop`. */
  start(): void {
    this.isPaused = false
    this.running ??= this.run()
  }

  /** Resolves when nothing is being changed. */
  async pause(): Promise<void> {
    this.isPaused = true
    await this.changing
  }

  /** @throws {Error} a change that could not be made */
  async stop(): Promise<void> {
    this.isOver = true
    await this.running
    this.throwIfFailed()
  }

  /** Ends, done or not. */
  async abandon(): Promise<void> {
    this.isAbandoned = true
    this.isOver = true
    await this.running
  }

  /** @throws {Error} a change that could not be made */
  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure
  }

  /** Makes good what somebody has done late. */
  async mend(): Promise<void> {
    for (const id of this.inDoubt.keys()) {
      const text = this.asked.get(id) ?? null
      if (!(await this.isKnown(id, text, new Patience(this.workers)))) await this.change(id, text)
    }
  }

  /** By group: the vector names that every user must have, and their texts. */
  wanted(): Map<string, Map<VectorName, string | null>> {
    const groups = new Map([
      ['main', new Map<VectorName, string | null>([[vectorName(GENERAL, null), null]])],
      ['slow', new Map<VectorName, string | null>()],
    ])
    for (const [id, text] of this.asked)
      groups.get(GROUPS[id]!)!.set(vectorName(id as InstructionId, text), text)
    return groups
  }

  private async run(): Promise<void> {
    try {
      while (!this.isOver) {
        await sleep(PAUSE_MS)
        if (this.isOver || this.isPaused) continue
        this.changing = this.changeOne()
        await this.changing
      }
    } catch (error) {
      this.failure = error
    }
  }

  /** Adds a question, gives it another text, or retires it; one of each group stays. */
  private async changeOne(): Promise<void> {
    const id = this.random.pick(Object.keys(GROUPS))
    const isLast = [...this.asked.keys()].every((other) => other === id || GROUPS[other] !== GROUPS[id])
    if (!this.asked.has(id) || isLast || this.random.uniform() < 0.5) await this.ask(id)
    else await this.change(id, null)
    if (this.random.uniform() < AGAIN_SHARE) await this.ask(id)
  }

  private async ask(id: string): Promise<void> {
    await this.change(id, `What will become of them, ${id} ${this.changes++}?`)
  }

  /** @throws {Error} when nobody does it, somebody refuses, or somebody does not hear of it */
  private async change(id: string, text: Asked): Promise<void> {
    const patience = new Patience(this.workers)
    const isInDoubt = () => this.inDoubt.set(id, (this.inDoubt.get(id) ?? new Set()).add(text))
    const body = text === null ? null : { id, text, group: GROUPS[id] }
    for (;;) {
      if (body === null) await this.done('DELETE', `/v1/instructions/${id}`, null, patience, isInDoubt)
      else await this.done('POST', '/v1/instructions', body, patience, isInDoubt)
      if (text === null) this.asked.delete(id)
      else this.asked.set(id, text)
      if (await this.isKnown(id, text, patience)) return
    }
  }

  /** Whoever was asked and died may have done it; the same again changes nothing. */
  private async done(
    method: string,
    path: string,
    body: object | null,
    patience: Patience,
    isInDoubt = () => {},
  ): Promise<void> {
    while (!this.isAbandoned) {
      const worker = this.random.pick(this.workers)
      if (worker.url !== null) {
        const answer = await worker.ask(method, path, body)
        if (answer !== null && answer.status < 300) return
        if (answer !== null && !NOT_YET.has(answer.status))
          throw new Error(`expected ${method} ${path} to be done, got ${JSON.stringify(answer)}`)
        if (answer?.status !== NOTHING_SUCH) isInDoubt()
      }
      if (await patience.isOver()) throw new Error(await patience.told(`${method} ${path} done`))
      await sleep(POLL_MS)
    }
  }

  /**
   * Waits until every worker that answers has heard of it: a change through one that has not would begin from the old state.
   *
   * @returns false: all have heard last of a request that had been given up, and was done behind this one
   */
  private async isKnown(id: string, text: Asked, patience: Patience): Promise<boolean> {
    while (!this.isAbandoned) {
      const answers = await Promise.all(this.workers.map((worker) => worker.ask('GET', '/v1/instructions')))
      const known = answers
        .filter((answer) => answer?.status === 200)
        .map((answer) => textOf(answer!.body as Instructions, id))
      const [first] = known
      const isAgreed = first !== undefined && known.every((one) => one === first)
      if (isAgreed && first === text) return true
      if (await patience.isOver())
        throw new Error(await patience.told(`every worker to have heard of ${id}: ${text}`))
      if (isAgreed && this.inDoubt.get(id)?.has(first)) return false
      await sleep(2 * POLL_MS)
    }
    return true
  }
}

interface Instructions {
  instructions: { id: string; text: string | null; status: string }[]
}

function textOf({ instructions }: Instructions, id: string): Asked {
  const one = instructions.find((instruction) => instruction.id === id)
  return one === undefined || one.status === 'retired' ? null : one.text
}
