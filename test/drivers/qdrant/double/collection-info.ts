/** What GET says of a collection. */

import type { Collection } from './collection.ts'
import { valuesAt } from './payload-path.ts'

/** Nothing is ever indexed by HNSW here, so there is nothing to wait for. */
export function collectionInfo(collection: Collection): Record<string, unknown> {
  const { points, params, vectors, hnsw, optimizers, wal, quantization, strictMode, metadata } = collection
  return {
    status: 'green',
    optimizer_status: 'ok',
    indexed_vectors_count: 0,
    points_count: points.size,
    segments_count: 1,
    config: {
      params: { vectors: Object.fromEntries(vectors), ...params },
      hnsw_config: hnsw,
      optimizer_config: optimizers,
      wal_config: wal,
      quantization_config: quantization,
      ...(strictMode === null ? {} : { strict_mode_config: strictMode }),
      ...(metadata === null ? {} : { metadata }),
    },
    payload_schema: Object.fromEntries(
      [...collection.indexes].map(([field, { type, ...tuned }]) => {
        const indexed = [...points.values()].filter(({ payload }) => valuesAt(payload, field).length > 0)
        const params = Object.keys(tuned).length === 0 ? {} : { params: { type, ...tuned } }
        return [field, { data_type: type, ...params, points: indexed.length }]
      }),
    ),
    update_queue: { length: 0 },
  }
}
