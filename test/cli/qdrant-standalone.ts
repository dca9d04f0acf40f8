/** A standalone freshet whose vectors lie on a Qdrant double behind a faulty proxy, running as the program runs it. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalService } from '../../src/cli/local-service.ts'
import { openStandalone, type StandaloneOptions } from '../../src/cli/open-standalone.ts'
import type { Standalone } from '../../src/cli/standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import { userKey } from '../../src/events/ids.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import { type Clock, systemClock } from '../../src/pipeline/clock.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName, StoredPoint } from '../../src/vectors/vector-store.ts'
import { answer, hold, type SeenRequest } from '../drivers/qdrant/double/faults.ts'
import {
  type DoubleOptions,
  type QdrantDouble,
  startQdrantDouble,
} from '../drivers/qdrant/double/qdrant-double.ts'
import { FaultyProxy } from '../drivers/qdrant/faulty-proxy.ts'
import { GOLDEN_BUNDLE } from './standalone-fixture.ts'

/** Waits are kept, but short: a back-off of ten seconds would be ten seconds of nothing. */
const SLEEP_MS_MAX = 20
const PATIENCE_MS = 20_000
const POLL_MS = 5

/** REST's endpoint of every write of points. */
export const WRITE = 'PUT /collections/{collection_name}/points'

export const clock: Clock = {
  nowMs: () => Date.now(),
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, SLEEP_MS_MAX), signal),
}

export interface Running {
  standalone: Standalone
  service: LocalService
  health: Health
}

export class QdrantStandalone {
  readonly double: QdrantDouble
  readonly proxy: FaultyProxy
  readonly root: string
  /** The default data directory. */
  readonly dataDir: string

  private constructor(double: QdrantDouble, proxy: FaultyProxy) {
    this.double = double
    this.proxy = proxy
    this.root = mkdtempSync(join(tmpdir(), 'freshet-qdrant-'))
    this.dataDir = join(this.root, 'data')
  }

  static async make(options: DoubleOptions = {}): Promise<QdrantStandalone> {
    const double = await startQdrantDouble(options)
    const proxy = new FaultyProxy(double.url)
    await proxy.listen()
    return new QdrantStandalone(double, proxy)
  }

  settings(flags: Record<string, unknown> = {}) {
    return loadSettings({
      file: null,
      env: {},
      flags: {
        dataDir: this.dataDir,
        'model.bundle': GOLDEN_BUNDLE,
        'model.threads': 1,
        'windows.horizonDays': 'none',
        'refresh.quietMs': 10,
        'refresh.maxDelayMs': 100,
        'refresh.commitIntervalMs': 10,
        'vectors.driver': 'qdrant',
        'vectors.qdrant.url': this.proxy.url,
        'vectors.qdrant.timeoutMs': 5_000,
        ...flags,
      },
    }).settings
  }

  open(flags: Record<string, unknown> = {}, options: StandaloneOptions = {}): Promise<Standalone> {
    return this.openWith(this.settings(flags), options)
  }

  openWith(settings: Settings, options: StandaloneOptions = {}): Promise<Standalone> {
    return openStandalone(settings, { clock, ...options })
  }

  /** Opens, starts, and closes whatever comes of it. */
  async running<T>(
    use: (running: Running) => Promise<T>,
    flags: Record<string, unknown> = {},
    options: StandaloneOptions = {},
  ): Promise<T> {
    const standalone = await this.open(flags, options)
    const recent = new Recent(clock)
    const health = new Health({ clock })
    const service = new LocalService(standalone, recent, health)
    try {
      await standalone.start()
      return await use({ standalone, service, health })
    } finally {
      service.close()
      recent.close()
      health.close()
      await standalone.close(0)
    }
  }

  /** The collection of `main` as the double has it. */
  get collection() {
    return this.double.store.collections.get('freshet_main_golden-linear')
  }

  /** What was changed so far, by anybody: endpoints, but for the check of the key, which changes nothing. */
  get writes(): string[] {
    return this.double.log.requests
      .filter(({ endpoint, body }) => {
        const isWrite = /^(PUT|PATCH|DELETE) |^POST .*\/(delete|aliases)$/.test(endpoint)
        return (
          isWrite && !(endpoint === 'POST /collections/aliases' && JSON.stringify(body) === '{"actions":[]}')
        )
      })
      .map(({ endpoint }) => endpoint)
  }

  async close(): Promise<void> {
    await this.proxy.close()
    await this.double.close()
    rmSync(this.root, { recursive: true, force: true })
  }
}

export async function withQdrant<T>(
  use: (qdrant: QdrantStandalone) => Promise<T>,
  options: DoubleOptions = {},
): Promise<T> {
  const qdrant = await QdrantStandalone.make(options)
  try {
    return await use(qdrant)
  } finally {
    await qdrant.close()
  }
}

/** Waits for what is to come by itself. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS
  while (!(await isSo())) {
    assert.ok(Date.now() < endMs, `waited in vain until ${what}`)
    await sleep(POLL_MS)
  }
}

/** A search of a user, one of many. */
export function event(user: string, number: number): Record<string, unknown> {
  const header = {
    event_id: `${user}-${number}`,
    event_time: Date.now() - 60_000 + number,
    source: 'test',
    user_id: user,
  }
  return { topic: 'behavior.search', header, query: `trains to town ${number}` }
}

export const idOf = (user: string) => pointId(userKey('default' as never, user as never))

/** Every vector is what the log says. */
export async function assertRight({ standalone, service }: Running, users: number): Promise<void> {
  await standalone.untilIdle()
  const { checked, wrong } = await service.verify({ sample: 1_000 })
  assert.deepEqual(wrong, [])
  assert.equal(checked, users)
}

/** As the server says that it is over its limits. */
export const busy = (retryAfter = '0') =>
  answer(429, {
    headers: { 'retry-after': retryAfter },
    body: { status: { error: 'Rate limiting exceeded' }, time: 0 },
  })

export const MAIN = 'freshet_main_golden-linear' as CollectionName
/** A write that is held counts as lost after so long. */
export const IMPATIENT = { 'vectors.qdrant.timeoutMs': 500 }

export const users = (count: number) => Array.from({ length: count }, (_, i) => `user-${i}`)

export async function ingest({ service, standalone }: Running, ...events: unknown[]): Promise<void> {
  await service.ingest(events)
  await standalone.untilIdle()
}

export async function stored({ standalone }: Running, user: string): Promise<StoredPoint | undefined> {
  return (await standalone.parts.vectors.get(MAIN, [idOf(user)])).get(idOf(user))
}

export const writesOf = (user: string) => (request: SeenRequest) =>
  request.endpoint === WRITE && JSON.stringify(request.body).includes(idOf(user))

/** Keeps the next write of a user from landing. @returns lets it land */
export function heldWrite(
  { double }: QdrantStandalone,
  user: string,
): { release: () => Promise<void>; isHeld: () => boolean } {
  const released = Promise.withResolvers<void>()
  const before = double.faults.left
  double.faults.add(writesOf(user), hold(released.promise))
  const release = async () => {
    released.resolve()
    // What was let go has had its effect once the double has answered somebody else.
    assert.equal((await fetch(double.url)).status, 200)
  }
  return { release, isHeld: () => double.faults.left === before }
}
