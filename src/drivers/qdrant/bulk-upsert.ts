/** Brings many points to the server in requests of bounded size, and finds the ones that it will never take. */

import { ConfigError, RecordError } from '../../errors.ts'
import type { Point, PointId, RefusedPoint } from '../../vectors/vector-store.ts'
import type { PointBatch, PointWriter, WriteOutcome } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'

type Limits = Pick<QdrantSettings, 'requestPointsMax' | 'requestBytesMax'>

/**
 * Writes a batch, request after request, all under its one version: V1 asks for no more, the ids differ. What fails
 * midway leaves the outcome unknown as a whole, and the whole is sent again.
 *
 * @param blameless called when the server first refuses something, and again for each point before it is blamed: throws
 *   when the server would refuse anything at all now, so that no user is blamed for what only the operator can mend
 * @returns the points that the server refused by themselves; all others are written
 * @throws whatever the writer throws
 */
export async function upsertAll(
  writer: PointWriter,
  batch: PointBatch,
  limits: Limits,
  blameless: () => Promise<void>,
): Promise<RefusedPoint[]> {
  const refused: RefusedPoint[] = []
  let isAsked = false
  const ask = async (isAlone: boolean) => {
    // A limit of the whole collection may have been reached since it was asked first.
    if (isAlone || !isAsked) await blameless()
    isAsked = true
  }
  for (const points of requests(writer, batch.points, limits))
    refused.push(...(await upsertSome(writer, { ...batch, points }, ask)))
  return refused
}

/** As few requests as the limits allow; a point above the limit of bytes goes alone. */
export function requests(
  writer: Pick<PointWriter, 'sizeBytes'>,
  points: readonly Point[],
  { requestPointsMax, requestBytesMax }: Limits,
): Point[][] {
  const found: Point[][] = []
  let current: Point[] = []
  let bytes = 0
  for (const point of points) {
    const size = writer.sizeBytes(point)
    const isFull = current.length >= requestPointsMax || bytes + size > requestBytesMax
    if (current.length > 0 && isFull) {
      found.push(current)
      current = []
      bytes = 0
    }
    current.push(point)
    bytes += size
  }
  if (current.length > 0) found.push(current)
  return found
}

/** Halves what is too large or refused until a point stands alone; one half after the other, so a dead server ends it. */
async function upsertSome(
  writer: PointWriter,
  batch: PointBatch,
  ask: (isAlone: boolean) => Promise<void>,
): Promise<RefusedPoint[]> {
  const { points } = batch
  const outcome = await writer.write(batch)
  if (outcome.kind === 'written') return []
  if (outcome.kind === 'refused') await ask(points.length === 1)
  if (points.length === 1) return [alone(points[0]!.id, outcome)]
  const middle = Math.ceil(points.length / 2)
  const first = await upsertSome(writer, { ...batch, points: points.slice(0, middle) }, ask)
  return [...first, ...(await upsertSome(writer, { ...batch, points: points.slice(middle) }, ask))]
}

/**
 * @throws {UnavailableError} where nobody said that the point is at fault
 * @throws {ConfigError} `qdrant-body-limit`: payloads are small and vectors equally long, so everybody's point is too large
 */
function alone(id: PointId, outcome: Exclude<WriteOutcome, { kind: 'written' }>): RefusedPoint {
  if (outcome.kind === 'cut-off') throw outcome.error
  const { kind, reason } = outcome
  if (kind === 'too-large')
    throw new ConfigError(
      'qdrant-body-limit',
      `expected a server that takes a request with a single point, got ${reason}: raise its max_request_size_mb, or the limit of the proxy before it`,
    )
  return {
    id,
    error: new RecordError(
      'point-refused',
      `expected a point that the server takes, got ${reason}: look at the user's id, tenant and segment`,
    ),
  }
}
