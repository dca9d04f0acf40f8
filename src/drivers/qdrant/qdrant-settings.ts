/** What the driver must be told: `vectors.qdrant` of the settings has the same shape. */

export interface QdrantSettings {
  /** `http` or `https`; a path is kept as the prefix of every request. */
  url: string
  /** null: points are written over REST. */
  grpcUrl: string | null
  /** Never over plain http beyond this machine. */
  apiKey: string | null
  /** `[a-z0-9-]{0,40}`, before every name on the server, so that two environments can share one. */
  prefix: string
  /** Of one request, its answer included. */
  timeoutMs: number
  connectionsMax: number
  requestPointsMax: number
  /** Below the server's `max_request_size_mb` (32 MiB). */
  requestBytesMax: number
  writeOrdering: 'weak' | 'medium' | 'strong'
  /** null: the server's own, one replica. */
  readConsistency: 'majority' | 'quorum' | 'all' | number | null
  /** Candidates that a search through the index keeps; null: the server's own. */
  searchEf: number | null
  collection: QdrantCollectionSettings
}

/** What a collection is created with, and what `mend` brings an older one to. */
export interface QdrantCollectionSettings {
  shards: number
  replicas: number
  writeConsistency: number
  datatype: 'float32' | 'float16'
  onDisk: boolean
  payloadOnDisk: boolean
  hnsw: { m: number; efConstruct: number; onDisk: boolean }
  quantization: 'none' | 'int8' | 'turbo4'
  /** A segment with more vectors than this gets an index. */
  indexingThresholdKb: number
  /** Share of a segment that is rewritten once as much of it was overwritten. */
  deletedThreshold: number
  /** null: the server's own. */
  segmentKbMax: number | null
  /** null: the server's own, one a core. */
  segments: number | null
  /** Refuses filters on fields without an index. */
  strictMode: boolean
}
