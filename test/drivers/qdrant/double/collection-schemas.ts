/** Bodies of the endpoints that make, change and name collections. */

import { z } from 'zod'
import { count, memory, payload, positive } from './request-schemas.ts'

const size = positive.max(65_536)
// Only what the double can compute.
const distance = z.enum(['Cosine', 'Dot'])
const datatype = z.enum(['float32', 'float16'])
const yes = z.boolean().nullish()

const hnswDiff = z.strictObject({
  m: count.nullish(),
  ef_construct: z.int().min(4).nullish(),
  full_scan_threshold: z.int().min(10).nullish(),
  max_indexing_threads: count.nullish(),
  on_disk: yes,
  memory: memory.nullish(),
  payload_m: count.nullish(),
  inline_storage: yes,
})

const kept = { always_ram: yes, memory: memory.nullish() }
const scalar = z.strictObject({
  scalar: z.strictObject({
    type: z.enum(['int8']),
    quantile: z.number().min(0.5).max(1).nullish(),
    ...kept,
  }),
})
const turbo = z.strictObject({
  turbo: z.strictObject({ bits: z.enum(['bits1', 'bits1_5', 'bits2', 'bits4']).nullish(), ...kept }),
})
const quantization = z.union([scalar, turbo])
const quantizationDiff = z.union([scalar, turbo, z.enum(['Disabled'])])

const optimizersDiff = z.strictObject({
  deleted_threshold: z.number().min(0).max(1).nullish(),
  vacuum_min_vector_number: z.int().min(100).nullish(),
  default_segment_number: count.nullish(),
  max_segment_size: positive.nullish(),
  memmap_threshold: count.nullish(),
  indexing_threshold: count.nullish(),
  flush_interval_sec: count.nullish(),
  max_optimization_threads: z.union([z.enum(['auto']), count]).nullish(),
})

const strictModeDiff = z.strictObject({
  enabled: yes,
  max_query_limit: positive.nullish(),
  max_timeout: positive.nullish(),
  unindexed_filtering_retrieve: yes,
  unindexed_filtering_update: yes,
  search_max_hnsw_ef: count.nullish(),
  search_allow_exact: yes,
  search_max_oversampling: z.number().nullish(),
  upsert_max_batchsize: count.nullish(),
  search_max_batchsize: count.nullish(),
  filter_max_conditions: count.nullish(),
  condition_max_size: count.nullish(),
  max_payload_index_count: count.nullish(),
})

const vectorParams = z.strictObject({
  size,
  distance,
  hnsw_config: hnswDiff.nullish(),
  quantization_config: quantization.nullish(),
  on_disk: yes,
  memory: memory.nullish(),
  datatype: datatype.nullish(),
})

const replication = {
  replication_factor: positive.nullish(),
  write_consistency_factor: positive.nullish(),
  on_disk_payload: yes,
  payload: z.strictObject({ memory: memory.nullish() }).nullish(),
}

export const createCollectionBody = z.strictObject({
  vectors: z.record(z.string(), vectorParams).optional(),
  shard_number: positive.nullish(),
  ...replication,
  hnsw_config: hnswDiff.nullish(),
  wal_config: z
    .strictObject({
      wal_capacity_mb: positive.nullish(),
      wal_segments_ahead: count.nullish(),
      wal_retain_closed: positive.nullish(),
    })
    .nullish(),
  optimizers_config: optimizersDiff.nullish(),
  quantization_config: quantization.nullish(),
  strict_mode_config: strictModeDiff.nullish(),
  metadata: payload.nullish(),
})

export const updateCollectionBody = z.strictObject({
  vectors: z
    .record(
      z.string(),
      z.strictObject({
        hnsw_config: hnswDiff.nullish(),
        quantization_config: quantizationDiff.nullish(),
        on_disk: yes,
        memory: memory.nullish(),
      }),
    )
    .nullish(),
  optimizers_config: optimizersDiff.nullish(),
  params: z
    .strictObject({
      ...replication,
      read_fan_out_factor: count.nullish(),
      read_fan_out_delay_ms: count.nullish(),
    })
    .nullish(),
  hnsw_config: hnswDiff.nullish(),
  quantization_config: quantizationDiff.nullish(),
  strict_mode_config: strictModeDiff.nullish(),
  metadata: payload.nullish(),
})

export const vectorNameBody = z.strictObject({
  dense: z.strictObject({ size, distance, datatype: datatype.nullish() }),
})

const tuned = { on_disk: yes, memory: memory.nullish(), enable_hnsw: yes }
const indexParams = z.union([
  z.strictObject({ type: z.enum(['keyword']), is_tenant: yes, prefix: yes, ...tuned }),
  z.strictObject({ type: z.enum(['integer']), lookup: yes, range: yes, is_principal: yes, ...tuned }),
  z.strictObject({ type: z.enum(['float']), is_principal: yes, ...tuned }),
  z.strictObject({ type: z.enum(['bool']), ...tuned }),
  z.strictObject({ type: z.enum(['datetime']), is_principal: yes, ...tuned }),
  z.strictObject({ type: z.enum(['uuid']), is_tenant: yes, ...tuned }),
])

export const indexBody = z.strictObject({
  field_name: z.string(),
  field_schema: z
    .union([z.enum(['keyword', 'integer', 'float', 'bool', 'datetime', 'uuid']), indexParams])
    .nullish(),
})

const named = z.strictObject({ collection_name: z.string(), alias_name: z.string() })

export const aliasesBody = z.strictObject({
  actions: z.array(
    z.union([
      z.strictObject({ create_alias: named }),
      z.strictObject({ delete_alias: z.strictObject({ alias_name: z.string() }) }),
      z.strictObject({
        rename_alias: z.strictObject({ old_alias_name: z.string(), new_alias_name: z.string() }),
      }),
    ]),
  ),
})

export type CreateCollectionBody = z.infer<typeof createCollectionBody>
export type UpdateCollectionBody = z.infer<typeof updateCollectionBody>
export type VectorParams = z.infer<typeof vectorParams>
export type HnswDiff = z.infer<typeof hnswDiff>
export type StrictMode = z.infer<typeof strictModeDiff>
export type IndexSchema = z.infer<typeof indexParams>
export type IndexBody = z.infer<typeof indexBody>
export type AliasAction = z.infer<typeof aliasesBody>['actions'][number]
export type VectorNameBody = z.infer<typeof vectorNameBody>
