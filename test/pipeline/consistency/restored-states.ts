/** Looks at every take-over: a state must hold all that lies below the positions that the owner starts from. */

import type { Worker } from './worker.ts'
import { keyOfUser, partitionOf, USERS, type World } from './world.ts'

export class RestoredStates {
  private readonly world: World
  private readonly epochs = new Map<Worker, number>()

  constructor(world: World) {
    this.world = world
  }

  /** Nothing below a position that a take-over starts from is missing in the state. */
  whatIsMissing(workers: readonly Worker[]): string | null {
    for (const worker of workers) {
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
}
