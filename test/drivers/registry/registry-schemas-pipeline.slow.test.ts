/** The pipeline while the registry is slow, down or wrong: the partition waits and goes on by itself, and no record is lost. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { RegistryClient } from '../../../src/drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../../../src/drivers/registry/registry-schemas.ts'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../../src/drivers/sqlite/event-log.ts'
import { SqliteControlLog } from '../../../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../../../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../../../src/drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import { avroType, encodeAvro } from '../../../src/events/avro.ts'
import { createRecordDecoder } from '../../../src/events/decoder.ts'
import { userKey } from '../../../src/events/ids.ts'
import { ownSchema } from '../../../src/events/own-schemas.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import type { TopicSettings } from '../../../src/events/topic.ts'
import { unavailable } from '../../../src/pipeline/channels.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../../src/pipeline/settings.ts'
import { tombstoneReader } from '../../../src/pipeline/tombstone-reader.ts'
import { Updater } from '../../../src/pipeline/updater.ts'
import { pointId } from '../../../src/vectors/names.ts'
import type { CollectionName } from '../../../src/vectors/vector-store.ts'
import { textModel, textRender } from '../../pipeline/text-model.ts'
import { type RegistryDouble, startRegistryDouble } from './registry-double.ts'

const TOPIC = 'behavior.search'
const TOPICS: TopicSettings[] = [
  { topic: TOPIC, holds: 'search', format: 'avro-confluent', schema: null, fields: null },
]
const COLLECTION = 'freshet_main_text' as CollectionName
const PATIENCE_MS = 20_000

/** Stands still; sleepers wake when it is moved on, or by their signal. */
class HeldClock implements Clock {
  private ms = Date.UTC(2026, 5, 1, 12)
  private sleepers = new Set<{ untilMs: number; wake: () => void }>()

  nowMs(): number {
    return this.ms
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = { untilMs: this.ms + ms, wake: resolve }
      this.sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        this.sleepers.delete(sleeper)
        resolve()
      })
    })
  }

  get sleeping(): number {
    return this.sleepers.size
  }

  advance(ms: number): void {
    this.ms += ms
    for (const sleeper of this.sleepers)
      if (sleeper.untilMs <= this.ms) {
        this.sleepers.delete(sleeper)
        sleeper.wake()
      }
  }
}

let double: RegistryDouble
let schemaId: number

function search(user: string, query: string, nowMs: number, id = schemaId) {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(id, 1)
  const header = { event_id: query, user_id: user, event_time: nowMs - 1_000, source: 'test' }
  const payload = encodeAvro(avroType(ownSchema('search')), { header, query })
  const value = Buffer.concat([frame, payload])
  return { topic: TOPIC, key: Buffer.from(user), value, headers: {}, appendTimeMs: nowMs }
}

/** A whole pipeline that has taken its partition, and what it says about the world. */
async function openPipeline() {
  const root = mkdtempSync(join(tmpdir(), 'freshet-registry-'))
  const clock = new HeldClock()
  const directory = openDataDirectory({ path: join(root, 'data'), access: 'write', nowMs: clock.nowMs() })
  const settings = { urls: [double.url], username: null, password: null, timeoutMs: 5_000, cacheSize: 10 }
  const schemas = new RegistrySchemas({
    client: new RegistryClient(settings, { roundsMax: 1 }),
    directory: directorySchemas(null),
    cacheSize: 10,
    nowMs: () => clock.nowMs(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
  })
  const decoder = createRecordDecoder({ topics: TOPICS, schemas })
  const { main } = directory
  const tombstoneOf = tombstoneReader(decoder)
  const log = new SqliteEventLog(main, { clock, tombstoneTopic: 'freshet.tombstones', tombstoneOf })
  const controlLog = new SqliteControlLog(main)
  await controlLog.appendModel({ active: 'text' as never, also: null, existing: ['text' as never] })
  const source = new SqliteEventSource(main, log, { topics: [TOPIC], clock })
  const deadLetters = new SqliteDeadLetters(main)
  const vectors = new SqliteVectorStore(directory.vectors, clock)
  const updater = new Updater({
    source,
    decoder,
    store: new SqliteStateStore(main, { caps: () => textModel.slots }),
    controlLog,
    deadLetters,
    models: new Map([['text' as never, textModel]]),
    render: (_target, window) => textRender(window),
    vectors,
    clock,
    settings: { ...DEFAULT_PIPELINE_SETTINGS, minEvents: 1 },
  })
  const complaints: string[] = []
  const unsubscribe = unavailable.subscribe(({ what, error }) =>
    complaints.push(`${what}: ${(error as { code?: string }).code}`),
  )
  const first = log.endOffset()
  await updater.control.readToEnd()
  await source.start(updater)
  await updater.ownership.settled()
  return {
    clock,
    complaints,
    log,
    schemas,
    letters: () => deadLetters.list({}, 0, 10).map(({ reason }) => reason),
    /** How many records were read. */
    read: () => Math.max(0, updater.ownership.partitions.get(0)!.readPositions.get(TOPIC)! - first),
    /** Embeds and commits; whether the user has a vector. */
    hasVector: async (user: string) => {
      updater.sweep.step()
      await updater.refreshOnce(true)
      await updater.commitOnce()
      const id = pointId(userKey('default' as never, user as never))
      return (await vectors.get(COLLECTION, [id])).get(id)?.point.kind === 'vectors'
    },
    stop: () => updater.stop(),
    close: async () => {
      unsubscribe()
      await updater.stop()
      schemas.close()
      directory.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** Lets sockets and the event loop do what they can; the pipeline's time stands still. */
async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const startMs = performance.now()
  while (!(await isSo())) {
    assert.ok(performance.now() - startMs < PATIENCE_MS, `expected that ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a partition whose schema isn’t known', () => {
  before(async () => {
    double = await startRegistryDouble()
    schemaId = double.put(`${TOPIC}-value`, ownSchema('search')).id
  })

  beforeEach(() => {
    double.fault = null
    double.requests.length = 0
  })

  after(() => double.close())

  test('it goes on with the answer, without a wait and without a complaint', async () => {
    const pipeline = await openPipeline()
    try {
      let answer = () => {}
      double.fault = {
        kind: 'slow',
        until: new Promise((resolve) => {
          answer = resolve
        }),
      }
      const nowMs = pipeline.clock.nowMs()
      await pipeline.log.append([search('ada', 'hotels', nowMs), search('ben', 'boats', nowMs)])
      await until('the registry was asked', () => double.requests.length === 1)
      assert.equal(pipeline.read(), 0)
      // More records, of other users, wait behind it and ask nobody.
      await pipeline.log.append([search('cyd', 'rice', nowMs)])
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual([pipeline.read(), double.requests.length], [0, 1])
      answer()
      await until('all was read', () => pipeline.read() === 3)
      for (const user of ['ada', 'ben', 'cyd'])
        await until(`${user} has a vector`, () => pipeline.hasVector(user))
      assert.deepEqual([pipeline.letters(), pipeline.complaints], [[], []])
      assert.equal(double.requests.length, 1)
    } finally {
      await pipeline.close()
    }
  })

  for (const [what, fault] of [
    ['down', { kind: 'down' }],
    ['ill', { kind: 'status', status: 500 }],
    ['closed to us', { kind: 'status', status: 401 }],
    ['something else', { kind: 'page' }],
  ] as const)
    test(`a registry that is ${what} is waited for, said so, and nothing goes to the dead letters`, async () => {
      const pipeline = await openPipeline()
      try {
        double.fault = fault
        await pipeline.log.append([search('ada', 'hotels', pipeline.clock.nowMs())])
        for (let round = 1; round <= 4; round++) {
          await until('it is complained about', () => pipeline.complaints.length === round)
          assert.equal(double.requests.length, round)
          if (round < 4) pipeline.clock.advance(5_000)
        }
        assert.deepEqual(new Set(pipeline.complaints), new Set(['schemas: schema-unanswered']))
        assert.deepEqual([pipeline.read(), pipeline.letters()], [0, []])
        double.fault = null
        pipeline.clock.advance(5_000)
        await until('ada has a vector', () => pipeline.hasVector('ada'))
        assert.deepEqual(pipeline.letters(), [])
      } finally {
        await pipeline.close()
      }
    })

  test('an unknown id goes to the dead letters once it is sure, and the partition goes on', async () => {
    const pipeline = await openPipeline()
    try {
      const nowMs = pipeline.clock.nowMs()
      await pipeline.log.append([search('ada', 'hotels', nowMs, 4_711), search('ben', 'boats', nowMs)])
      // The partition waits for an answer, and whoever asks for a second one.
      await until('the registry was asked', () => double.requests.length === 1)
      await until('its answer is doubted', () => pipeline.clock.sleeping === 2)
      assert.equal(pipeline.read(), 0)
      pipeline.clock.advance(1_000)
      await until('ben has a vector', () => pipeline.hasVector('ben'))
      assert.deepEqual(pipeline.letters(), ['record-schema-unknown'])
    } finally {
      await pipeline.close()
    }
  })

  for (const fault of [{ kind: 'hangs' }, { kind: 'down' }] as const)
    test(`a stop doesn’t wait for a registry that ${fault.kind === 'down' ? 'is down' : fault.kind}`, async () => {
      const pipeline = await openPipeline()
      try {
        double.fault = fault
        await pipeline.log.append([search('ada', 'hotels', pipeline.clock.nowMs())])
        const complaints = fault.kind === 'down' ? 1 : 0
        await until('the registry was asked', () => double.requests.length === 1)
        await until('its silence is noticed', () => pipeline.complaints.length === complaints)
        assert.equal(pipeline.clock.sleeping, 1)
        await pipeline.stop()
        assert.equal(pipeline.clock.sleeping, 0)
      } finally {
        await pipeline.close()
      }
    })
})
