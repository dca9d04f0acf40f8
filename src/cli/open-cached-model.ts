/** The model that the settings name, or the built-in one, with the event vectors that it has computed before. */

import { join } from 'node:path'
import type { Settings } from '../config/settings.ts'
import { openEventVectorCache } from '../drivers/sqlite/event-vector-cache.ts'
import type { Clock } from '../pipeline/clock.ts'
import { builtInBundle } from './built-in-bundle.ts'
import { type OpenedModel, openModel } from './open-model.ts'

/**
 * @param closers gets what closes cache and model
 * @throws {ConfigError} of the bundle, the provider or the settings
 */
export async function openCachedModel(
  settings: Settings,
  clock: Clock,
  closers: (() => unknown)[],
): Promise<{ opened: OpenedModel; cacheWarning: string | null }> {
  const { dataDir, model } = settings
  const { cache, warning } =
    model.eventCacheBytesMax === 0
      ? { cache: null, warning: null }
      : openEventVectorCache({
          path: join(dataDir, 'event-vectors.db'),
          sizeBytesMax: model.eventCacheBytesMax,
        })
  if (cache !== null) closers.push(() => cache.close())
  const bundle = model.bundle ?? (await builtInBundle(dataDir, clock))
  const opened = await openModel(bundle, model, cache)
  closers.push(() => opened.close())
  return { opened, cacheWarning: warning }
}
