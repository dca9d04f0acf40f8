/** Tells of vectors that were written, before anybody may believe that they are as they should be. */

import { UnavailableError } from '../errors.ts'
import type { Point, WriteVersion } from '../vectors/vector-store.ts'
import { unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Snapshot } from './snapshot.ts'
import type { UpdateSink, UserUpdate } from './updates.ts'
import type { Target } from './view.ts'

/** What was written under one version. */
interface Told {
  target: Target
  version: WriteVersion
  /** As of which the windows were read, days since the Unix epoch. */
  day: number
  written: readonly { point: Point; snapshot: Snapshot }[]
  /** Whether any of the points is of a partition that is still held. */
  isOwned: () => boolean
}

interface TellerParts {
  clock: Clock
  /** Left out: nobody wants to know. */
  updates?: UpdateSink
  /** Nothing is waited for any more. */
  stopping: AbortSignal
}

export class Teller {
  private readonly parts: TellerParts

  constructor(parts: TellerParts) {
    this.parts = parts
  }

  /**
   * Tells until it is durable. That comes before the write counts as acknowledged: once the state says so, nobody computes
   * the vector again, and then nobody would tell of it.
   *
   * @returns false: it isn't known whether it was told, and the write must not count
   * @throws {ConfigError} what only the operator mends
   */
  async tell(told: Told): Promise<boolean> {
    const { clock, stopping, updates } = this.parts
    if (updates === undefined) return true
    const all = updatesOf(told, clock.nowMs())
    if (all.length === 0) return true
    for (let attempt = 1; told.isOwned(); attempt++) {
      try {
        await updates.put(all)
        return true
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        unavailable.publish({ what: 'updates', error, attempt })
        if (stopping.aborted) break
        await clock.sleep(error.retryAfterMs, stopping)
      }
    }
    return false
  }
}

function updatesOf({ target, version, day, written }: Told, computedAtMs: number): UserUpdate[] {
  const { group, model } = target
  return written.map(({ point, snapshot: { inputHash, window } }) => {
    const { tenantId, userId } = point.kind === 'stub' ? point : point.payload
    return {
      tenant: tenantId,
      user: userId,
      group,
      model,
      version,
      vectorNames: point.kind === 'stub' ? [] : [...point.vectors.keys()],
      inputHash,
      lastEventMs: window?.lastEventMs ?? null,
      asOfDay: day,
      computedAtMs,
    }
  })
}
