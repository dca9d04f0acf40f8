/** Points by id, read back as they were written. */

import type { VectorName } from '../../instructions/instruction.ts'
import type { PointId, StoredPoint } from '../../vectors/vector-store.ts'
import { fromServerPoint } from './point-payload.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import type { RestClient } from './rest-client.ts'
import type { ServerName } from './server-names.ts'

/**
 * @param vectorNames of each point's vectors; null: all
 * @returns those that are there and ours
 */
export async function readPoints(
  rest: RestClient,
  server: ServerName,
  ids: readonly PointId[],
  vectorNames: readonly VectorName[] | null,
  settings: Pick<QdrantSettings, 'requestPointsMax' | 'readConsistency'>,
): Promise<Map<PointId, StoredPoint>> {
  const { requestPointsMax, readConsistency } = settings
  const withVector = vectorNames === null || (vectorNames.length > 0 && [...vectorNames])
  const found = new Map<PointId, StoredPoint>()
  for (let from = 0; from < ids.length; from += requestPointsMax) {
    const body = {
      collection_name: server,
      ids: ids.slice(from, from + requestPointsMax),
      with_payload: true,
      with_vector: withVector,
      ...(readConsistency === null ? {} : { consistency: readConsistency }),
    }
    const records = await rest.result({ what: 'read points', collection: server }, (api, init) =>
      api.getPoints(body, init),
    )
    for (const { id, payload, vector } of records) {
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
