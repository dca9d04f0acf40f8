/** What the operator set, in the terms of the pipeline. */

import type { Settings } from '../config/settings.ts'
import { DEFAULT_PIPELINE_SETTINGS, type PipelineSettings } from '../pipeline/settings.ts'

export function pipelineSettings({ model, refresh, windows }: Settings): PipelineSettings {
  return {
    ...DEFAULT_PIPELINE_SETTINGS,
    minEvents: refresh.minEvents,
    quietMs: refresh.quietMs,
    maxDelayMs: refresh.maxDelayMs,
    batchPositionsMax: refresh.batchPositionsMax,
    batchUsersMax: refresh.batchUsersMax,
    attemptsMax: refresh.attemptsMax,
    sendAttemptsMax: refresh.sendAttemptsMax,
    dirtyUsersMax: refresh.dirtyUsersMax,
    unacknowledgedRecordsMax: refresh.unacknowledgedRecordsMax,
    memoryBytesMax: windows.memoryBytesMax,
    commitIntervalMs: refresh.commitIntervalMs,
    sweepUsersMax: Math.min(DEFAULT_PIPELINE_SETTINGS.sweepUsersMax, refresh.sweepUsersPerSecondMax),
    sweepUsersPerSecondMax: refresh.sweepUsersPerSecondMax,
    renderedAs: model.timezone,
    maxFutureSkewMs: windows.maxFutureSkewMs,
    horizonDays: horizonDays(windows.horizonDays),
  }
}

/** @returns days; null: no horizon; undefined: the bundle's */
function horizonDays(setting: Settings['windows']['horizonDays']): number | null | undefined {
  if (setting === 'bundle' || setting === 'kept') return undefined
  return setting === 'none' ? null : setting
}
