/** What GET says of a collection. */

import type { Collection } from './collection.ts'
import type { IndexSchema } from './collection-schemas.ts'
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
      [...collection.indexes].map(([field, schema]) => {
        const indexed = [...points.values()].filter(({ payload }) => valuesAt(payload, field).length > 0)
        return [field, { ...described(schema), points: indexed.length }]
      }),
    ),
    update_queue: { length: 0 },
  }
}

/** Settings that a server keeps as null where none is given; an index that was made by its type alone has none. */
const NULLS: Partial<Record<IndexSchema['type'], object>> = {
  datetime: { is_principal: null },
  float: { is_principal: null },
  integer: { lookup: null, range: null, is_principal: null },
}

function described(schema: IndexSchema | IndexSchema['type']): object {
  if (typeof schema === 'string') return { data_type: schema }
  return { data_type: schema.type, params: { ...NULLS[schema.type], ...schema } }
}
