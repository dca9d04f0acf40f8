/** How much of the speed of decoding and windows in memory is left when events are also made durable and marked dirty? */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openDataDirectory } from '../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../src/drivers/sqlite/event-log.ts'
import { SqliteControlLog } from '../src/drivers/sqlite/sqlite-control-log.ts'
import { SqliteDeadLetters } from '../src/drivers/sqlite/sqlite-dead-letters.ts'
import { SqliteEventSource } from '../src/drivers/sqlite/sqlite-event-source.ts'
import { SqliteStateStore } from '../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../src/drivers/sqlite/sqlite-vector-store.ts'
import { BugError } from '../src/errors.ts'
import { worldUsers } from '../src/evaluation/world/persona.ts'
import { history, timeMs } from '../src/evaluation/world/stream.ts'
import { TEXT_MODALITIES } from '../src/events/behavior-event.ts'
import { createRecordDecoder } from '../src/events/decoder.ts'
import { createRecordEncoder } from '../src/events/encoder.ts'
import { type UserKey, userKey } from '../src/events/ids.ts'
import type { NewRecord } from '../src/events/new-record.ts'
import { directorySchemas } from '../src/events/schema-source.ts'
import type { RecordDecoder } from '../src/events/source-record.ts'
import type { TopicSettings } from '../src/events/topic.ts'
import type { EmbeddingModel, ModelId } from '../src/model/embedding-model.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../src/pipeline/settings.ts'
import { Updater } from '../src/pipeline/updater.ts'
import { applyEvent, emptyState } from '../src/window/apply.ts'
import type { UserState, WindowCaps } from '../src/window/user-state.ts'
import { conditions } from './conditions.ts'
import { interleaved, measurement, ratio, writeResult } from './result.ts'

const BATCH_RECORDS = 1_000
const EVENT_COUNT = 200_000
const USER_COUNT = 1_000
const REPETITIONS = 7
const SEED = 1
const NOW_MS = Date.UTC(2026, 10, 24)
/** Slots of the published template: what the presets use. */
const CAPS: WindowCaps = { paybill: 250, miniprogram: 150, spm: 150, app: 100, search: 10 }
const TOMBSTONES = 'freshet.tombstones'
const TOPICS: readonly TopicSettings[] = [
  ...TEXT_MODALITIES.map((holds) => topicOf(`behavior.${holds}`, holds)),
  topicOf(TOMBSTONES, 'tombstone'),
]

function topicOf(topic: string, holds: TopicSettings['holds']): TopicSettings {
  return { topic, holds, format: 'avro-raw', schema: null, fields: null }
}

/** Events of many users in time order, as a stream would bring them, encoded before anything is timed. */
function makeBatches(): NewRecord[][] {
  const encoder = createRecordEncoder('avro-raw')
  const records = worldUsers(SEED, USER_COUNT)
    .flatMap((user) => [...history(user, NOW_MS, 70)])
    .filter((record) => record.kind === 'event')
    .sort((a, b) => timeMs(a) - timeMs(b))
    .slice(-EVENT_COUNT)
  if (records.length < EVENT_COUNT)
    throw new RangeError(`the world made ${records.length} events: ask for more days`)
  const encoded = records.map((record) => {
    const { key, value } = encoder.encode(record)
    return { topic: `behavior.${record.event.modality}`, key, value, appendTimeMs: timeMs(record) }
  })
  return Array.from({ length: EVENT_COUNT / BATCH_RECORDS }, (_, i) =>
    encoded.slice(i * BATCH_RECORDS, (i + 1) * BATCH_RECORDS),
  )
}

/** Decode and windows, in memory and nothing else. @returns events/s */
function inMemory(batches: readonly NewRecord[][], decoder: RecordDecoder): number {
  const states = new Map<UserKey, UserState>()
  let applied = 0
  const startedMs = performance.now()
  for (const batch of batches) {
    for (const [i, { topic, key, value }] of batch.entries()) {
      const said = decoder.decode({ topic, partition: 0, offset: i, appendTimeMs: NOW_MS, key, value })
      if (said.kind !== 'event') continue
      const name = userKey(said.tenant, said.user)
      let state = states.get(name)
      if (state === undefined) {
        state = emptyState(said.tenant, said.user)
        states.set(name, state)
      }
      applyEvent(state, said.event, CAPS)
      applied++
    }
  }
  const seconds = (performance.now() - startedMs) / 1_000
  if (applied !== EVENT_COUNT) throw new RangeError(`applied ${applied} of ${EVENT_COUNT} events`)
  return EVENT_COUNT / seconds
}

/** Says how large windows are; nothing is embedded while the updater does not refresh, and it says so if it is. */
function modelOfSlots(): EmbeddingModel {
  const refuse = () => {
    throw new BugError(
      'bench-embeds',
      'expected no embedding while ingest is measured: check updater.refreshing',
    )
  }
  return {
    id: 'slots' as ModelId,
    precision: 'fp32',
    provider: 'cpu',
    dimensions: 64,
    rendererVersion: 1,
    horizonDays: 90,
    slots: CAPS,
    tabularFeatures: null,
    contentHash: '0'.repeat(64),
    positions: refuse,
    embedUsers: refuse,
    embedTexts: refuse,
    counts: refuse,
    close: async () => {},
  }
}

/** The whole of ingest in a new data directory: durable log, decode, windows, dirty marks. @returns events/s */
async function ingest(batches: readonly NewRecord[][], decoder: RecordDecoder): Promise<number> {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-bench-'))
  const data = openDataDirectory({ path: directory, access: 'write', nowMs: Date.now() })
  const model = modelOfSlots()
  const log = new SqliteEventLog(data.main, {
    clock: systemClock,
    tombstoneOf: () => null,
    tombstoneTopic: TOMBSTONES,
  })
  const controlLog = new SqliteControlLog(data.main)
  await controlLog.appendModel({ active: model.id, also: null, existing: [model.id] })
  const updater = new Updater({
    source: new SqliteEventSource(data.main, log, {
      topics: TOPICS.map(({ topic }) => topic),
      clock: systemClock,
    }),
    decoder,
    store: new SqliteStateStore(data.main, { caps: () => CAPS }),
    controlLog,
    deadLetters: new SqliteDeadLetters(data.main),
    models: { get: () => model },
    render: () => ({ events: {}, tabular: null }),
    vectors: new SqliteVectorStore(data.vectors, systemClock),
    clock: systemClock,
    settings: DEFAULT_PIPELINE_SETTINGS,
  })
  updater.refreshing = false
  const running = updater.run()
  while (updater.ownership.stage !== 'owner') await systemClock.sleep(1)
  const partition = updater.ownership.partitions.get(0)!
  const readAll = () => partition.read.reduce((most, offset) => Math.max(most, offset), 0) >= EVENT_COUNT
  const startedMs = performance.now()
  for (const batch of batches) await log.append(batch)
  while (!readAll()) await new Promise((resolve) => setImmediate(resolve))
  const seconds = (performance.now() - startedMs) / 1_000
  const { held } = partition
  if (held.size < USER_COUNT / 2)
    throw new RangeError(`expected the users to be marked dirty, got ${held.size}`)
  await updater.stop()
  await running
  data.close()
  rmSync(directory, { recursive: true })
  return EVENT_COUNT / seconds
}

/** What the disk alone takes: the floor under ingest. @returns events/s */
async function appendOnly(batches: readonly NewRecord[][]): Promise<number> {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-bench-'))
  const data = openDataDirectory({ path: directory, access: 'write', nowMs: Date.now() })
  const log = new SqliteEventLog(data.main, {
    clock: systemClock,
    tombstoneOf: () => null,
    tombstoneTopic: TOMBSTONES,
  })
  const startedMs = performance.now()
  for (const batch of batches) await log.append(batch)
  const seconds = (performance.now() - startedMs) / 1_000
  data.close()
  rmSync(directory, { recursive: true })
  return EVENT_COUNT / seconds
}

const measuredUnder = conditions(['avsc'])
const batches = makeBatches()
const decoder = createRecordDecoder({ topics: TOPICS, schemas: directorySchemas(null) })
const bytes = batches.flat().reduce((sum, { value }) => sum + value!.length, 0)
const samples = await interleaved(
  {
    inMemory: () => inMemory(batches, decoder),
    appendOnly: () => appendOnly(batches),
    ingest: () => ingest(batches, decoder),
  },
  REPETITIONS,
)
const file = writeResult({
  bench: 'ingest',
  question:
    'How much of the speed of decode and windows in memory is left by the durable log and dirty marks?',
  conditions: measuredUnder,
  settings: {
    batchRecords: BATCH_RECORDS,
    events: EVENT_COUNT,
    users: USER_COUNT,
    valueBytesMean: Math.round(bytes / EVENT_COUNT),
    synchronous: 'FULL',
  },
  measurements: [
    measurement('decode and windows in memory', 'events/s', samples.inMemory),
    measurement('durable log alone', 'events/s', samples.appendOnly),
    measurement('ingest: log, decode, windows, dirty marks', 'events/s', samples.ingest),
  ],
  ratios: [
    ratio('ingest against decode and windows in memory', samples.ingest, samples.inMemory, { atLeast: 0.3 }),
  ],
})
process.stdout.write(`${file}\n`)
