/** The day that a data directory stands at: who only opens it reads as of that day, and moves it for nobody. */

import type { Settings } from '../config/settings.ts'
import type { StateStore } from '../pipeline/state-store.ts'
import type { Standalone } from './open-standalone.ts'
import { openStandalone, type StandaloneOptions } from './open-standalone.ts'

/** A directory that was opened before anything came in stands at no day yet: history may still be its first import. */
const NO_DAY = 0

/** @returns days since the Unix epoch; null: no vector was ever read as of any day */
export async function storedDay(store: Pick<StateStore, 'restore'>): Promise<number | null> {
  const day = (await store.restore(0)).checkpoint?.day ?? NO_DAY
  return day > NO_DAY ? day : null
}

/**
 * Opens the data directory for one question or one change. The day never goes back: were it the clock's here, whoever
 * asks today would make the next import of history too late. Only `run` and `start` follow the clock.
 *
 * @throws {ConfigError} see `openStandalone`
 */
export async function openAsStored(
  settings: Settings,
  options: Pick<StandaloneOptions, 'clock' | 'takeOver' | 'onLost'> = {},
): Promise<Standalone> {
  const standalone = await openStandalone(settings, options)
  const { pipelineSettings, store } = standalone.parts
  pipelineSettings.asOfDay = (await storedDay(store)) ?? NO_DAY
  return standalone
}
