/** Settings for a server under test: small requests, so that a suite sees more than one. */

import type { QdrantSettings } from '../../../src/drivers/qdrant/qdrant-settings.ts'

export function settingsOf(url: string, changes: Partial<QdrantSettings> = {}): QdrantSettings {
  return {
    url,
    grpcUrl: null,
    apiKey: null,
    prefix: '',
    timeoutMs: 5_000,
    connectionsMax: 4,
    requestPointsMax: 64,
    requestBytesMax: 4 * 1024 * 1024,
    writeOrdering: 'weak',
    readConsistency: null,
    searchEf: null,
    collection: {
      shards: 1,
      replicas: 1,
      writeConsistency: 1,
      datatype: 'float32',
      onDisk: false,
      payloadOnDisk: true,
      hnsw: { m: 16, efConstruct: 100, onDisk: false },
      quantization: 'none',
      indexingThresholdKb: 10_000,
      deletedThreshold: 0.2,
      segmentKbMax: null,
      segments: null,
      strictMode: true,
    },
    ...changes,
  }
}
