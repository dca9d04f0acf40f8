/** A standalone freshet whose vectors lie on a Qdrant double behind a faulty proxy, running as the program runs it. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalService } from '../../src/cli/local-service.ts'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone, type StandaloneOptions } from '../../src/cli/open-standalone.ts'
import { requestRebuild } from '../../src/cli/rebuild.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { Settings } from '../../src/config/settings.ts'
import { userKey } from '../../src/events/ids.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import { unavailable } from '../../src/pipeline/channels.ts'
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
import { GOLDEN_BUNDLE, ref } from './standalone-fixture.ts'

/** Waits are kept, but short: a back-off of ten seconds would be ten seconds of nothing. */
const SLEEP_MS_MAX = 20
const PATIENCE_MS = 60_000
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

/** A server to run on: the double, or any other one, where everything has a prefix and is dropped in the end. */
interface ServerUnderTest {
  url: string
  apiKey: string | null
  prefix: string
  /** null: a real one, which takes no orders. */
  double: QdrantDouble | null
}

export class QdrantStandalone {
  readonly server: ServerUnderTest
  readonly proxy: FaultyProxy
  readonly root: string
  /** The default data directory. */
  readonly dataDir: string

  private constructor(server: ServerUnderTest, proxy: FaultyProxy) {
    this.server = server
    this.proxy = proxy
    this.root = mkdtempSync(join(tmpdir(), 'freshet-qdrant-'))
    this.dataDir = join(this.root, 'data')
  }

  static async on(server: ServerUnderTest): Promise<QdrantStandalone> {
    const proxy = new FaultyProxy(server.url)
    await proxy.listen()
    return new QdrantStandalone(server, proxy)
  }

  static async make(options: DoubleOptions = {}): Promise<QdrantStandalone> {
    const double = await startQdrantDouble(options)
    return QdrantStandalone.on({ url: double.url, apiKey: null, prefix: '', double })
  }

  get double(): QdrantDouble {
    assert.ok(this.server.double !== null, 'a real server takes no orders')
    return this.server.double
  }

  /** Past the driver. @param path after the prefix of the environment: `freshet_main/points/query` */
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { url, apiKey, prefix } = this.server
    const response = await fetch(`${url}/collections/${prefix}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(apiKey === null ? {} : { 'api-key': apiKey }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    assert.equal(response.status, 200, `${method} ${path}`)
    return ((await response.json()) as { result: T }).result
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
        'vectors.qdrant.apiKey': this.server.apiKey,
        'vectors.qdrant.prefix': this.server.prefix,
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

  /** Without the prefix. */
  async ownCollections(): Promise<string[]> {
    const { url, apiKey, prefix } = this.server
    const headers: Record<string, string> = apiKey === null ? {} : { 'api-key': apiKey }
    const answer = (await (await fetch(`${url}/collections`, { headers })).json()) as {
      result: { collections: { name: string }[] }
    }
    return answer.result.collections
      .map(({ name }) => name)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
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
    if (this.server.double !== null) await this.server.double.close()
    else for (const name of await this.ownCollections()) await this.call('DELETE', name)
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

/** No search finds the user, of whom a stub is left. @param other a user who has vectors */
export async function assertForgotten(running: Running, user: string, other: string): Promise<void> {
  assert.equal((await stored(running, user))?.point.kind, 'stub')
  const request = { instruction: 'general' as InstructionId, k: 10, from: { users: [ref(other)] } }
  assert.deepEqual((await running.service.nearest(request)).neighbours, [])
}

/** As `collections rebuild` does, in the process that runs. */
export async function rebuild({ standalone }: Running): Promise<void> {
  await requestRebuild(standalone.parts.controlLog)
  await standalone.parts.updater.control.readToEnd()
  await standalone.untilIdle()
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

/** As many as were handed out and not committed, by the group's offsets. */
export async function uncommitted({ parts: { source, log } }: Standalone): Promise<number> {
  return log.endOffset() - source.keepFrom()
}

/** Small limits, so that they are met; who is in a request doesn't count, so that is far smaller. */
export const OUTAGE_BOUNDS = {
  'refresh.dirtyUsersMax': 60,
  'refresh.batchUsersMax': 4,
  ...IMPATIENT,
}
const OUTAGE_USERS = 200

/**
 * R7: reading pauses, nothing is lost or committed, and it recovers by itself. Opened with `OUTAGE_BOUNDS`.
 *
 * @param begin from here on nothing can be written, until `end`
 */
export async function assertSurvives(
  running: Running,
  begin: () => unknown,
  end: () => unknown,
): Promise<void> {
  const { standalone, service, health } = running
  const outage = 'vectors: qdrant-unavailable'
  await ingest(running, event('user-0', 0))
  await begin()
  const committedBefore = standalone.parts.source.keepFrom()
  const all = users(OUTAGE_USERS)
  const [first, rest] = [all.slice(0, OUTAGE_USERS / 2), all.slice(OUTAGE_USERS / 2)]
  for (let i = 0; i < first.length; i += 10)
    await service.ingest(first.slice(i, i + 10).map((user) => event(user, 1)))
  await until('reading pauses', () => isPaused(standalone))
  await until('it is told', () => health.degraded.includes(outage))
  const left = await standalone.lag()
  await service.ingest(rest.map((user) => event(user, 1)))
  for (let attempts = 0; attempts < 2; attempts++) await nextOutage()
  assert.equal(await standalone.lag(), left + rest.length, 'what comes now stays in the log')
  assert.equal(standalone.parts.source.keepFrom(), committedBefore)
  const status = await service.status()
  assert.deepEqual([status.events.deadLetters, status.users.parked], [0, 0])
  assert.deepEqual(status.degraded, [outage])
  assert.deepEqual(await service.ready(), { ready: true, why: null })

  await end()
  await assertRight(running, OUTAGE_USERS)
  assert.equal(await uncommitted(standalone), 0)
  assert.deepEqual(health.degraded, [])
  assert.equal((await service.status()).users.parked, 0)
}

function isPaused({ parts: { source } }: Standalone): boolean {
  return (source as unknown as { isPaused: boolean }).isPaused
}

/** Resolves when the next attempt has failed: what would be read in between has been. */
function nextOutage(): Promise<void> {
  return new Promise((resolve) => {
    const unsubscribe = unavailable.subscribe(() => {
      unsubscribe()
      resolve()
    })
  })
}
