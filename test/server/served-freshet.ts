/** A standalone freshet behind its HTTP API, over the golden bundle, which opens soonest: for the tests of the server. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalService } from '../../src/cli/local-service.ts'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import type { Gauges } from '../../src/observability/gauges.ts'
import { Health } from '../../src/observability/health.ts'
import { Metrics } from '../../src/observability/metrics.ts'
import { Recent } from '../../src/observability/recent.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { createServer, type FreshetServer, type ServerOptions } from '../../src/server/http-server.ts'
import { GOLDEN } from '../model/golden-bundle.ts'

/** Of the bundle that the server runs. */
export const MODEL = 'golden-linear' as ModelId

export interface ServedFreshet {
  standalone: Standalone
  service: LocalService
  health: Health
  server: FreshetServer
  /** What the server could not answer: nothing should ever be here that a test did not provoke. */
  failures: unknown[]
  /** Another server over the same service. Closed with the rest. */
  serve(options: Partial<ServerOptions>): Promise<FreshetServer>
  close(): Promise<void>
}

export const BODY_BYTES_MAX = 1024 * 1024

/** Gauges of a program that has nothing to show. */
export const NO_GAUGES: Gauges = {
  model: () => null,
  users: () => ({ known: 0, waiting: 0, parked: 0 }),
  epoch: () => 0,
  lag: () => [],
  spending: () => null,
  oldestPendingMs: () => null,
}

/** An event of a user, an hour ago. */
export function searchEvent(user: string, query: string, eventTimeMs = Date.now() - 3_600_000) {
  const event_id = `${user}/${query}`
  return {
    topic: 'behavior.search',
    header: { event_id, user_id: user, event_time: eventTimeMs, source: '//test.example' },
    query,
  }
}

export async function startServedFreshet(): Promise<ServedFreshet> {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-server-'))
  const flags = { dataDir: directory, 'model.bundle': join(GOLDEN, 'bundle-linear'), 'model.threads': 1 }
  const { settings } = loadSettings({ file: null, env: {}, flags })
  const standalone = await openStandalone(settings)
  const recent = new Recent(systemClock)
  const health = new Health({ clock: systemClock })
  const service = new LocalService(standalone, recent, health)
  const metrics = new Metrics({ version: '0.0.0', gauges: NO_GAUGES })
  const failures: unknown[] = []
  const servers: FreshetServer[] = []
  const serve = async (options: Partial<ServerOptions>) => {
    const server = await createServer(service, {
      host: '127.0.0.1',
      port: 0,
      adminSecret: null,
      bodyBytesMax: BODY_BYTES_MAX,
      requestsPerMinuteMax: 100_000,
      version: '0.0.0',
      health,
      metrics,
      failed: (error) => failures.push(error),
      ...options,
    })
    servers.push(server)
    return server
  }
  await standalone.start()
  return {
    standalone,
    service,
    health,
    server: await serve({}),
    failures,
    serve,
    close: async () => {
      for (const server of servers) await server.close()
      metrics.close()
      service.close()
      recent.close()
      health.close()
      await standalone.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
