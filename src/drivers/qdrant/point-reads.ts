/** Points by id, read back as they were written. */

import type { Schemas } from '@qdrant/js-client-rest'
import type { VectorName } from '../../instructions/instruction.ts'
import type { PointId, StoredPoint } from '../../vectors/vector-store.ts'
import { fromServerPoint } from './point-payload.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { pointsPath, type RestClient } from './rest-client.ts'
import type { OwnCollection } from './server-collections.ts'

/** Parsing so many holds the event loop for some 10 ms. */
const NUMBERS_MAX = 65_536

/**
 * @param vectorNames of each point's vectors; null: all
 * @returns those that are there and ours
 */
export async function readPoints(
  rest: RestClient,
  { server, spec, vectorNames: known }: Pick<OwnCollection, 'server' | 'spec' | 'vectorNames'>,
  ids: readonly PointId[],
  vectorNames: readonly VectorName[] | null,
  { requestPointsMax, readConsistency }: Pick<QdrantSettings, 'requestPointsMax' | 'readConsistency'>,
): Promise<Map<PointId, StoredPoint>> {
  const numbers = (vectorNames?.length ?? known.size) * spec.dimensions
  const size = Math.max(1, Math.min(requestPointsMax, Math.floor(NUMBERS_MAX / Math.max(1, numbers))))
  const path = pointsPath(server, '', { consistency: readConsistency })
  const found = new Map<PointId, StoredPoint>()
  for (let from = 0; from < ids.length; from += size) {
    const body: Schemas['PointRequest'] = {
      ids: ids.slice(from, from + size),
      with_payload: true,
      with_vector: vectorNames === null || (vectorNames.length > 0 && [...vectorNames]),
    }
    const asked = { what: 'read points', collection: server }
    for (const { id, payload, vector } of await rest.post<Schemas['Record'][]>(asked, path, body)) {
      const stored = fromServerPoint(id as PointId, payload, vectorsOf(vector))
      if (stored !== null) found.set(id as PointId, stored)
    }
  }
  return found
}

function vectorsOf(vector: unknown): Map<VectorName, Float32Array> {
  const named = typeof vector === 'object' && vector !== null ? Object.entries(vector) : []
  return new Map(
    named.map(([name, values]) => [name as VectorName, Float32Array.from(values as readonly number[])]),
  )
}
