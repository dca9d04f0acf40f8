/** Kills workers of a world one after another, each at a named moment, and starts them again with this or that directory. */

import { setTimeout as sleep } from 'node:timers/promises'
import { invariant } from '../../src/errors.ts'
import type { SeededRandom } from '../../src/model/seeded-random.ts'
import type { Broker } from '../kafka/broker.ts'
import { type Fault, type Moment, STARTING_MOMENTS } from './moments.ts'
import type { Found, WorkerProcess } from './worker-process.ts'
import type { WorkerWorld } from './worker-world.ts'

export interface Kill {
  moment: Moment
  /** What the worker found when it started again. */
  found: Found | 'all'
}

/** A moment comes within a second or two, once the worker has partitions; those of the dead are free after their time-out. */
const MOMENT_MS_MAX = 40_000
const ANY_MS_MAX = 1_500
const IDLE_MS_MAX = 30_000

export class Killer {
  readonly kills: Kill[] = []
  private readonly world: WorkerWorld
  private readonly random: SeededRandom
  private readonly broker: Broker | null

  /** @param broker of the world's own, to be killed as well */
  constructor(world: WorkerWorld, random: SeededRandom, broker: Broker | null = null) {
    this.world = world
    this.random = random
    this.broker = broker
  }

  /** Kills once, or as often as the moment asks for, and has everybody running again. */
  async kill(moment: Moment): Promise<void> {
    for (const { accidents } of this.world.workers) if (accidents.length > 0) throw new Error(accidents[0])
    if (moment === 'broker') {
      await this.theBroker()
      return
    }
    const [victim, other] = this.twoWorkers()
    if (Object.hasOwn(STARTING_MOMENTS, moment)) await this.whileStarting(victim, moment)
    else if (moment === 'rebalance') await this.whileAnotherJoins(victim, other)
    else if (moment === 'two-at-once') await this.both(victim, other)
    else {
      if (moment === 'any') await this.atAnyTime(victim)
      else if (moment === 'idle') await this.whenIdle(victim)
      else await this.armed(victim, moment)
      await this.again(victim, moment)
    }
  }

  private async atAnyTime(victim: WorkerProcess): Promise<void> {
    await sleep(this.random.integer(0, ANY_MS_MAX))
    await victim.kill()
  }

  private async whenIdle(victim: WorkerProcess): Promise<void> {
    const { stream } = this.world
    stream.pause()
    const deadlineMs = Date.now() + IDLE_MS_MAX
    for (;;) {
      const status = await victim.status()
      const { users, events, sweep, partitions } = status ?? {}
      const rest = (users?.waiting ?? 1) + (users?.ready ?? 1) + (users?.swept ?? 1) + (events?.lag ?? 1)
      if (rest === 0 && sweep?.underWay === false && partitions!.length > 0) break
      // The operator goes on, and every change is a sweep: it may be busy for good.
      if (Date.now() > deadlineMs) throw new Error(`expected an idle worker, got ${JSON.stringify(status)}`)
      await sleep(10)
    }
    await victim.kill()
    stream.start()
  }

  private async armed(victim: WorkerProcess, moment: Moment): Promise<void> {
    victim.arm(this.fault(moment, 4))
    await victim.diesWithin(MOMENT_MS_MAX, moment)
  }

  /** Only who finds no states, or old ones, has something to restore. */
  private async whileStarting(victim: WorkerProcess, moment: Moment): Promise<void> {
    await this.atAnyTime(victim)
    const found = victim.prepare(this.random.pick(['empty', 'empty', 'old']))
    this.kills.push({ moment: 'any', found })
    victim.start(this.fault(moment, 1))
    await victim.diesWithin(MOMENT_MS_MAX, moment)
    await this.again(victim, moment)
  }

  /** One is killed and comes back: the other dies of hearing that it joins. */
  private async whileAnotherJoins(victim: WorkerProcess, other: WorkerProcess): Promise<void> {
    await this.atAnyTime(other)
    victim.arm({ moment: 'rebalance', nth: 1, afterMs: 0 })
    this.restart(other, 'any')
    await victim.diesWithin(MOMENT_MS_MAX, 'rebalance')
    await other.serves()
    await this.again(victim, 'rebalance')
  }

  private async both(victim: WorkerProcess, other: WorkerProcess): Promise<void> {
    await sleep(this.random.integer(0, ANY_MS_MAX))
    await Promise.all([victim.kill(), other.kill()])
    this.restart(victim, 'two-at-once')
    this.restart(other, 'two-at-once')
    await Promise.all([victim.serves(), other.serves()])
  }

  /** On the same data; workers and producers wait for it. */
  private async theBroker(): Promise<void> {
    invariant(this.broker !== null, 'who kills brokers has one of its own')
    await sleep(this.random.integer(0, ANY_MS_MAX))
    await this.broker.kill()
    this.kills.push({ moment: 'broker', found: 'all' })
    await this.broker.start()
  }

  private async again(victim: WorkerProcess, moment: Moment): Promise<void> {
    this.restart(victim, moment)
    await victim.serves()
  }

  private restart(victim: WorkerProcess, moment: Moment): void {
    const found = victim.prepare(this.random.pick(['own', 'own', 'empty', 'old']))
    this.kills.push({ moment, found })
    victim.start()
  }

  private fault(moment: Moment, nthMax: number): Fault {
    return { moment, nth: this.random.integer(1, nthMax), afterMs: this.random.integer(0, 3) }
  }

  private twoWorkers(): [WorkerProcess, WorkerProcess] {
    const { workers } = this.world
    const first = this.random.integer(0, workers.length - 1)
    const step = this.random.integer(1, workers.length - 1)
    return [workers[first]!, workers[(first + step) % workers.length]!]
  }
}

/** The same moments in another order. */
export function shuffled(moments: readonly Moment[], random: SeededRandom): Moment[] {
  const left = [...moments]
  return moments.map(() => left.splice(random.integer(0, left.length - 1), 1)[0]!)
}
