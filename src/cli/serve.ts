/** A running freshet that answers: the pipeline, who watches it, and the API over it. */

import type { Settings } from '../config/settings.ts'
import type { Gauges } from '../observability/gauges.ts'
import { Health } from '../observability/health.ts'
import { Logs } from '../observability/logs.ts'
import { Metrics } from '../observability/metrics.ts'
import { Recent } from '../observability/recent.ts'
import type { Clock } from '../pipeline/clock.ts'
import { createServer, type FreshetServer } from '../server/http-server.ts'
import type { Freshet } from './freshet.ts'
import { LocalService } from './local-service.ts'
import { freshetVersion } from './version.ts'

export interface Observers {
  recent: Recent
  health: Health
  logs: Logs
}

/** Ready before anything is opened, which may have to wait. @param quiet no log lines: somebody draws on the terminal */
export function openLogs(
  settings: Settings['log'],
  clock: Clock,
  quiet: boolean,
  destination: { write(line: string): void } = process.stderr,
): Logs {
  const isTerminal = process.stderr.isTTY === true
  return new Logs({
    level: quiet ? 'silent' : settings.level,
    userIds: settings.userIds,
    pretty: settings.pretty === 'auto' ? isTerminal : settings.pretty,
    coloured: isTerminal && process.env.NO_COLOR === undefined,
    destination,
    clock,
  })
}

/** Watches from before the first record on. */
export function observe(logs: Logs, freshet: Freshet): Observers {
  const { clock, cacheWarning } = freshet.parts
  if (cacheWarning !== null) logs.warn('event-vectors', cacheWarning)
  const health = new Health({ clock, changed: (change) => logs.healthChanged(change) })
  return { recent: new Recent(clock), health, logs }
}

export interface Serving extends Observers {
  service: LocalService
  url: string
  /** Takes no more requests and stops watching; the pipeline is the caller's. */
  close(): Promise<void>
}

/** Serves the API of a running freshet, and says to others on this machine where. */
export async function serve(freshet: Freshet, observers: Observers): Promise<Serving> {
  const { settings, backend } = freshet.parts
  const { recent, health, logs } = observers
  const service = new LocalService(freshet, recent, health)
  const metrics = new Metrics({ version: freshetVersion(), gauges: gaugesOf(freshet, service) })
  let server: FreshetServer | undefined
  const close = async () => {
    await server?.close()
    metrics.close()
    service.close()
    closeObservers(observers)
  }
  try {
    const { host, port, adminSecret, bodyBytesMax, requestsPerMinuteMax } = settings.server
    server = await createServer(service, {
      host,
      port,
      adminSecret,
      bodyBytesMax,
      requestsPerMinuteMax,
      version: freshetVersion(),
      health,
      metrics,
      failed: (error, route) => logs.error('server', `no answer to ${route}`, error),
    })
    const url = await server.listen()
    backend.announce(url)
    // Until the program has drained and ended, probes already say that it is over.
    freshet.ended().catch((error: unknown) => {
      health.failed(error)
      logs.error('pipeline', 'stopped for good', error)
    })
    return { service, url, ...observers, recent, close }
  } catch (error) {
    await close()
    throw error
  }
}

export function closeObservers({ recent, health, logs }: Observers): void {
  recent.close()
  health.close()
  logs.close()
}

function gaugesOf(freshet: Freshet, service: LocalService): Gauges {
  const { opened, updater, clock } = freshet.parts
  return {
    model: () => opened.model,
    users: () => ({ known: service.userCount(), waiting: freshet.waiting, parked: service.parkedCount }),
    epoch: () => updater.ownership.epoch,
    lag: () => freshet.lags(),
    spending: () => opened.model.counts(),
    oldestPendingMs: () => {
      let oldestMs = Number.POSITIVE_INFINITY
      for (const partition of updater.ownership.partitions.values())
        for (const entry of partition.held) oldestMs = Math.min(oldestMs, entry.oldestAppendMs)
      return oldestMs === Number.POSITIVE_INFINITY ? null : Math.max(0, clock.nowMs() - oldestMs)
    },
  }
}
