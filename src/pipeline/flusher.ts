/** Brings acknowledged users' states to the state store; only then may their records be committed (O3, E5). */

import { UnavailableError } from '../errors.ts'
import { unavailable } from './channels.ts'
import type { Offsets } from './offsets.ts'
import type { Partition } from './partition.ts'
import type { StateStore } from './state-store.ts'
import type { UserEntry } from './user-entry.ts'

interface Pending {
  entry: UserEntry
  first: Offsets | null
}

export class Flusher {
  /** Called for users whose state could not be flushed: they come again. */
  failed: (entries: readonly UserEntry[], retryAfterMs: number) => void = () => {}

  private readonly store: StateStore
  private readonly pending = new Map<Partition, Pending[]>()
  private inFlight = 0

  constructor(store: StateStore) {
    this.store = store
  }

  get idle(): boolean {
    return this.inFlight === 0 && this.pending.size === 0
  }

  /** Takes a user's state and the records that wait for it; `run`, in the same turn, sends them off. */
  add(entry: UserEntry, first: Offsets | null, epoch: number): void {
    const state = entry.partition.stateOf(entry)
    state.epoch = epoch
    entry.changed = false
    entry.partition.measure(entry)
    const list = this.pending.get(entry.partition)
    if (list === undefined) this.pending.set(entry.partition, [{ entry, first }])
    else list.push({ entry, first })
  }

  /** Sends what was added, one append a partition. Resolves when all of it is durable or given back. */
  async run(): Promise<void> {
    const batches = [...this.pending]
    this.pending.clear()
    await Promise.all(batches.map(([partition, list]) => this.append(partition, list)))
  }

  private async append(partition: Partition, list: readonly Pending[]): Promise<void> {
    if (!partition.owned) return
    this.inFlight++
    try {
      // The store encodes before it returns, so what the states become later is not in it.
      await this.store.appendStates(
        partition.number,
        list.map(({ entry }) => partition.stateOf(entry)),
      )
      for (const { first } of list) partition.release(first)
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      unavailable.publish({ what: 'state', error, attempt: 1 })
      for (const { entry, first } of list) {
        partition.giveBack(entry, first)
        entry.changed = true
        entry.dirty = true
      }
      const entries = list.map(({ entry }) => entry)
      this.failed(entries, error.retryAfterMs)
    } finally {
      this.inFlight--
    }
  }
}
