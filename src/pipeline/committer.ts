/** Checkpoints, then commits, what is acknowledged and flushed (O3); and keeps what is not within its bounds. */

import { UnavailableError } from '../errors.ts'
import { unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { EventSource, Positions } from './event-source.ts'
import type { Ownership } from './ownership.ts'
import type { Partition } from './partition.ts'
import type { Pauses } from './pauses.ts'
import type { PipelineSettings } from './settings.ts'
import type { StateStore } from './state-store.ts'

export interface CommitterParts {
  clock: Clock
  settings: PipelineSettings
  source: EventSource
  pauses: Pauses
  store: StateStore
  ownership: Ownership
  /** False: nothing is embedded now, so waiting would last for ever. */
  isBounded: () => boolean
}

/** Paused partitions go on when the backlog has fallen to this share of its limit. */
const RESUME_SHARE = 0.8

export class Committer {
  private readonly parts: CommitterParts
  private readonly written = new WeakMap<Partition, string>()
  private underWay: Promise<void> | undefined
  private paused = false

  constructor(parts: CommitterParts) {
    this.parts = parts
  }

  /** One commit at a time; a call while one is under way is answered by it. */
  commitOnce(): Promise<void> {
    this.underWay ??= this.commit().finally(() => {
      this.underWay = undefined
    })
    return this.underWay
  }

  /** A commit that begins now: one that is under way doesn't know what was acknowledged since. */
  async commitAnew(): Promise<void> {
    await this.underWay?.catch(() => {})
    await this.commitOnce()
  }

  /** Reading stops while too many users or records wait, and memory stays flat (design 2). */
  keepBounds(): void {
    const { isBounded, ownership, settings } = this.parts
    let users = 0
    let bytes = 0
    for (const partition of ownership.partitions.values()) {
      users += partition.held.size
      bytes += partition.sizeBytes
    }
    const share = Math.max(
      users / settings.dirtyUsersMax,
      this.unacknowledged() / settings.unacknowledgedRecordsMax,
    )
    const isFull = share >= (this.paused ? RESUME_SHARE : 1) && isBounded()
    // Again while it lasts: partitions may have come since.
    if (isFull || this.paused) this.setPaused(isFull)
    const excess = bytes - settings.memoryBytesMax
    if (excess <= 0) return
    for (const partition of ownership.partitions.values())
      partition.evict((excess + settings.memoryBytesMax * (1 - RESUME_SHARE)) * (partition.sizeBytes / bytes))
  }

  private setPaused(paused: boolean): void {
    const { ownership, pauses } = this.parts
    this.paused = paused
    for (const partition of ownership.partitions.values())
      if (paused) pauses.pause(partition, 'backlog')
      else pauses.resume(partition, 'backlog')
  }

  private unacknowledged(): number {
    let records = 0
    for (const partition of this.parts.ownership.partitions.values()) records += partition.readSinceCommit
    return records
  }

  private async commit(): Promise<void> {
    const { clock, ownership, source, store } = this.parts
    const { generation, epoch } = ownership
    if (ownership.stage !== 'owner') return
    const sentMs = clock.nowMs()
    const offsets = new Map<number, Positions>()
    for (const partition of [...ownership.partitions.values()]) {
      const positions = partition.committable()
      const checkpoint = ownership.checkpoint(positions, true)
      const text = JSON.stringify([...positions, checkpoint.day, epoch])
      if (this.written.get(partition) !== text) {
        await store.appendCheckpoint(partition.number, checkpoint)
        if (!partition.owned || ownership.epoch !== epoch) return
        this.written.set(partition, text)
      }
      offsets.set(partition.number, positions)
      partition.committed(positions)
    }
    try {
      if (await source.commit(generation, offsets)) ownership.accepted(generation, sentMs)
      else if (ownership.generation === generation) ownership.lost()
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      unavailable.publish({ what: 'source', error, attempt: 1 })
    }
    this.keepBounds()
  }
}
