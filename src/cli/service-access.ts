/** Gives a verb its answers: over HTTP where a freshet runs, else by opening the data directory here. */

import type { Settings } from '../config/settings.ts'
import { writerInfo } from '../drivers/sqlite/writer-lock.ts'
import { ConfigError, UnavailableError } from '../errors.ts'
import { Health, type HealthChange } from '../observability/health.ts'
import { Recent } from '../observability/recent.ts'
import { systemClock } from '../pipeline/clock.ts'
import { RemoteService } from '../server/remote-service.ts'
import type { FreshetService } from '../server/service.ts'
import { LocalService } from './local-service.ts'
import type { Standalone } from './open-standalone.ts'
import { duration, note, startBar } from './output.ts'
import { openAsStored } from './stored-day.ts'

export interface Access {
  service: FreshetService
  /** null: another process has it, and does by itself what follows from a change. */
  standalone: Standalone | null
}

/**
 * Runs a verb against the data directory of the settings.
 *
 * @throws {ConfigError} `data-directory-locked`, when its writer doesn't answer over HTTP; `vectors-lost`
 */
export async function withService<Result>(
  settings: Settings,
  use: (access: Access) => Promise<Result>,
): Promise<Result> {
  const url = runningUrl(settings)
  if (url !== null) return use(remote(settings, url))
  let standalone: Standalone
  try {
    standalone = await openAsStored(settings, { onLost: 'refuse' })
  } catch (error) {
    const writerUrl = isLocked(error) ? writerInfo(settings.dataDir)?.url : undefined
    if (writerUrl == null) throw error
    return use(remote(settings, writerUrl))
  }
  try {
    const recent = new Recent(systemClock)
    const health = new Health({ clock: systemClock })
    const service = new LocalService(standalone, recent, health)
    try {
      // Nothing is embedded behind the back of somebody who only asks.
      standalone.parts.updater.refreshing = false
      await standalone.start()
      await standalone.caughtUp()
      return await use({ service, standalone })
    } finally {
      service.close()
      recent.close()
      health.close()
    }
  } finally {
    await standalone.close()
  }
}

/**
 * @returns the running freshet that is to be asked whatever else there is; null: one that may be on the data directory
 * @throws {UnavailableError} `worker-not-running`
 */
export function runningUrl({ server, events, dataDir }: Settings): string | null {
  if (server.url !== null || events.driver !== 'kafka') return server.url
  const url = writerInfo(dataDir)?.url
  if (url != null) return url
  throw new UnavailableError(
    'worker-not-running',
    `expected a worker that answers on ${dataDir}, got none: start one (freshet run), or name one that runs elsewhere with --url`,
  )
}

function remote({ server }: Settings, url: string): Access {
  return { service: new RemoteService({ url, adminSecret: server.adminSecret }), standalone: null }
}

export function isLocked(error: unknown): boolean {
  return error instanceof ConfigError && error.code === 'data-directory-locked'
}

/** After a change: embeds until nothing is left to do, with a bar. */
export async function settle(title: string, standalone: Standalone): Promise<void> {
  let most = 1
  let bar: ReturnType<typeof startBar> | undefined
  const startMs = Date.now()
  // Without a word, somebody who waits for a server that is away would see a bar stand still.
  const health = new Health({ clock: systemClock, changed: (change) => note(outageText(change)) })
  try {
    await standalone.untilIdle((waiting) => {
      if (waiting > most) most = waiting
      bar ??= startBar(title, most)
      bar.at(most - waiting, `${waiting} users wait`)
    })
  } finally {
    health.close()
  }
  bar?.end(`done in ${((Date.now() - startMs) / 1000).toFixed(1)} s`)
}

function outageText(change: HealthChange): string {
  if (change.kind === 'recovered')
    return `${change.what}: ${change.isHeard ? 'answers again' : 'no complaint any more,'} after ${duration(change.outageMs)}`
  return `${change.what}: does not answer, and is tried again until it does (${change.error.message})`
}
