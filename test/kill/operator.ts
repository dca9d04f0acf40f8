/** An operator who adds, changes and retires instructions while workers are killed: asks one worker after another until it is done. */

import { setTimeout as sleep } from 'node:timers/promises'
import {
  GENERAL,
  type InstructionId,
  type VectorName,
  vectorName,
} from '../../src/instructions/instruction.ts'
import type { SeededRandom } from '../../src/model/seeded-random.ts'
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
const DONE_MS_MAX = 60_000
/** Answers of a worker that has not read the control topics yet, or not to their end. */
const NOT_YET = new Set([404, 503])

type Answer = { status: number; body: unknown }

export class Operator {
  /** What is asked now, by question. */
  private readonly asked = new Map<string, string>()
  private readonly workers: readonly WorkerProcess[]
  private readonly random: SeededRandom
  private running: Promise<void> | undefined
  private isOver = false
  private isAbandoned = false
  private changes = 0

  constructor(workers: readonly WorkerProcess[], random: SeededRandom) {
    this.workers = workers
    this.random = random
  }

  /** What there is before the first event. */
  async begin(): Promise<void> {
    await this.done('PUT', '/v1/groups/slow', { minRefreshMs: SLOW_MS, paused: false })
    await this.ask('next')
    await this.ask('repay')
  }

  /** Goes on changing until `stop`. */
  start(): void {
    this.running ??= (async () => {
      while (!this.isOver) {
        await sleep(PAUSE_MS)
        if (!this.isOver) await this.change()
      }
    })()
  }

  async stop(): Promise<void> {
    this.isOver = true
    await this.running
  }

  /** Ends, done or not. */
  async abandon(): Promise<void> {
    this.isAbandoned = true
    await this.stop().catch(() => {})
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

  /** Adds a question, gives it another text, or retires it; one of each group stays. */
  private async change(): Promise<void> {
    const id = this.random.pick(Object.keys(GROUPS))
    const isLast = [...this.asked.keys()].every((other) => other === id || GROUPS[other] !== GROUPS[id])
    if (!this.asked.has(id) || isLast || this.random.uniform() < 0.5) await this.ask(id)
    else await this.retire(id)
  }

  private async ask(id: string): Promise<void> {
    const text = `What will become of them, ${id} ${this.changes++}?`
    await this.done('POST', '/v1/instructions', { id, text, group: GROUPS[id] })
    this.asked.set(id, text)
    await this.isKnown(id, text)
  }

  private async retire(id: string): Promise<void> {
    await this.done('DELETE', `/v1/instructions/${id}`)
    this.asked.delete(id)
    await this.isKnown(id, null)
  }

  /**
   * Whoever was asked and died may have done it; the same again changes nothing.
   *
   * @throws {Error} when nobody does it, or somebody refuses
   */
  private async done(method: string, path: string, body: object | null = null): Promise<void> {
    const deadlineMs = Date.now() + DONE_MS_MAX
    let last: Answer | null = null
    for (;;) {
      last = await this.random.pick(this.workers).ask(method, path, body)
      if (last !== null && last.status < 300) return
      const isLate = this.isAbandoned || Date.now() > deadlineMs
      if (isLate || (last !== null && !NOT_YET.has(last.status)))
        throw new Error(`expected ${method} ${path} to be done, got ${JSON.stringify(last)}`)
      await sleep(50)
    }
  }

  /** Waits until every worker that answers has heard of it: a change through one that has not would begin from the old state. */
  private async isKnown(id: string, text: string | null): Promise<void> {
    const deadlineMs = Date.now() + DONE_MS_MAX
    while (!this.isAbandoned && Date.now() < deadlineMs) {
      const answers = await Promise.all(this.workers.map((worker) => worker.ask('GET', '/v1/instructions')))
      const known = answers
        .filter((answer) => answer?.status === 200)
        .map((answer) => textOf(answer!.body as Instructions, id))
      if (known.length > 0 && known.every((one) => one === text)) return
      await sleep(100)
    }
    throw new Error(`expected every worker to hear of ${id}`)
  }
}

interface Instructions {
  instructions: { id: string; text: string | null; status: string }[]
}

function textOf({ instructions }: Instructions, id: string): string | null {
  const one = instructions.find((instruction) => instruction.id === id)
  return one === undefined || one.status === 'retired' ? null : one.text
}
