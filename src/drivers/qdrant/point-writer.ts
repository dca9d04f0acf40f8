/** The one request in which points are written in bulk; over REST or gRPC. */

import type { UnavailableError } from '../../errors.ts'
import type { Point, WriteVersion } from '../../vectors/vector-store.ts'
import { type Asked, errorOf, unavailable, type Verdict } from './answers.ts'
import type { ServerName } from './server-names.ts'

/** What is written in one request, whole points under one version. */
export interface PointBatch {
  collection: ServerName
  version: WriteVersion
  writtenAtMs: number
  points: readonly Point[]
  /** Whoever isn't there stays away. Left out: new points are written, too. */
  onlyExisting?: boolean
}

/** But for `written` a smaller request may go through; of one that was `too-large` or `refused` nothing was written. */
export type WriteOutcome =
  | { kind: 'written' }
  | { kind: 'too-large' | 'refused'; reason: string }
  /** The server closed while it was sent; the error is what it is where nothing smaller can be sent. */
  | { kind: 'cut-off'; error: UnavailableError }

const ASK_AGAIN_MS = 1_000

export interface PointWriter {
  /** Bytes that a point takes on the wire, rather too many than too few. */
  sizeBytes(point: Point): number
  /**
   * Writes a batch under the fence; `written` only when the server says that it is done.
   *
   * @throws {UnavailableError} `qdrant-unavailable`: the outcome is unknown
   * @throws {ConfigError} `collection-missing`, `vector-name-unknown`, `vector-dimension`, `qdrant-key` ...
   */
  write(batch: PointBatch): Promise<WriteOutcome>
  close(): Promise<void>
}

/** @throws what the verdict is where no smaller request would fare better */
export function outcomeOf(asked: Asked, verdict: Verdict): WriteOutcome {
  if (verdict.kind === 'done') {
    const { result } = verdict
    if (typeof result === 'object' && result !== null && 'status' in result) return { kind: 'written' }
    throw unavailable(asked, `status completed, got ${JSON.stringify(result)}`, ASK_AGAIN_MS)
  }
  if (verdict.kind === 'error' || verdict.kind === 'exists') throw errorOf(asked, verdict)
  return verdict
}

/**
 * The factor that makes a vector one of L2 norm 1. The server does so, too, but takes a squared norm below 1.2e-7 for
 * zero, and numbers are rounded on the way as if their norm were 1.
 *
 * @returns 1 for a vector that has the norm already, or no direction
 */
export function unitScale(vector: Float32Array): number {
  let squares = 0
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!
  return squares === 0 || Math.abs(squares - 1) <= SQUARES_TOLERANCE ? 1 : 1 / Math.sqrt(squares)
}

/** Float32 rounding of a vector that was normalised; the server's own bound. */
const SQUARES_TOLERANCE = 1e-6
