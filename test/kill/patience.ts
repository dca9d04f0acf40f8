/** Waits by what moves, not by the clock alone: a slow machine takes its time, and what hangs is told of with all that is known. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { WorkerProcess } from './worker-process.ts'

/** A worker that has anything to do shows it within seconds, on a machine ten times too small within a minute. */
const STUCK_MS = 60_000
/** Whatever moves: somebody who runs in circles moves, too. */
const WAIT_MS_MAX = 300_000
/** Between two looks at the workers; each is a request to every one of them. */
const LOOK_MS = 1_000

export class Patience {
  private readonly workers: readonly WorkerProcess[]
  private readonly stuckMs: number
  private readonly startMs = performance.now()
  private movedMs = this.startMs
  private lookedMs = this.startMs
  private seen = ''

  /** @param stuckMs how long nothing may move, milliseconds */
  constructor(workers: readonly WorkerProcess[], stuckMs = STUCK_MS) {
    this.workers = workers
    this.stuckMs = stuckMs
  }

  /** Nothing has moved for too long, or all of it took too long. */
  async isOver(): Promise<boolean> {
    const nowMs = performance.now()
    if (nowMs - this.lookedMs >= LOOK_MS) {
      const standing = await standingOf(this.workers)
      this.lookedMs = performance.now()
      if (standing !== this.seen) this.movedMs = this.lookedMs
      this.seen = standing
    }
    return nowMs - this.movedMs > this.stuckMs || nowMs - this.startMs > WAIT_MS_MAX
  }

  /** Why it is over, and where each worker stands. */
  async told(what: string): Promise<string> {
    const [waited, still] = [this.startMs, this.movedMs].map((ms) =>
      Math.round((performance.now() - ms) / 1_000),
    )
    const tells = await Promise.all(this.workers.map(tellOf))
    return `expected ${what}, got none in ${waited} s, of which nothing moved for ${still} s:\n${tells.join('\n\n')}`
  }
}

/** @throws {Error} where each worker stands, when it doesn't come to be so */
export async function until(
  workers: readonly WorkerProcess[],
  what: string,
  isSo: () => boolean | Promise<boolean>,
  pauseMs = 20,
): Promise<void> {
  const patience = new Patience(workers)
  while (!(await isSo())) {
    if (await patience.isOver()) throw new Error(await patience.told(what))
    await sleep(pauseMs)
  }
}

/** What changes while a worker gets on, and only then; figures that age by themselves are left out. */
async function standingOf(workers: readonly WorkerProcess[]): Promise<string> {
  const standings = workers.map(async (worker) => {
    const status = await worker.status()
    if (status === null) return [worker.pid, worker.url]
    const { stage, epoch, partitions, users, sweep, events, tokens } = status
    return [worker.pid, stage, epoch, partitions, users, sweep, events.read, events.lag, tokens?.backboneRuns]
  })
  return JSON.stringify(await Promise.all(standings))
}

async function tellOf(worker: WorkerProcess): Promise<string> {
  const [status, instructions] = await Promise.all([
    worker.status(),
    worker.ask('GET', '/v1/instructions').then((answer) => answer?.body ?? null),
  ])
  const { pid, url, isRunning, accidents, tail } = worker
  const is = isRunning ? `runs as ${pid} at ${url}` : 'does not run'
  const said = [...accidents, tail].join('\n')
  return `a worker ${is}: ${JSON.stringify(status)}, knows ${JSON.stringify(instructions)}, has said:\n${said}`
}
