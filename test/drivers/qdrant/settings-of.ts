/** Settings for a server under test: small requests, so that a suite sees more than one, and a server as strict as one can be. */

import { settingsSchema } from '../../../src/config/settings.ts'
import type { QdrantSettings } from '../../../src/drivers/qdrant/qdrant-settings.ts'

export function settingsOf(url: string, changes: Partial<QdrantSettings> = {}): QdrantSettings {
  const defaults = settingsSchema.parse({}).vectors.qdrant
  return {
    ...defaults,
    url,
    timeoutMs: 5_000,
    connectionsMax: 4,
    requestBytesMax: 4 * 1024 * 1024,
    collection: { ...defaults.collection, strictMode: true },
    ...changes,
  }
}
