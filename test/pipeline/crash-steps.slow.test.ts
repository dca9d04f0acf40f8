/** The pipeline over the SQLite drivers, stopped before and after every durable step: the vectors don't know. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDataDirectory } from '../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../src/drivers/sqlite/event-log.ts'
import { SqliteControlLog } from '../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../../src/drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../src/drivers/sqlite/sqlite-vector-store.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import { createRecordDecoder } from '../../src/events/decoder.ts'
import { createRecordEncoder } from '../../src/events/encoder.ts'
import { userKey } from '../../src/events/ids.ts'
import type { NewRecord } from '../../src/events/new-record.ts'
import { directorySchemas } from '../../src/events/schema-source.ts'
import type { TopicSettings } from '../../src/events/topic.ts'
import type { Clock } from '../../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import { tombstoneReader } from '../../src/pipeline/tombstone-reader.ts'
import { Updater } from '../../src/pipeline/updater.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { CollectionName } from '../../src/vectors/vector-store.ts'
import { textModel, textRender } from './text-model.ts'

const NOW_MS = Date.UTC(2026, 5, 1, 12)
const TOPICS: TopicSettings[] = [
  { topic: 'behavior.search', holds: 'search', format: 'avro-raw', schema: null, fields: null },
  { topic: 'user.tabular', holds: 'tabular', format: 'avro-raw', schema: null, fields: null },
  { topic: 'freshet.tombstones', holds: 'tombstone', format: 'avro-raw', schema: null, fields: null },
]
const COLLECTION = 'freshet_main_text' as CollectionName
const USERS = ['ada', 'ben', 'cyd']

/** Where the process stops: before or after the n-th durable step; null: never. */
interface Stop {
  step: number
  when: 'before' | 'after'
}

/** Makes each call of the named methods a durable step; once stopped, nothing of this life goes on. */
function stoppable(stop: Stop | null) {
  let steps = 0
  let isDead = false
  const never = () => new Promise<never>(() => {})
  return {
    get steps() {
      return steps
    },
    get isDead() {
      return isDead
    },
    wrap<T extends object>(port: T, methods: readonly string[]): T {
      return new Proxy(port, {
        get(target, name) {
          const value = Reflect.get(target, name)
          if (typeof value !== 'function') return value
          if (!methods.includes(String(name))) return value.bind(target)
          return async (...args: unknown[]) => {
            if (isDead) return never()
            steps++
            const isHere = stop?.step === steps
            if (isHere && stop.when === 'before') isDead = true
            if (isDead) return never()
            const result = await value.apply(target, args)
            if (isHere) isDead = true
            return isDead ? never() : result
          }
        },
      })
    },
  }
}

function records(): NewRecord[] {
  const encoder = createRecordEncoder('avro-raw')
  const said: { topic: string; says: UserRecord }[] = []
  const who = (user: string) => ({ tenant: 'default' as never, user: user as never })
  const search = (user: string, id: string, hoursAgo: number): void => {
    const event = {
      modality: 'search' as const,
      source: 'test',
      eventId: id as never,
      eventTimeMs: NOW_MS - hoursAgo * 3_600_000,
      fields: { query: `query ${id}` },
    }
    said.push({ topic: 'behavior.search', says: { ...who(user), kind: 'event', event } })
  }
  for (const [i, user] of USERS.entries())
    for (let n = 0; n < 3; n++) search(user, `${user}-${n}`, 10 - 3 * n + i)
  search('ada', 'ada-1', 7)
  said.push({
    topic: 'user.tabular',
    says: {
      ...who('ben'),
      kind: 'tabular',
      asOfMs: NOW_MS - 1_000,
      snapshot: { featureSet: 'f@1', numeric: { f: 3 }, categorical: {} },
    },
  })
  said.push({ topic: 'freshet.tombstones', says: { ...who('cyd'), kind: 'tombstone', atMs: NOW_MS } })
  search('ben', 'ben-late', 1)
  return said.map(({ topic, says }) => {
    const { key, value, headers } = encoder.encode(says)
    return { topic, key, value, appendTimeMs: NOW_MS, ...(headers === undefined ? {} : { headers }) }
  })
}

/** One life of the process: opens the directory, works until idle or until it is stopped. */
async function live(
  path: string,
  stop: Stop | null,
  nowMs: number,
): Promise<{ steps: number; isDead: boolean }> {
  const life = stoppable(stop)
  const clock: Clock = { nowMs: () => nowMs, sleep: () => new Promise((resolve) => setImmediate(resolve)) }
  const directory = openDataDirectory({ path, access: 'write', nowMs })
  try {
    const decoder = createRecordDecoder({ topics: TOPICS, schemas: directorySchemas(null, {}) })
    const log = new SqliteEventLog(directory.main, {
      clock,
      tombstoneTopic: 'freshet.tombstones',
      tombstoneOf: tombstoneReader(decoder),
    })
    const controlLog = new SqliteControlLog(directory.main)
    if ((await controlLog.models(-1)).length === 0)
      await controlLog.appendModel({ active: 'text' as never, also: null, existing: ['text' as never] })
    const source = new SqliteEventSource(directory.main, log, {
      topics: TOPICS.map(({ topic }) => topic),
      clock,
    })
    const updater: Updater = new Updater({
      source: life.wrap(source, ['commit']),
      decoder,
      store: life.wrap(
        new SqliteStateStore(directory.main, {
          caps: () => ({ paybill: 0, miniprogram: 0, spm: 0, app: 0, search: 4 }),
        }),
        ['appendStates', 'appendCheckpoint'],
      ),
      controlLog,
      deadLetters: life.wrap(new SqliteDeadLetters(directory.main), ['put']),
      models: new Map([['text' as never, textModel]]),
      render: (_target, window) => textRender(window),
      vectors: life.wrap(new SqliteVectorStore(directory.vectors, clock), [
        'upsert',
        'ensureCollection',
        'ensureVectorNames',
      ]),
      clock,
      settings: { ...DEFAULT_PIPELINE_SETTINGS, minEvents: 1, batchUsersMax: 2 },
    })
    // The log appends in a transaction of its own: its steps are stopped at in the drivers' own kill tests.
    if (log.endOffset() <= 1) await log.append(records().slice(0, 7))
    if (log.endOffset() <= 8) await log.append(records().slice(7))
    await source.start(updater)
    for (let turn = 0; turn < 400 && !life.isDead; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      void updater.refreshOnce(true)
      updater.sweep.step()
      void updater.commitOnce()
      await new Promise((resolve) => setImmediate(resolve))
      if (turn > 20 && updater.idle) break
    }
    if (!life.isDead) assert.ok(updater.idle, 'expected the updater to come to rest')
    await source.stop()
    return { steps: life.steps, isDead: life.isDead }
  } finally {
    directory.close()
  }
}

async function vectorsIn(path: string): Promise<Record<string, unknown>> {
  const directory = openDataDirectory({ path, access: 'read', nowMs: NOW_MS })
  try {
    const store = new SqliteVectorStore(directory.vectors, { nowMs: () => NOW_MS, sleep: async () => {} })
    const ids = new Map(USERS.map((user) => [pointId(userKey('default' as never, user as never)), user]))
    const points = await store.get(COLLECTION, [...ids.keys()])
    return Object.fromEntries(
      [...points].map(([id, { point }]) => [
        ids.get(id),
        point.kind === 'stub' ? 'stub' : [...point.vectors].map(([name, vector]) => [name, [...vector]]),
      ]),
    )
  } finally {
    directory.close()
  }
}

test('a crash before or after each durable step leaves the same vectors', async () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-crash-'))
  try {
    const whole = join(root, 'whole')
    const { steps } = await live(whole, null, NOW_MS)
    const expected = await vectorsIn(whole)
    assert.deepEqual(Object.keys(expected).sort(), USERS)
    assert.equal(expected.cyd, 'stub')
    assert.ok(steps >= 10, `expected at least ten durable steps, got ${steps}`)
    for (let step = 1; step <= steps; step++)
      for (const when of ['before', 'after'] as const) {
        const path = join(root, `${step}-${when}`)
        const first = await live(path, { step, when }, NOW_MS)
        assert.ok(first.isDead, `step ${step} was never reached`)
        await live(path, null, NOW_MS + 5_000)
        assert.deepEqual(await vectorsIn(path), expected, `stopped ${when} step ${step}`)
      }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
