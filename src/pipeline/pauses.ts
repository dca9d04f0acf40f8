/** Why a partition is not read now: it goes on when the last reason is gone, not when the first is. */

import type { EventSource } from './event-source.ts'
import type { Partition } from './partition.ts'

/** `backlog`: too much is unacknowledged · `schema`: a schema can't be fetched. */
export type PauseReason = 'backlog' | 'schema'

export class Pauses {
  private readonly source: EventSource
  private readonly reasons = new WeakMap<Partition, Set<PauseReason>>()

  constructor(source: EventSource) {
    this.source = source
  }

  pause(partition: Partition, reason: PauseReason): void {
    const reasons = this.reasons.get(partition) ?? new Set()
    this.reasons.set(partition, reasons)
    if (reasons.size === 0) this.source.pause([partition.number])
    reasons.add(reason)
  }

  resume(partition: Partition, reason: PauseReason): void {
    const reasons = this.reasons.get(partition)
    if (reasons?.delete(reason) === true && reasons.size === 0 && partition.owned)
      this.source.resume([partition.number])
  }
}
