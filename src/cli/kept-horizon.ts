/** The horizon that a data directory was made with: who opens it again need not name it. */

import type { Settings } from '../config/settings.ts'
import { MAIN_GROUP } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import { collectionName } from '../vectors/names.ts'
import type { VectorStore } from '../vectors/vector-store.ts'

interface KeptIn {
  /** What the directory remembers, days; null: none; undefined: nothing yet. */
  remembered: number | null | undefined
  /** A directory of before it remembered has it in its collections; null: they are on a server. */
  vectors: Pick<VectorStore, 'collections'> | null
  model: ModelId
}

/** @returns the settings with `windows.horizonDays: kept` replaced by what was kept, the bundle's at first */
export async function withKeptHorizon(
  settings: Settings,
  { remembered, vectors, model }: KeptIn,
): Promise<Settings> {
  if (settings.windows.horizonDays !== 'kept') return settings
  let kept = remembered
  if (kept === undefined && vectors !== null) {
    const name = collectionName(MAIN_GROUP, model)
    kept = (await vectors.collections()).find((collection) => collection.name === name)?.horizonDays
  }
  const horizonDays = kept === undefined ? 'bundle' : (kept ?? 'none')
  return { ...settings, windows: { ...settings.windows, horizonDays } }
}
