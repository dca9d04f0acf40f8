/**
 * What does an event from Kafka cost until its window is in memory, against kafkajs that only decodes; and what does it
 * cost to acknowledge a user? A broker is started for it; every sample is a process of its own, on the same records.
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { partitionOf } from '../src/drivers/kafka/partitioner.ts'
import { createRecordEncoder } from '../src/events/encoder.ts'
import type { UserKey } from '../src/events/ids.ts'
import { userKey } from '../src/events/ids.ts'
import { applyEvent, emptyState } from '../src/window/apply.ts'
import type { UserState } from '../src/window/user-state.ts'
import { sharedBroker, uniqueName } from '../test/kafka/shared-broker.ts'
import { conditions } from './conditions.ts'
import {
  CAPS,
  createPlace,
  decoderOf,
  EventWriter,
  type Place,
  windowsDigest,
  worldEvents,
} from './kafka-place.ts'
import {
  type AcknowledgingOptions,
  type AcknowledgingResult,
  addTime,
  type ReadingOptions,
  type ReadingResult,
  type ReadingRole,
} from './kafka-reading.ts'
import { interleaved, measurement, ratio, writeResult } from './result.ts'

const { BENCH_SCALE = '1' } = process.env
const EVENTS = Math.round(500_000 * Number(BENCH_SCALE))
const USERS = Math.round(4_000 * Number(BENCH_SCALE))
const PARTITIONS = 4
const REPETITIONS = 5
const ACKNOWLEDGED_USERS = Math.round(1_000 * Number(BENCH_SCALE))
const ACKNOWLEDGED_EVENTS = 150 * ACKNOWLEDGED_USERS
const ROUNDS = 5
/** 1 / 0.6: 60 % of the events that kafkajs can decode on a processor are left. */
const CPU_RATIO_MAX = 1.67

interface Filled {
  place: Place
  valueBytesMean: number
  /** What every reader must find. */
  windows: string
  times: number
}

/** Writes events, and reckons apart what they come to. */
async function filled(bootstrap: string, count: number, users: number): Promise<Filled> {
  const place = await createPlace(bootstrap, PARTITIONS)
  const writer = await EventWriter.open(place)
  const encoder = createRecordEncoder('avro-single-object')
  const decoder = decoderOf(place)
  const states = new Map<UserKey, UserState>()
  let bytes = 0
  let times = 0
  for (const record of worldEvents(count, users)) {
    bytes += await writer.add(record)
    const { key, value } = encoder.encode(record)
    const topic = `${place.prefix}.${record.event.modality}`
    const partition = partitionOf(key, PARTITIONS)
    const said = decoder.decode({ topic, partition, offset: 0, appendTimeMs: 0, key, value })
    if (said.kind !== 'event') throw new RangeError(`expected an event, got ${said.kind}`)
    const name = userKey(said.tenant, said.user)
    const state = states.get(name) ?? emptyState(said.tenant, said.user)
    states.set(name, state)
    applyEvent(state, said.event, CAPS)
    times = addTime(times, said.event.eventTimeMs)
  }
  await writer.close()
  return { place, valueBytesMean: Math.round(bytes / count), windows: windowsDigest(states.values()), times }
}

const CHILD = fileURLToPath(new URL('kafka-reading.ts', import.meta.url))

async function child<Result>(role: ReadingRole, options: ReadingOptions): Promise<Result> {
  // kafkajs waits negative times, and Node says so at every start.
  const execArgv = ['--disable-warning=TimeoutNegativeWarning']
  const process = fork(CHILD, [role, JSON.stringify(options)], { execArgv })
  const [result] = await Promise.race([
    once(process, 'message'),
    once(process, 'exit').then(([code]) => {
      throw new Error(`expected a result of ${role}, got exit code ${code}`)
    }),
  ])
  await once(process, 'exit')
  return result as Result
}

/** @returns CPU-ms per 1,000 events */
async function reading({ place, windows, times }: Filled, role: ReadingRole, kept: Kept): Promise<number> {
  const result = await child<ReadingResult>(role, { place, group: uniqueName(role), records: EVENTS })
  if (result.windows !== null && result.windows !== windows)
    throw new RangeError(`${role} came to other windows than those reckoned apart`)
  if (role !== 'ours' && result.times !== times) throw new RangeError(`${role} decoded other events`)
  kept[role] ??= []
  kept[role].push(result)
  return (result.cpuMs / EVENTS) * 1_000
}

type Kept = Partial<Record<ReadingRole, ReadingResult[]>>

const measuredUnder = conditions(['kafkajs', 'avsc'])
const { bootstrap } = await sharedBroker()
const all = await filled(bootstrap, EVENTS, USERS)
const runs: Kept = {}
const cpu = await interleaved(
  {
    bare: () => reading(all, 'bare', runs),
    ours: () => reading(all, 'ours', runs),
    bareWindows: () => reading(all, 'bareWindows', runs),
  },
  REPETITIONS,
)
const wall = (role: ReadingRole) => runs[role]!.slice(1).map(({ wallMs }) => (EVENTS / wallMs) * 1_000)
const rss = (role: ReadingRole) => runs[role]!.slice(1).map(({ rssMiB }) => rssMiB)

const acknowledged: Record<string, number[]> = { states1: [], states10: [], nothing1: [], nothing10: [] }
for (const kept of ['states', 'nothing', 'states'] as const) {
  const { place } = await filled(bootstrap, ACKNOWLEDGED_EVENTS, ACKNOWLEDGED_USERS)
  const options: AcknowledgingOptions = {
    place,
    group: uniqueName(kept),
    records: ACKNOWLEDGED_EVENTS,
    kept,
    users: ACKNOWLEDGED_USERS,
    eventsPerUser: [1, 10],
    rounds: ROUNDS * (kept === 'nothing' ? 2 : 1),
  }
  const samples = await child<AcknowledgingResult>('acknowledging', options)
  for (const each of [1, 10]) acknowledged[`${kept}${each}`]!.push(...samples[each]!)
}

const file = writeResult({
  bench: 'kafka',
  question:
    'What does an event from Kafka cost until it is decoded, in its window and marked dirty, against kafkajs that only decodes it; and what does acknowledging a user cost?',
  conditions: measuredUnder,
  settings: {
    events: EVENTS,
    users: USERS,
    partitions: PARTITIONS,
    topics: 5,
    valueBytesMean: all.valueBytesMean,
    format: 'avro-single-object',
    compression: 'none',
    acknowledgedUsers: ACKNOWLEDGED_USERS,
    windowEventsMean: ACKNOWLEDGED_EVENTS / ACKNOWLEDGED_USERS,
  },
  measurements: [
    measurement('kafkajs, eachBatch, decode', 'CPU-ms/1,000 events', cpu.bare),
    measurement('freshet: decode, windows, dirty marks', 'CPU-ms/1,000 events', cpu.ours),
    measurement('kafkajs, eachBatch, decode, windows', 'CPU-ms/1,000 events', cpu.bareWindows),
    measurement('acknowledging a user, 1 new event', 'CPU-ms/user', acknowledged.states1!),
    measurement('acknowledging a user, 10 new events', 'CPU-ms/user', acknowledged.states10!),
    measurement('the same, states kept nowhere, 1 new event', 'CPU-ms/user', acknowledged.nothing1!),
    measurement('the same, states kept nowhere, 10 new events', 'CPU-ms/user', acknowledged.nothing10!),
  ],
  others: [
    measurement('kafkajs, eachBatch, decode', 'events/s', wall('bare')),
    measurement('freshet: decode, windows, dirty marks', 'events/s', wall('ours')),
    measurement('kafkajs, eachBatch, decode, windows', 'events/s', wall('bareWindows')),
    measurement('resident memory, kafkajs, eachBatch, decode', 'MiB', rss('bare')),
    measurement('resident memory, freshet with windows', 'MiB', rss('ours')),
    measurement('resident memory, kafkajs with windows', 'MiB', rss('bareWindows')),
  ],
  ratios: [
    ratio('freshet with windows and marks / kafkajs that only decodes', cpu.ours, cpu.bare, {
      atMost: CPU_RATIO_MAX,
    }),
    ratio('freshet with windows and marks / kafkajs with windows', cpu.ours, cpu.bareWindows, null),
    ratio(
      'acknowledging with states kept / kept nowhere, 1 event',
      acknowledged.states1!,
      acknowledged.nothing1!,
      null,
    ),
  ],
})
process.stdout.write(`${file}\n`)
process.exit()
