/** Brings one write to its acknowledgement: the same bytes under the same version, until the answer is known. */

import { ConfigError, UnavailableError } from '../errors.ts'
import type {
  CollectionName,
  Point,
  RefusedPoint,
  VectorStore,
  WriteVersion,
} from '../vectors/vector-store.ts'
import { unavailable } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Control } from './control.ts'
import type { Ownership } from './ownership.ts'
import type { PipelineSettings } from './settings.ts'
import type { Target, View } from './view.ts'

/** What is written under one version (V1). */
export interface Write {
  target: Target
  version: WriteVersion
  points: readonly Point[]
  /** Whether any of the points is of a partition that is still held. */
  isOwned: () => boolean
}

export interface Sent {
  /** `unknown`: it may have landed, may still, or never will. */
  outcome: 'acknowledged' | 'unknown'
  /** Points that the store will never take. */
  refused: readonly RefusedPoint[]
}

interface SenderParts {
  clock: Clock
  settings: PipelineSettings
  ownership: Ownership
  control: Control
  vectors: VectorStore
  /** Nothing is waited for any more. */
  stopping: AbortSignal
}

export class Sender {
  private readonly parts: SenderParts

  constructor(parts: SenderParts) {
    this.parts = parts
  }

  /** Sends until it is acknowledged or patience ends (E4). @throws {ConfigError} what only the operator mends */
  async send(write: Write): Promise<Sent> {
    const { clock, settings, vectors, ownership, stopping } = this.parts
    const { target, version, points, isOwned } = write
    const startMs = clock.nowMs()
    for (let attempt = 1; attempt <= settings.sendAttemptsMax; attempt++) {
      // V3: who may no longer be the owner sends nothing, a repetition least of all, and none after an hour.
      const nowMs = clock.nowMs()
      if (!ownership.maySend(nowMs) || !isOwned() || nowMs - startMs > settings.repeatMsMax) break
      try {
        const refused = await vectors.upsert(target.collection, version, points)
        const isOurs = await this.readBack(write, refused)
        return { outcome: isOurs ? 'acknowledged' : 'unknown', refused }
      } catch (error) {
        if (error instanceof ConfigError && CHANGED_MEANWHILE.has(error.code)) {
          await this.checkStillWanted(target, error, attempt)
          break
        }
        if (!(error instanceof UnavailableError)) throw error
        unavailable.publish({ what: 'vectors', error, attempt })
        if (stopping.aborted) break
        if (attempt < settings.sendAttemptsMax) await clock.sleep(backOffMs(error, attempt), stopping)
      }
    }
    return { outcome: 'unknown', refused: [] }
  }

  /** What is missing was dropped by a record that we hadn't read yet, or it is lost. @throws {ConfigError} `vectors-lost` */
  private async checkStillWanted(target: Target, error: ConfigError, attempt: number): Promise<void> {
    const { control } = this.parts
    try {
      await control.readToEnd()
    } catch (unread) {
      if (!(unread instanceof UnavailableError)) throw unread
      // Nobody can say now; whoever was to be written comes again.
      unavailable.publish({ what: 'control', error: unread, attempt })
      return
    }
    if (isAsBefore(target, control.view)) throw vectorsLost(target.collection, error.code, error)
  }

  /** V4: the first write of an epoch is read back; a higher version there means that somebody newer owns the partition. */
  private async readBack(
    { target, version, points }: Write,
    refused: readonly RefusedPoint[],
  ): Promise<boolean> {
    const { ownership, vectors } = this.parts
    if (ownership.readBackDone || version.epoch !== ownership.epoch) return true
    const written = points.find((point) => refused.every((one) => one.id !== point.id))
    // What the store never takes tells nothing about owners: the next write does.
    if (written === undefined) return true
    const { id } = written
    const stored = (await vectors.get(target.collection, [id], [])).get(id)
    if (stored !== undefined && stored.version.epoch > version.epoch) {
      ownership.fenced(stored.version.epoch)
      return false
    }
    ownership.readBackDone = true
    return true
  }
}

/** Doubled with each attempt, but never so long that vectors stay away when what was down is back. */
const BACK_OFF_MS_MAX = 10_000

function backOffMs({ retryAfterMs }: UnavailableError, attempt: number): number {
  return Math.max(retryAfterMs, Math.min(retryAfterMs * 2 ** (attempt - 1), BACK_OFF_MS_MAX))
}

/** Errors that say that the control topics have moved on since the points were made. */
const CHANGED_MEANWHILE = new Set(['collection-missing', 'vector-name-unknown'])

/** Whether the newest control records still want what the points were made for. */
function isAsBefore({ key, texts }: Target, view: View): boolean {
  const target = view.targets.get(key)
  return target?.inUse === true && [...texts.texts.keys()].every((name) => target.texts.texts.has(name))
}

export function vectorsLost(collection: CollectionName, found: string, cause?: ConfigError): ConfigError {
  return new ConfigError(
    'vectors-lost',
    `expected collection ${collection} with all its vector names, as the registry has it, got ${found}: if somebody deleted it, start again, or run freshet collections rebuild: everybody is embedded anew`,
    { cause },
  )
}
