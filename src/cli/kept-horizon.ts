/** The horizon that a data directory was made with: who opens it again need not name it. */

import type { Settings } from '../config/settings.ts'
import { MAIN_GROUP } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import { collectionName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'

/** @returns the settings with `windows.horizonDays: kept` replaced by what the collections say, the bundle's at first */
export async function withKeptHorizon(
  settings: Settings,
  vectors: Pick<VectorStore, 'collections'>,
  model: ModelId,
): Promise<Settings> {
  if (settings.windows.horizonDays !== 'kept') return settings
  const name = collectionName(MAIN_GROUP, model)
  const kept = (await vectors.collections()).find((collection) => collection.name === name)
  const horizonDays = kept === undefined ? 'bundle' : (kept.horizonDays ?? 'none')
  return { ...settings, windows: { ...settings.windows, horizonDays } }
}
