/** Kills workers of a world one after another, each at a named moment, and starts them again with this or that directory. */

import { setTimeout as sleep } from 'node:timers/promises'
import { invariant } from '../../src/errors.ts'
import type { SeededRandom } from '../../src/model/seeded-random.ts'
import type { Broker } from '../kafka/broker.ts'
import { type Fault, MOMENTS, type Moment, STARTING_MOMENTS } from './moments.ts'
import type { Found, WorkerProcess } from './worker-process.ts'
import type { WorkerWorld } from './worker-world.ts'

export interface Kill {
  moment: Moment
  /** What the worker found when it started again. */
  found: Found | 'all'
}

const ANY_MS_MAX = 1_500

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
    this.world.operator.throwIfFailed()
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

  /** Users and the operator pause meanwhile: every event and every change is work. */
  private async whenIdle(victim: WorkerProcess): Promise<void> {
    const { stream, operator } = this.world
    stream.pause()
    await operator.pause()
    await this.world.until('an idle worker', async () => {
      const status = await victim.status()
      if (status === null) return false
      const { users, events, sweep, partitions } = status
      const isDone = users.waiting + users.ready + users.swept + events.lag === 0 && !sweep.underWay
      return isDone && partitions.length > 0
    })
    await victim.kill()
    stream.start()
    operator.start()
  }

  private async armed(victim: WorkerProcess, moment: Moment): Promise<void> {
    victim.arm(this.fault(moment, 4))
    await this.dies(victim, moment)
  }

  /** Only who finds no states, or old ones, has something to restore. */
  private async whileStarting(victim: WorkerProcess, moment: Moment): Promise<void> {
    await this.atAnyTime(victim)
    let found = victim.prepare(this.random.pick(['empty', 'empty', 'old']))
    if (found === 'own') found = victim.prepare('empty')
    this.kills.push({ moment: 'any', found })
    victim.start(this.fault(moment, 1))
    await this.dies(victim, moment)
    await this.again(victim, moment)
  }

  /** One is killed and comes back: the other dies of hearing that it joins. */
  private async whileAnotherJoins(victim: WorkerProcess, other: WorkerProcess): Promise<void> {
    // Who is on its way into the group, as after the kill before, meets the other there and is told nothing: then once more.
    while (victim.isRunning) {
      await this.atAnyTime(other)
      victim.arm({ moment: 'rebalance', nth: 1, afterMs: 0 })
      await this.again(other, 'any')
      await this.world.until('a rebalance', () => !victim.isRunning || this.world.isShared())
    }
    await victim.ended
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

  private async dies(victim: WorkerProcess, moment: Moment): Promise<void> {
    await this.world.until(`a worker that dies, as ${MOMENTS[moment]}`, () => !victim.isRunning)
    await victim.ended
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
