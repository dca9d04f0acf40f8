/** One run of the consistency model: steps drawn by the test, then rest; at rest every vector must be right. */

import fc from 'fast-check'
import { UnavailableError } from '../../../src/errors.ts'
import type { ModelId } from '../../../src/model/embedding-model.ts'
import { whatIsWrong } from './oracle.ts'
import type { PipelineModules } from './pipeline-modules.ts'
import { Ink, Worker } from './worker.ts'
import {
  DAY_UNITS,
  keyOfUser,
  PARTITIONS,
  partitionOf,
  REQUEST_UNITS_MAX,
  type Request,
  TOPICS,
  USERS,
  World,
} from './world.ts'

/** A step is a number; what it means depends on the world as it is then, so any list of steps can be run. */
export interface Scenario {
  seed: number
  /** Users in a micro-batch. */
  batch: number
  /** Only one user has events: rare hazards need many of one user. */
  oneUser: boolean
  /** Hazards left out, as bits: parking, tabular, tombstones. */
  without: number
  /** Which kinds of step are drawn, and how often: TABLES. */
  table: number
  steps: readonly (readonly [kind: number | string, a: number, b: number])[]
}

const SETTLE = 'settle'

/** Anything at any time. */
const FREE = weighted({
  event: 10,
  tabular: 2,
  forget: 2,
  repeat: 2,
  instruction: 2,
  model: 4,
  snapshot: 1,
  rebalance: 3,
  crash: 2,
  join: 8,
  compact: 1,
  purge: 2,
  reset: 1,
  skew: 1,
  time: 4,
  day: 1,
  poll: 16,
  control: 4,
  sweep: 5,
  refresh: 20,
  'land-append': 14,
  'land-request': 14,
  wake: 18,
  expire: 3,
  commit: 5,
  alias: 1,
  [SETTLE]: 5,
})

/** Settle, then a short hazard: what rare faults need, and what draws at random seldom line up. */
const hazard = (focus: Record<string, number>) =>
  weighted({
    event: 4,
    poll: 3,
    go: 9,
    expire: 4,
    'land-request': 6,
    'land-append': 3,
    wake: 3,
    crash: 2,
    rebalance: 3,
    join: 3,
    time: 2,
    [SETTLE]: 6,
    macro: 5,
    ...focus,
  })

const TABLES: readonly (readonly string[])[] = [
  FREE,
  hazard({ instruction: 10 }),
  hazard({ model: 10, forget: 2, day: 1, purge: 2 }),
  hazard({ snapshot: 8, instruction: 2 }),
  hazard({ tabular: 6, forget: 3, repeat: 3, compact: 3, reset: 2, purge: 2, day: 2, skew: 1 }),
]

function weighted(weights: Record<string, number>): readonly string[] {
  return Object.entries(weights).flatMap(([kind, weight]) => Array<string>(weight).fill(kind))
}

const step = fc.tuple(fc.nat(1_000), fc.nat(63), fc.nat(63))

function scenarioOf(table: fc.Arbitrary<number>, maxLength: number): fc.Arbitrary<Scenario> {
  return fc.record({
    seed: fc.nat(1_000_000),
    batch: fc.integer({ min: 1, max: 3 }),
    oneUser: fc.boolean(),
    without: fc.nat(7),
    table,
    steps: fc.array(step, { maxLength, size: 'max' }),
  })
}

function kindOf(table: number, kind: number | string): string {
  return typeof kind === 'string' ? kind : TABLES[table]![kind % TABLES[table]!.length]!
}

/** The same scenario by the names of its steps: it means the same when the tables change, so it can be kept. */
export function named(scenario: Scenario): Scenario {
  const steps = scenario.steps.map(([kind, a, b]) => [kindOf(scenario.table, kind), a, b] as const)
  return { ...scenario, steps }
}

export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  scenarioOf(fc.constant(0), 140),
  scenarioOf(fc.integer({ min: 1, max: TABLES.length - 1 }), 36),
)

/** Round of the rest in which parked users are tried again. */
const RETRY_ROUND = 5

/** Lets every promise go on that nothing of the model holds back. */
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export class Run {
  readonly world: World
  readonly workers: Worker[] = []
  readonly trace: string[] = []
  private readonly scenario: Scenario
  private readonly modules: PipelineModules
  private readonly ink = new Ink()
  private epochs = new Map<Worker, number>()
  private nextWorker = 1

  constructor(scenario: Scenario, modules: PipelineModules) {
    this.scenario = scenario
    this.modules = modules
    this.world = new World(scenario.seed)
  }

  /** @returns what is wrong; null: nothing */
  async execute(): Promise<string | null> {
    this.spawn(0, 0)
    this.spawn(1, 0)
    this.rebalance(0, 1)
    for (const worker of this.workers) worker.join()
    await drain()
    for (const [kind, a, b] of this.scenario.steps) {
      const name = kindOf(this.scenario.table, kind)
      this.trace.push(`${name} ${a} ${b} @${this.world.nowUnits}`)
      await this.step(name, a, b)
      await drain()
      const wrong = this.failures() ?? this.checkRestored()
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
    const { world, scenario } = this
    const live = this.workers.filter(({ alive }) => alive)
    const worker = live[a % live.length]!
    const user = scenario.oneUser ? USERS[0] : USERS[a % USERS.length]!
    switch (kind) {
      case 'event':
        return world.addEvent(user, b & 1, b >> 1 > 22 ? 0 : b >> 1, (scenario.without & 1) === 0 && a > 58)
      case 'repeat':
        return world.repeatEvent(user, b & 1, b >> 2, (b & 2) === 2)
      case 'tabular':
        return (scenario.without & 2) === 0 ? world.addTabular(user, b % 4 === 0 ? null : b % 12) : undefined
      case 'forget':
        return (scenario.without & 4) === 0 ? world.forget(user) : undefined
      case 'instruction':
        return this.changeInstruction(a, b)
      case 'model':
        return this.changeModel(a)
      case 'snapshot':
        return world.snapshot === null ? world.takeSnapshot() : world.restoreSnapshot()
      case 'rebalance':
        return this.rebalance(a, b)
      case 'crash':
        return this.crash(worker, b)
      case 'join':
        return worker.joined !== world.generation ? worker.join() : undefined
      case 'compact':
        if (b % 3 === 2) world.compactTabular()
        else world.compactChangelog(b % PARTITIONS)
        return
      case 'purge':
        return world.purgeStubs()
      case 'reset': {
        const offsets = world.groupOffsets[a % PARTITIONS]!
        const topic = TOPICS[b % TOPICS.length]!
        offsets.set(topic, Math.floor(((offsets.get(topic) ?? 0) * (a & 3)) / 4))
        return
      }
      case 'skew':
        worker.skewUnits = [0, -7, 6, 15, -12][b % 5]!
        return
      case 'time':
        return this.advance(1 + (b & 3))
      case 'day':
        return this.advance(DAY_UNITS)
      case 'poll':
        for (let i = 0; i <= b >> 4; i++) worker.poll(a % PARTITIONS, (b + i) % TOPICS.length)
        return
      case 'control':
        return this.launch(worker, worker.updater.control.readToEnd())
      case 'sweep':
        worker.updater.sweep.step()
        return
      case 'refresh':
        worker.holdEmbeddings = b % 4 === 0
        return this.launch(worker, worker.updater.refreshOnce(b % 8 < 4))
      case 'land-append': {
        const sender = this.workers[a % this.workers.length]!
        for (let i = 0; i <= b >> 4; i++) sender.landAppend(b % 8 === 0, b % 4 === 2)
        return
      }
      case 'land-request':
        return this.landRequest(a, b % 4 !== 0)
      case 'wake':
        worker.sleeps.shift()?.()
        worker.embeddings.splice(b % Math.max(worker.embeddings.length, 1), 1)[0]?.()
        return
      case 'expire': {
        const waiting = world.requests.filter(({ answered }) => !answered)
        const request = waiting[a % Math.max(waiting.length, 1)]
        if (request !== undefined) this.expire(request)
        return
      }
      case 'go':
        return this.go(worker, b)
      case 'macro':
        return this.macro(a, b)
      case 'commit':
        return this.launch(worker, worker.updater.commitOnce())
      case 'alias':
        return this.keepAliases(worker)
      case SETTLE:
        return this.settle()
    }
  }

  /** The step's work goes on in the background; what it ends with is looked at after the step. */
  private launch(worker: Worker, work: Promise<unknown>): void {
    work.catch((error) => {
      // The loops of `run` try again what is unavailable.
      if (!(error instanceof UnavailableError)) worker.failure ??= error
    })
  }

  private failures(): string | null {
    for (const worker of this.workers) {
      if (!worker.alive || worker.failure === undefined) continue
      const { failure } = worker
      // Somebody newer was seen (V4): the process ends, as `run` would.
      if ((failure as { code?: string }).code !== 'fenced')
        return `worker ${worker.id} failed: ${(failure as Error).stack ?? String(failure)}`
      worker.die()
      this.ensureAlive()
    }
    return null
  }

  /** Nothing below a position that a take-over starts from is missing in the state. */
  private checkRestored(): string | null {
    for (const worker of this.workers) {
      const { ownership } = worker.updater
      if (!worker.alive || ownership.stage !== 'owner' || this.epochs.get(worker) === ownership.epoch)
        continue
      this.epochs.set(worker, ownership.epoch)
      for (const partition of ownership.partitions.values())
        for (const user of USERS) {
          if (partitionOf(user) !== partition.number) continue
          const state = partition.stateOf(partition.entry(keyOfUser(user)))
          for (const [topicIndex, modality] of [
            [0, 'paybill'],
            [1, 'search'],
          ] as const) {
            const window = state.windows[modality]
            const below = this.world.logs[topicIndex]![partition.number]!.slice(0, partition.read[topicIndex])
            const eventTimes = below.flatMap(({ says }) =>
              says.user === user &&
              says.kind === 'event' &&
              says.event.eventTimeMs > (state.tombstoneMs ?? -1)
                ? [says.event]
                : [],
            )
            const newest = eventTimes.reduce((max, event) => Math.max(max, event.eventTimeMs), -1)
            const isLate = (ms: number) => this.world.nowUnits * 8_640_000 - ms > 30 * 8_640_000
            if (newest >= 0 && !isLate(newest) && (window.at(-1)?.eventTimeMs ?? -1) < newest)
              return `checkpoint past an event: ${user} of worker ${worker.id} lacks ${newest / 8_640_000} in ${modality}`
          }
        }
    }
    return null
  }

  private spawn(diskId: number, skewUnits: number): Worker {
    const worker = new Worker(
      this.world,
      this.modules,
      this.ink,
      this.nextWorker++,
      diskId,
      skewUnits,
      this.scenario.batch,
    )
    this.workers.push(worker)
    return worker
  }

  private ensureAlive(): Worker[] {
    let live = this.workers.filter(({ alive }) => alive)
    while (live.length < 2) {
      this.spawn(10 + this.nextWorker, 0)
      live = this.workers.filter(({ alive }) => alive)
    }
    return live
  }

  private rebalance(a: number, b: number): void {
    const live = this.ensureAlive()
    this.world.generation++
    this.world.assignment = [live[a % live.length]!.id, live[b % live.length]!.id]
  }

  private crash(worker: Worker, b: number): void {
    worker.die()
    this.spawn((b & 1) === 1 ? worker.diskId : 20 + this.nextWorker, [0, 0, 0, -7, 6, 15][b % 6]!)
    this.rebalance(b >> 2, b >> 3)
  }

  private advance(units: number): void {
    this.world.nowUnits += units
  }

  private landRequest(which: number, isAnswered: boolean): void {
    const { requests, nowUnits } = this.world
    const [request] = requests.splice(which % Math.max(requests.length, 1), 1)
    if (request === undefined) return
    if (nowUnits - request.sentUnits > REQUEST_UNITS_MAX) {
      if (!request.answered) request.expire()
      return
    }
    request.land()
    if (request.answered) return
    if (isAnswered) request.reply()
    else request.expire()
    request.answered = true
  }

  private changeInstruction(a: number, b: number): void {
    const { world } = this
    const known = world.instructions.findLast((r) => r.kind === 'instruction' && r.instruction.id === 'i2')
    const isThere = known?.kind === 'instruction' && known.instruction.status === 'active'
    if (a % 3 === 0) world.addInstruction('i1', 'main', b & 1 ? 'a' : 'b')
    else if (a % 3 === 1) world.addInstruction('i2', 'main', isThere ? null : 'c')
    else world.addInstruction('s1', 'slow', b & 1 ? 's' : 'r')
  }

  private changeModel(a: number): void {
    const { world } = this
    const { active, also, existing } = world.models.at(-1)!
    const other = (active === 'ma' ? 'mb' : 'ma') as ModelId
    const names = (model: string) => ['main', 'slow'].map((group) => `freshet_${group}_${model}`)
    const switchAlias = (model: string) => {
      for (const group of ['main', 'slow'])
        world.requests.push({
          land: () => {
            world.alias.set(`freshet_${group}`, `freshet_${group}_${model}`)
          },
          reply: () => {},
          expire: () => {},
          sentUnits: world.nowUnits,
          sender: { alive: true },
          answered: true,
        })
    }
    if (also !== null) {
      world.appendModels({ active: a % 3 === 0 ? active : also, also: null, existing })
      if (a % 3 !== 0) switchAlias(also)
      return
    }
    if (!existing.includes(other)) {
      world.appendModels({ active, also: other, existing: [...existing, other] })
      for (const name of names(other)) world.sink.set(name, new Map())
    } else if (a % 4 < 2) {
      world.appendModels({ active: other, also: null, existing })
      switchAlias(other)
    } else if (a % 4 === 2) world.appendModels({ active, also: other, existing })
    else if (world.alias.get('freshet_main') === `freshet_main_${active}`) {
      world.appendModels({ active, also: null, existing: [active] })
      for (const name of names(other)) world.sink.delete(name)
    }
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
    await drain()
    updater.sweep.step()
    for (let i = 0; i < 3; i++) {
      this.launch(worker, updater.refreshOnce(true))
      await drain()
    }
  }

  /** Settle, change, send, change back, and perhaps move on while what was sent is still on its way. */
  private async macro(a: number, b: number): Promise<void> {
    const bit = (n: number) => ((a | (b << 6)) >> n) & 1
    await this.settle()
    const owners = this.workers.filter(({ alive, updater }) => alive && updater.ownership.stage === 'owner')
    const worker = owners[bit(0) % Math.max(owners.length, 1)]
    if (worker === undefined) return
    const change = (which: number) =>
      bit(1) ? this.changeInstruction((a >> 2) % 3, which) : this.changeModel(which + 2 * bit(2))
    if (bit(3)) this.world.addEvent(USERS[bit(4)]!, bit(5), 0, false)
    change(0)
    await this.go(worker, bit(6) ? 9 : 14)
    if (bit(7)) for (const request of this.world.requests) if (bit(8)) this.expire(request)
    await drain()
    change(1)
    if (bit(9)) await this.go(worker, 14)
    if (bit(10)) worker.die()
    if (bit(10) || bit(11)) this.rebalance(bit(4), bit(5))
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
    if (worker.joined !== world.generation) worker.join()
    await drain()
    while (worker.landAppend(false)) await drain()
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (let topic = 0; topic < TOPICS.length; topic++) while (worker.poll(partition, topic));
    this.launch(worker, worker.updater.control.readToEnd())
    await drain()
    worker.updater.sweep.step()
    this.launch(worker, worker.updater.refreshOnce(true))
    await drain()
    for (const release of [...worker.sleeps.splice(0), ...worker.embeddings.splice(0)]) release()
    await drain()
    for (const request of [...world.requests]) {
      // What nobody waits for any more lands some other time, perhaps last.
      if (request.sender !== worker || request.answered) continue
      this.landRequest(world.requests.indexOf(request), true)
      await drain()
    }
    while (worker.landAppend(false)) await drain()
    this.launch(worker, worker.updater.commitOnce())
    await drain()
    while (worker.landAppend(false)) await drain()
    if (isLast) this.keepAliases(worker)
    await drain()
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
      this.rebalance(0, 1)
    let quietRounds = 0
    // What zombies and dead workers had sent lands now, in the middle of the owners' work.
    for (let round = 0; round < 120; round++) {
      for (const worker of this.workers) {
        if (worker.alive && world.assignment.includes(worker.id)) await this.turn(worker, true)
        else worker.landAppend(false)
      }
      const wrong = this.failures() ?? this.checkRestored()
      if (wrong !== null) return wrong
      if (world.assignment.some((id) => !this.workers.find((worker) => worker.id === id)?.alive))
        this.rebalance(0, 1)
      if (world.requests.length > 0) this.landRequest(world.flip() ? 0 : world.requests.length - 1, true)
      await drain()
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
): Promise<{ wrong: string | null; trace: string[] }> {
  const run = new Run(scenario, modules)
  const wrong = await run.execute()
  return { wrong, trace: run.trace }
}
