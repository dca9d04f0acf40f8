/** The settings of a collection: what it is created with, where an existing one differs, and what mends that. */

import type { Schemas } from '@qdrant/js-client-rest'
import type { CollectionSpec, Difference } from '../../vectors/vector-store.ts'
import { describeIndex, missingIndexes, PAYLOAD_INDEXES } from './payload-indexes.ts'
import type { QdrantCollectionSettings } from './qdrant-settings.ts'

type Info = Schemas['CollectionInfo']

/** The body of its creation: without vectors, which come and go by name. */
export function creation(
  settings: QdrantCollectionSettings,
  metadata: Record<string, unknown>,
): Schemas['CreateCollection'] {
  const { shards, replicas, writeConsistency, payloadOnDisk, quantization } = settings
  const quantized = quantizationOf(quantization)
  return {
    vectors: {},
    shard_number: shards,
    replication_factor: replicas,
    write_consistency_factor: writeConsistency,
    on_disk_payload: payloadOnDisk,
    hnsw_config: hnswOf(settings),
    optimizers_config: optimizersOf(settings),
    ...(quantized === null ? {} : { quantization_config: quantized }),
    ...(settings.strictMode ? { strict_mode_config: STRICT_MODE } : {}),
    metadata,
  }
}

/** A vector name: what can't be changed once it is there. Cosine, for whatever the norm, direction is what counts. */
export function vectorCreation(
  settings: QdrantCollectionSettings,
  { dimensions }: Pick<CollectionSpec, 'dimensions'>,
): Schemas['VectorNameConfig'] {
  return { dense: { size: dimensions, distance: 'Cosine', datatype: settings.datatype } }
}

function hnswOf({ hnsw }: QdrantCollectionSettings) {
  return { m: hnsw.m, ef_construct: hnsw.efConstruct, on_disk: hnsw.onDisk }
}

/** What is null stays with the server's own. */
function optimizersOf(settings: QdrantCollectionSettings) {
  const { indexingThresholdKb, deletedThreshold, segmentKbMax, segments } = settings
  return {
    indexing_threshold: indexingThresholdKb,
    deleted_threshold: deletedThreshold,
    ...(segmentKbMax === null ? {} : { max_segment_size: segmentKbMax }),
    ...(segments === null ? {} : { default_segment_number: segments }),
  }
}

/** Quantized vectors stay in memory: it is for that that they are small. 0.99 keeps a few outliers from stretching the scale. */
function quantizationOf(kind: QdrantCollectionSettings['quantization']) {
  if (kind === 'int8') return { scalar: { type: 'int8' as const, quantile: 0.99, always_ram: true } }
  if (kind === 'turbo4') return { turbo: { bits: 'bits4' as const, always_ram: true } }
  return null
}

/** Whoever filters by a field without an index is told so, instead of making the server read every payload. */
const STRICT_MODE = {
  enabled: true,
  unindexed_filtering_retrieve: false,
  unindexed_filtering_update: false,
}

/** One setting that a collection has otherwise, and the part of a PATCH that mends it; null: only a new one has it. */
interface Deviation {
  difference: Difference
  patch: Schemas['UpdateCollection'] | null
}

export function differences(settings: QdrantCollectionSettings, info: Info): Difference[] {
  const indexes = missingIndexes(info.payload_schema).map((field) => ({
    what: `index on ${field}`,
    wanted: describeIndex(PAYLOAD_INDEXES[field]),
    found: describeIndex(info.payload_schema[field]),
    mendable: true,
  }))
  return [...indexes, ...deviations(settings, info).map(({ difference }) => difference)]
}

/** @returns the PATCH that mends what can be mended; null: nothing */
export function mendingPatch(
  settings: QdrantCollectionSettings,
  info: Info,
): Schemas['UpdateCollection'] | null {
  const patches = deviations(settings, info).flatMap(({ patch }) => (patch === null ? [] : [patch]))
  if (patches.length === 0) return null
  const whole: Record<string, object | string> = {}
  for (const patch of patches)
    for (const [part, values] of Object.entries(patch) as [string, object | string][])
      whole[part] =
        typeof values === 'string' ? values : { ...(whole[part] as object | undefined), ...values }
  return whole
}

function deviations(settings: QdrantCollectionSettings, info: Info): Deviation[] {
  const { params, hnsw_config, optimizer_config } = info.config
  const list = new Deviations()
  const hnsw = hnswOf(settings)
  for (const field of ['m', 'ef_construct', 'on_disk'] as const)
    list.add(`hnsw.${field}`, hnsw[field], hnsw_config[field] ?? false, {
      hnsw_config: { [field]: hnsw[field] },
    })
  for (const [field, wanted] of Object.entries(optimizersOf(settings)))
    list.add(`optimizers.${field}`, wanted, optimizer_config[field as keyof typeof optimizer_config], {
      optimizers_config: { [field]: wanted },
    })
  const { payloadOnDisk, writeConsistency, replicas, shards } = settings
  list.add('payload on disk', payloadOnDisk, params.on_disk_payload ?? false, {
    params: { on_disk_payload: payloadOnDisk },
  })
  list.add('write consistency', writeConsistency, params.write_consistency_factor ?? 1, {
    params: { write_consistency_factor: writeConsistency },
  })
  // A PATCH changes the number, not the copies there are: the operator places these.
  list.add('replicas', replicas, params.replication_factor ?? 1, null)
  list.add('shards', shards, params.shard_number ?? 1, null)
  addQuantization(list, settings, info)
  addStrictMode(list, settings, info)
  addVectors(list, settings, info)
  return list.found
}

class Deviations {
  readonly found: Deviation[] = []

  add(what: string, wanted: unknown, found: unknown, patch: Schemas['UpdateCollection'] | null): void {
    if (wanted === found) return
    const difference = { what, wanted: `${wanted}`, found: `${found}`, mendable: patch !== null }
    this.found.push({ difference, patch })
  }
}

function addQuantization(list: Deviations, { quantization }: QdrantCollectionSettings, info: Info): void {
  const found = info.config.quantization_config as Schemas['QuantizationConfig'] | null | undefined
  const wanted = quantizationOf(quantization)
  list.add('quantization', quantization, quantizationName(found ?? null), {
    quantization_config: wanted ?? 'Disabled',
  })
}

function quantizationName(found: Schemas['QuantizationConfig'] | null): string {
  if (found === null) return 'none'
  if ('scalar' in found) return found.scalar.type
  if ('turbo' in found) return found.turbo.bits === 'bits4' ? 'turbo4' : `turbo ${found.turbo.bits}`
  return Object.keys(found)[0] ?? 'none'
}

/** Only ours are compared: an operator may well have set limits of her own beside them. */
function addStrictMode(list: Deviations, { strictMode }: QdrantCollectionSettings, info: Info): void {
  const found = info.config.strict_mode_config ?? {}
  const isStrict =
    found.enabled === true &&
    found.unindexed_filtering_retrieve === false &&
    found.unindexed_filtering_update === false
  // One that is strict where nobody asked for it does no harm, our filters are all indexed.
  if (strictMode) list.add('strict mode', true, isStrict, { strict_mode_config: STRICT_MODE })
}

function addVectors(list: Deviations, { onDisk, datatype }: QdrantCollectionSettings, info: Info): void {
  const vectors = info.config.params.vectors ?? {}
  for (const [name, vector] of Object.entries(vectors as Record<string, Schemas['VectorParams']>)) {
    list.add(`${name} on disk`, onDisk, vector.on_disk ?? false, { vectors: { [name]: { on_disk: onDisk } } })
    list.add(`${name} datatype`, datatype, vector.datatype ?? 'float32', null)
  }
}
