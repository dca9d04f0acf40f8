/** Opens the store of vectors on a Qdrant server: nothing is written before its version, key and address are known to do. */

import type { Clock } from '../../pipeline/clock.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { QdrantVectorStore } from './qdrant-vector-store.ts'

/**
 * @throws {ConfigError} `qdrant-url`, `qdrant-secret-in-clear`, `qdrant-version`, `qdrant-key`, `qdrant-key-read-only`
 * @throws {UnavailableError} `qdrant-unavailable`
 */
export async function openQdrant(settings: QdrantSettings, clock: Clock): Promise<QdrantVectorStore> {
  return new QdrantVectorStore(settings, clock)
}
