/** One run of the consistency model: steps drawn by the test, then rest; at rest every vector must be right. */

import { UnavailableError } from '../../../src/errors.ts'
import { changeInstruction, changeModel } from './operator.ts'
import { whatIsWrong } from './oracle.ts'
import type { PipelineModules } from './pipeline-modules.ts'
import { RestoredStates } from './restored-states.ts'
import type { Sink } from './sinks.ts'
import { kindOf, type Scenario } from './steps.ts'
import { Ink, Worker } from './worker.ts'
import {
  DAY_UNITS,
  keyOfUser,
  PARTITIONS,
  REQUEST_UNITS_MAX,
  type Request,
  TOPICS,
  UNIT_MS,
  USERS,
  World,
} from './world.ts'

/** Round of the rest in which parked users are tried again. */
const RETRY_ROUND = 5

export class Run {
  readonly world: World
  readonly workers: Worker[] = []
  readonly trace: string[] = []
  private readonly scenario: Scenario
  private readonly modules: PipelineModules
  private readonly ink = new Ink()
  private readonly restored: RestoredStates
  private nextWorker = 1

  constructor(scenario: Scenario, modules: PipelineModules, sink?: Sink) {
    this.scenario = scenario
    this.modules = modules
    this.world = new World(scenario.seed, sink)
    this.restored = new RestoredStates(this.world)
  }

  /** @returns what is wrong; null: nothing */
  async execute(): Promise<string | null> {
    await this.spawn(0, 0)
    await this.spawn(1, 0)
    await this.rebalance(0, 1)
    for (const worker of this.workers) worker.join()
    await this.world.drain()
    for (const [kind, a, b] of this.scenario.steps) {
      const name = kindOf(this.scenario.table, kind)
      this.trace.push(`${name} ${a} ${b} @${this.world.nowUnits}`)
      await this.step(name, a, b)
      await this.world.drain()
      const wrong = (await this.failures()) ?? this.restored.whatIsMissing(this.workers)
      if (wrong !== null) return wrong
    }
    this.trace.push('--- rest')
    const unrest = await this.rest()
    if (unrest !== null) return unrest
    const dayOf = (partition: number) =>
      this.workers.find(({ id }) => id === this.world.assignment[partition])!.updater.ownership.day
    return whatIsWrong(this.world, this.ink, dayOf)
  }

  private async step(kind: string, a: number, b: number): Promise<void> {
    const live = this.workers.filter(({ alive }) => alive)
    const worker = live[a % live.length]!
    const user = this.scenario.oneUser ? USERS[0] : USERS[a % USERS.length]!
    if (!(await this.worldStep(kind, user, a, b))) await this.workerStep(kind, worker, a, b)
  }

  /** What happens to the world, whoever works in it. @returns false: the step is a worker's */
  private async worldStep(kind: string, user: string, a: number, b: number): Promise<boolean> {
    const { world } = this
    const { without } = this.scenario
    const steps: Record<string, () => unknown> = {
      event: () => world.addEvent(user, b & 1, b >> 1 > 22 ? 0 : b >> 1, (without & 1) === 0 && a > 58),
      repeat: () => world.repeatEvent(user, b & 1, b >> 2, (b & 2) === 2),
      tabular: () => (without & 2) === 0 && world.addTabular(user, b % 4 === 0 ? null : b % 12),
      forget: () => (without & 4) === 0 && world.forget(user),
      instruction: () => changeInstruction(world, a, b),
      model: () => changeModel(world, a),
      snapshot: () => (world.sink.hasSnapshot ? world.restoreSnapshot() : world.sink.takeSnapshot()),
      rebalance: () => this.rebalance(a, b),
      compact: () => (b % 3 === 2 ? world.compactTabular() : world.compactChangelog(b % PARTITIONS)),
      purge: () => world.purgeStubs(),
      reset: () => world.resetOffset(a % PARTITIONS, TOPICS[b % TOPICS.length]!, (a & 3) / 4),
      time: () => this.advance(1 + (b & 3)),
      day: () => this.advance(DAY_UNITS),
      'land-request': () => this.landRequest(a, b % 4 !== 0),
      expire: () => {
        const waiting = world.requests.filter(({ answered }) => !answered)
        const request = waiting[a % Math.max(waiting.length, 1)]
        if (request !== undefined) this.expire(request)
      },
    }
    await steps[kind]?.()
    return steps[kind] !== undefined
  }

  private async workerStep(kind: string, worker: Worker, a: number, b: number): Promise<void> {
    const { updater } = worker
    const steps: Record<string, () => unknown> = {
      crash: () => this.crash(worker, b),
      join: () => {
        worker.holdRestores = b % 2 === 1
        if (worker.joined !== this.world.generation) worker.join()
      },
      skew: () => {
        worker.skewUnits = [0, -7, 6, 15, -12][b % 5]!
      },
      poll: () => {
        for (let i = 0; i <= b >> 4; i++) worker.poll(((a >> 5) + a) % PARTITIONS, (b + i) % TOPICS.length)
      },
      control: () => this.launch(worker, updater.control.readToEnd()),
      sweep: () => updater.sweep.step(),
      refresh: () => {
        worker.holdEmbeddings = b % 4 === 0
        this.launch(worker, updater.refreshOnce(b % 8 < 4))
      },
      'land-append': () => {
        const sender = this.workers[a % this.workers.length]!
        for (let i = 0; i <= b >> 4; i++) sender.landAppend(b % 8 === 0, b % 4 === 2)
      },
      wake: () => {
        worker.sleeps.shift()?.()
        worker.embeddings.splice(b % Math.max(worker.embeddings.length, 1), 1)[0]?.()
      },
      go: () => this.go(worker, b),
      macro: () => this.macro(a, b),
      commit: () => this.launch(worker, updater.commitOnce()),
      alias: () => this.keepAliases(worker),
      settle: () => this.settle(),
    }
    await steps[kind]!()
  }

  /** The step's work goes on in the background; what it ends with is looked at after the step. */
  private launch(worker: Worker, work: Promise<unknown>): void {
    work.catch((error) => {
      // The loops of `run` try again what is unavailable.
      if (!(error instanceof UnavailableError)) worker.failure ??= error
    })
  }

  private async failures(): Promise<string | null> {
    for (const worker of this.workers) {
      if (!worker.alive || worker.failure === undefined) continue
      const { failure } = worker
      // Somebody newer was seen (V4): the process ends, as `run` would.
      if ((failure as { code?: string }).code !== 'fenced')
        return `worker ${worker.id} failed: ${(failure as Error).stack ?? String(failure)}`
      worker.die()
      await this.ensureAlive()
    }
    return null
  }

  private async spawn(diskId: number, skewUnits: number): Promise<Worker> {
    const { world } = this
    const worker = new Worker(
      world,
      this.modules,
      await world.sink.store(() => world.nowUnits * UNIT_MS),
      this.ink,
      this.nextWorker++,
      diskId,
      skewUnits,
      this.scenario.batch,
    )
    this.workers.push(worker)
    return worker
  }

  private async ensureAlive(): Promise<Worker[]> {
    let live = this.workers.filter(({ alive }) => alive)
    while (live.length < 2) {
      await this.spawn(10 + this.nextWorker, 0)
      live = this.workers.filter(({ alive }) => alive)
    }
    return live
  }

  private async rebalance(a: number, b: number): Promise<void> {
    const live = await this.ensureAlive()
    this.world.generation++
    this.world.assignment = [live[a % live.length]!.id, live[b % live.length]!.id]
  }

  private async crash(worker: Worker, b: number): Promise<void> {
    worker.die()
    await this.spawn((b & 1) === 1 ? worker.diskId : 20 + this.nextWorker, [0, 0, 0, -7, 6, 15][b % 6]!)
    await this.rebalance(b >> 2, b >> 3)
  }

  private advance(units: number): void {
    this.world.nowUnits += units
  }

  private async landRequest(which: number, isAnswered: boolean): Promise<void> {
    const { requests, nowUnits } = this.world
    const [request] = requests.splice(which % Math.max(requests.length, 1), 1)
    if (request === undefined) return
    if (nowUnits - request.sentUnits > REQUEST_UNITS_MAX) {
      if (!request.answered) request.expire()
      return
    }
    await request.land()
    if (request.answered) return
    if (isAnswered) request.reply()
    else request.expire()
    request.answered = true
  }

  private keepAliases(worker: Worker): void {
    if (worker.updater.ownership.stage !== 'owner') return
    const work = worker.updater.control
      .readToEnd()
      .then(() => this.modules.reconcileAliases(worker.updater.control.view, worker.vectorsPort))
    this.launch(worker, work)
  }

  /** Reads the control topics, sweeps, and sends what that asks for, without waiting for any answer. */
  private async go(worker: Worker, b: number): Promise<void> {
    const { updater } = worker
    worker.holdEmbeddings = b % 8 === 0
    for (let topic = 0; topic < TOPICS.length; topic++)
      if ((b >> topic) % 2 === 0) for (let p = 0; p < PARTITIONS; p++) worker.poll(p, topic)
    this.launch(worker, updater.control.readToEnd())
    await this.world.drain()
    updater.sweep.step()
    for (let i = 0; i < 3; i++) {
      this.launch(worker, updater.refreshOnce(true))
      await this.world.drain()
    }
  }

  /** Settle, change, send, change back, and perhaps move on while what was sent is still on its way. */
  private async macro(a: number, b: number): Promise<void> {
    const bit = (n: number) => ((a | (b << 6)) >> n) & 1
    await this.settle()
    const owners = this.workers.filter(({ alive, updater }) => alive && updater.ownership.stage === 'owner')
    const worker = owners[bit(0) % Math.max(owners.length, 1)]
    if (worker === undefined) return
    const change = async (which: number) =>
      bit(1)
        ? changeInstruction(this.world, (a >> 2) % 3, which)
        : changeModel(this.world, which + 2 * bit(2))
    if (bit(3)) this.world.addEvent(USERS[bit(4)]!, bit(5), 0, false)
    await change(0)
    await this.go(worker, bit(6) ? 9 : 14)
    if (bit(7)) for (const request of this.world.requests) if (bit(8)) this.expire(request)
    await this.world.drain()
    await change(1)
    if (bit(9)) await this.go(worker, 14)
    if (bit(10)) worker.die()
    if (bit(10) || bit(11)) await this.rebalance(bit(4), bit(5))
  }

  private expire(request: Request): void {
    if (request.answered) return
    request.answered = true
    request.expire()
  }

  /** Owners work until nothing moves; zombies and old requests stay as they are. */
  private async settle(): Promise<void> {
    for (let round = 0; round < 14; round++) {
      for (const worker of this.workers) {
        if (!worker.alive || !this.world.assignment.includes(worker.id)) continue
        await this.turn(worker, false)
      }
    }
  }

  /** Everything that one worker can do now. */
  private async turn(worker: Worker, isLast: boolean): Promise<void> {
    const { world } = this
    worker.holdEmbeddings = false
    worker.holdRestores = false
    if (worker.joined !== world.generation) worker.join()
    await this.world.drain()
    while (worker.landAppend(false)) await this.world.drain()
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (let topic = 0; topic < TOPICS.length; topic++) while (worker.poll(partition, topic));
    this.launch(worker, worker.updater.control.readToEnd())
    await this.world.drain()
    worker.updater.sweep.step()
    this.launch(worker, worker.updater.refreshOnce(true))
    await this.world.drain()
    for (const release of [...worker.sleeps.splice(0), ...worker.embeddings.splice(0)]) release()
    await this.world.drain()
    for (const request of [...world.requests]) {
      // What nobody waits for any more lands some other time, perhaps last.
      if (request.sender !== worker || request.answered) continue
      await this.landRequest(world.requests.indexOf(request), true)
      await this.world.drain()
    }
    while (worker.landAppend(false)) await this.world.drain()
    this.launch(worker, worker.updater.commitOnce())
    await this.world.drain()
    while (worker.landAppend(false)) await this.world.drain()
    if (isLast) this.keepAliases(worker)
    await this.world.drain()
  }

  /**
   * Everything lands, and the last owners run until nothing moves. No time passes and nobody is assigned anew without
   * need: the sweep that follows would mend what was left wrong.
   *
   * @returns why they don't; null: they do
   */
  private async rest(): Promise<string | null> {
    const { world } = this
    world.healed = true
    if (world.assignment.some((id) => !this.workers.find((worker) => worker.id === id)?.alive))
      await this.rebalance(0, 1)
    let quietRounds = 0
    // What zombies and dead workers had sent lands now, in the middle of the owners' work.
    for (let round = 0; round < 120; round++) {
      for (const worker of this.workers) {
        if (worker.alive && world.assignment.includes(worker.id)) await this.turn(worker, true)
        else worker.landAppend(false)
      }
      const wrong = (await this.failures()) ?? this.restored.whatIsMissing(this.workers)
      if (wrong !== null) return wrong
      if (world.assignment.some((id) => !this.workers.find((worker) => worker.id === id)?.alive))
        await this.rebalance(0, 1)
      if (world.requests.length > 0)
        await this.landRequest(world.flip() ? 0 : world.requests.length - 1, true)
      await this.world.drain()
      if (round === RETRY_ROUND) this.retryParked()
      const owners = this.workers.filter((worker) => worker.alive && world.assignment.includes(worker.id))
      const isQuiet =
        world.requests.length === 0 &&
        owners.every((worker) => worker.idle && worker.joined === world.generation) &&
        this.workers.every(({ appends }) => appends.length === 0)
      quietRounds = isQuiet ? quietRounds + 1 : 0
      if (round > RETRY_ROUND && quietRounds > 2) return null
    }
    return 'no rest'
  }

  private retryParked(): void {
    for (const worker of this.workers)
      if (worker.alive) for (const user of USERS) worker.updater.retryParked(keyOfUser(user))
  }
}

export async function runScenario(
  scenario: Scenario,
  modules: PipelineModules,
  sink?: Sink,
): Promise<{ wrong: string | null; trace: string[] }> {
  const run = new Run(scenario, modules, sink)
  const wrong = await run.execute()
  return { wrong, trace: run.trace }
}
