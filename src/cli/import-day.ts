/** The one day of a whole import: as which its records count as appended, and its windows are read. */

import { RecordError, RequestError } from '../errors.ts'
import { DAY_MS, dayOf, dayString, isLate } from '../window/day.ts'
import type { ImportFile, ImportItem } from './import-file.ts'
import type { Standalone } from './open-standalone.ts'
import { storedDay } from './stored-day.ts'

export interface DayWish {
  /** Days since the Unix epoch; undefined: the files decide. */
  named: number | undefined
  /** Files that were read to their end are read again, and have a say. */
  again: boolean
}

/**
 * What the user names; or the latest of what interrupted imports began with and of the event times of new files. Never
 * later than the clock's, never that of an event from the future, and never before the day that the directory stands at.
 *
 * @returns days since the Unix epoch
 * @throws {RequestError} `import-after-day`, `import-day-passed`, before anything is appended
 */
export async function importDay(
  standalone: Standalone,
  files: readonly ImportFile[],
  { named, again }: DayWish,
): Promise<number> {
  const { clock, log, store } = standalone.parts
  const today = dayOf(clock.nowMs())
  const stored = await storedDay(store)
  const unread = files.filter(({ name }) => again || log.importProgress(name)?.isDone !== true)
  if (unread.length === 0) return stored ?? today
  if (named !== undefined) {
    const day = Math.min(named, today)
    if (stored !== null && day < stored)
      throw passed(stored, `--as-of ${dayString(day)}`, 'leave --as-of out')
    await refuseLater(standalone, unread, day)
    return day
  }
  // A file that was read to its end fixes nothing any more: its day was that of yesterday's import.
  const begun = (file: ImportFile) => log.importProgress(file.name)?.isDone === false
  const begunDays = unread.flatMap(({ name }) => {
    const progress = log.importProgress(name)
    return progress?.isDone === false ? (progress.asOfDay ?? []) : []
  })
  let latestMs = await latestEventMs(
    standalone,
    unread.filter((file) => !begun(file)),
  )
  const day = Math.min(today, Math.max(...begunDays, dayOf(latestMs)))
  if (day === Number.NEGATIVE_INFINITY) return stored ?? today
  if (stored === null || day >= stored) return day
  latestMs = Math.max(latestMs, await latestEventMs(standalone, unread.filter(begun)))
  if (isLate(latestMs, endOf(stored), horizonOf(standalone)))
    throw passed(
      stored,
      `events up to ${dayString(dayOf(latestMs))}, all outside the horizon of then`,
      `name --as-of ${dayString(stored)} to take them in without vectors`,
    )
  return stored
}

/** @returns the append time of a whole import, milliseconds: S4 judges by it, or history would be late by today's clock */
export function importAppendMs(asOfDay: number, nowMs: number): number {
  return Math.min(endOf(asOfDay), nowMs)
}

function endOf(day: number): number {
  return (day + 1) * DAY_MS - 1
}

function horizonOf({ parts }: Standalone): number | null {
  return parts.updater.snapshots.horizonOf(parts.opened.model.id)
}

function passed(stored: number, got: string, remedy: string): RequestError {
  return new RequestError(
    'import-day-passed',
    `expected an import as of ${dayString(stored)} or later, as which this data directory is read and which never goes back, got ${got}: ${remedy}, or ingest history into a directory of its own (--data-dir)`,
  )
}

/** An event after the day that was named would become a dead letter, one by one; a wish that can't be meant is refused whole. */
async function refuseLater(standalone: Standalone, files: readonly ImportFile[], day: number): Promise<void> {
  const { clock, pipelineSettings } = standalone.parts
  const { maxFutureSkewMs } = pipelineSettings
  const endMs = importAppendMs(day, clock.nowMs()) + maxFutureSkewMs
  // What is ahead of the clock, too, is no reason: no day would help it.
  for await (const { file, item, ms } of timedItems(standalone, files))
    if (ms > endMs && ms <= clock.nowMs() + maxFutureSkewMs)
      throw new RequestError(
        'import-after-day',
        `expected no event after ${dayString(day)}, the day of --as-of, got one of ${new Date(ms).toISOString()} in ${file.path}:${item.index + 1}: name that day or a later one, or leave those events out`,
      )
}

async function latestEventMs(standalone: Standalone, files: readonly ImportFile[]): Promise<number> {
  const { clock, pipelineSettings } = standalone.parts
  const limitMs = clock.nowMs() + pipelineSettings.maxFutureSkewMs
  let latestMs = Number.NEGATIVE_INFINITY
  for await (const { ms } of timedItems(standalone, files)) if (ms <= limitMs && ms > latestMs) latestMs = ms
  return latestMs
}

async function* timedItems({ parts }: Standalone, files: readonly ImportFile[]) {
  for (const file of files)
    try {
      for await (const item of file.items()) {
        const ms = timeOf(item, parts.encoder)
        if (ms !== undefined) yield { file, item, ms }
      }
    } catch (error) {
      // A container that is cut off: what was whole has its say, and the import reports the damage.
      if (!(error instanceof RecordError)) throw error
    }
}

function timeOf(item: ImportItem, encoder: Standalone['parts']['encoder']): number | undefined {
  try {
    const { says } = item.encode(encoder)
    if (says?.kind === 'event') return says.event.eventTimeMs
    return says?.kind === 'tabular' ? says.asOfMs : undefined
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
