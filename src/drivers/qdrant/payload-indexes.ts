/** The payload indexes of every collection, made before anything is loaded: later they would lack links in the graph. */

import type { Schemas } from '@qdrant/js-client-rest'

type IndexParams = Exclude<Schemas['PayloadFieldSchema'], Schemas['PayloadSchemaType']>

/** A range is all that is asked of it, and no search is narrowed by it, so the graph needs no links for it. */
const COUNTER = { type: 'integer', lookup: false, range: true, enable_hnsw: false } as const

/** In this order they are created. */
export const PAYLOAD_INDEXES: Readonly<Record<string, IndexParams>> = {
  tenant_id: { type: 'keyword', is_tenant: true },
  segment: { type: 'keyword' },
  last_event_at: { type: 'datetime' },
  expires_at: { type: 'datetime', enable_hnsw: false },
  written_at: { type: 'datetime', enable_hnsw: false },
  epoch: COUNTER,
  write: COUNTER,
  stub: { type: 'bool', enable_hnsw: false },
}

/** @returns the fields that have no index, or another than ours */
export function missingIndexes(schema: Schemas['CollectionInfo']['payload_schema']): string[] {
  return Object.keys(PAYLOAD_INDEXES).filter((field) => !isThere(PAYLOAD_INDEXES[field]!, schema[field]))
}

/** What an index is, in a word or two. */
export function describeIndex(index: Schemas['PayloadIndexInfo'] | IndexParams | undefined): string {
  if (index === undefined) return 'none'
  const params = 'data_type' in index ? index.params : index
  const type = 'data_type' in index ? index.data_type : index.type
  return params !== null && params !== undefined && 'is_tenant' in params && params.is_tenant === true
    ? `${type}, is_tenant`
    : `${type}`
}

/** `enable_hnsw` is a wish about speed, which older servers don't know: it counts for no difference. */
function isThere(wanted: IndexParams, found: Schemas['PayloadIndexInfo'] | undefined): boolean {
  if (found === undefined || found.data_type !== wanted.type) return false
  const params: Record<string, unknown> = { ...found.params }
  if ('is_tenant' in wanted && params.is_tenant !== true) return false
  return !('range' in wanted) || params.range !== false
}
