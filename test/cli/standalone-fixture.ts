/** A standalone freshet in a temporary directory, turned by hand: a clock of the test's own, and nothing in the background. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LocalService } from '../../src/cli/local-service.ts'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { DEFAULT_TENANT, type UserId } from '../../src/events/ids.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import type { UserRef } from '../../src/server/service.ts'

export const GOLDEN_BUNDLE = fileURLToPath(new URL('../golden/bundle-linear', import.meta.url))
export const NOW_MS = Date.UTC(2026, 0, 15, 12)

export interface Fixture {
  standalone: Standalone
  service: LocalService
  /** Milliseconds; the test moves it. */
  clock: { nowMs: number }
  /** Reads, embeds and commits until nothing is left to do. */
  settle(): Promise<void>
  /** Reads to the end of the log and embeds nothing. */
  read(): Promise<void>
  close(): Promise<void>
}

export async function openFixture(flags: Record<string, unknown> = {}, taken = true): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-cli-'))
  const { settings } = loadSettings({
    file: null,
    env: {},
    flags: { dataDir: directory, 'model.bundle': GOLDEN_BUNDLE, 'model.threads': 1, ...flags },
  })
  const clock = { nowMs: NOW_MS }
  const standalone = await openStandalone(settings, {
    clock: { nowMs: () => clock.nowMs, sleep: async () => {} },
  })
  const { updater, source, housekeeping } = standalone.parts
  const recent = new Recent(standalone.parts.clock)
  const health = new Health({ clock: standalone.parts.clock })
  const service = new LocalService(standalone, recent, health)
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const read = async () => {
    while ((await standalone.lag()) > 0) await turn()
  }
  const settle = async () => {
    await updater.control.readToEnd()
    await read()
    // The clock may have jumped: nothing is sent on a commit of long ago (V3).
    await updater.commitOnce()
    do {
      await turn()
      updater.sweep.step()
      await updater.refreshOnce(true)
    } while (!updater.idle)
    await updater.commitOnce()
    await housekeeping.tick()
  }
  if (taken) {
    await source.start(updater)
    await updater.ownership.settled()
    await settle()
  }
  const close = async () => {
    service.close()
    recent.close()
    health.close()
    await source.stop()
    await updater.ownership.stop()
    await standalone.close()
    rmSync(directory, { recursive: true, force: true })
  }
  return { standalone, service, clock, settle, read, close }
}

export function ref(user: string): UserRef {
  return { tenant: DEFAULT_TENANT, user: user as UserId }
}

/** A search, as a line of JSON would have it. */
export function search(user: string, query: string, minutesAgo = 1): Record<string, unknown> {
  const eventTimeMs = NOW_MS - minutesAgo * 60_000
  return {
    topic: 'behavior.search',
    header: {
      event_id: `${user}-${query.slice(0, 60)}`,
      event_time: eventTimeMs,
      source: 'test',
      user_id: user,
    },
    query,
  }
}
