/** Does a worker's memory stay flat while one user makes half of all traffic? Ten minutes, or `BENCH_MINUTES`. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventId } from '../src/events/ids.ts'
import type { WindowCaps } from '../src/window/user-state.ts'
import { sharedBroker } from '../test/kafka/shared-broker.ts'
import { conditions } from './conditions.ts'
import { type MemberMessage, startMember } from './kafka-member.ts'
import { createOwnTopics, createPlace, type EventRecord, EventWriter, worldEvents } from './kafka-place.ts'
import { measurement, writeResult } from './result.ts'

const { BENCH_MINUTES = '10' } = process.env
const PARTITIONS = 4
const USERS = 500
/** Small, so that all windows are full before anything is measured: what grows then has no reason to. */
const SLOTS: WindowCaps = { paybill: 25, miniprogram: 15, spm: 15, app: 10, search: 10 }
const FIRST_EVENTS = 200 * USERS
const EVENTS_PER_SECOND = 1_000
const TICK_MS = 100
/** Of the time: caches fill, code is compiled. */
const WARM_SHARE = 0.2
const MIB = 2 ** 20

type Sample = Extract<MemberMessage, { kind: 'memory' }>

/** Of the line with the least squared distance. @returns MiB a minute */
function slope(samples: readonly { atMs: number; bytes: number }[]): number {
  const mean = (of: (sample: { atMs: number; bytes: number }) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const atMs = mean((sample) => sample.atMs)
  const bytes = mean((sample) => sample.bytes)
  const covariance = mean((sample) => (sample.atMs - atMs) * (sample.bytes - bytes))
  const variance = mean((sample) => (sample.atMs - atMs) ** 2)
  return ((covariance / variance) * 60_000) / MIB
}

const measuredUnder = conditions(['kafkajs'])
const root = mkdtempSync(join(tmpdir(), 'freshet-bench-memory-'))
const { bootstrap } = await sharedBroker()
const place = await createPlace(bootstrap, PARTITIONS)
const group = 'memory'
const own = await createOwnTopics(place, group)
const samples: Sample[] = []
let acknowledged = 0
const member = startMember(
  {
    place,
    group,
    own,
    folder: root,
    vectors: { path: join(root, 'vectors.db') },
    bundle: null,
    kafka: {},
    slots: SLOTS,
    settings: {},
  },
  (message) => {
    if (message.kind === 'memory') samples.push(message)
    if (message.kind === 'upserted') acknowledged += message.users.length
  },
)
while (member.partitions.length < PARTITIONS) await sleep(100)

const models: readonly EventRecord[] = [...worldEvents(100 * USERS, USERS)]
const busy = models[0]!.user
const writer = await EventWriter.open(place)
let said = 0
async function say(isBusy: boolean): Promise<void> {
  const like = models[said % models.length]!
  const event = { ...like.event, eventId: `said-${said++}` as EventId, eventTimeMs: Date.now() }
  await writer.add({ ...like, user: isBusy ? busy : like.user, event } as EventRecord)
}

while (said < FIRST_EVENTS) await say(false)
await writer.flush()
const startMs = Date.now()
const endMs = startMs + Number(BENCH_MINUTES) * 60_000
while (Date.now() < endMs) {
  const wanted = FIRST_EVENTS + ((Date.now() - startMs) / 1_000) * EVENTS_PER_SECOND
  while (said < wanted) await say(said % 2 === 0)
  await writer.flush()
  await sleep(TICK_MS)
}
await writer.close()
await member.stop()
if (acknowledged === 0) throw new RangeError('expected users to be acknowledged, got none')
const warm = samples.filter(({ atMs }) => atMs >= startMs + WARM_SHARE * (endMs - startMs) && atMs <= endMs)
const rss = warm.map(({ atMs, rssBytes }) => ({ atMs, bytes: rssBytes }))
const heap = warm.map(({ atMs, heapBytes }) => ({ atMs, bytes: heapBytes }))
const inMiB = (each: readonly { bytes: number }[]) => each.map(({ bytes }) => bytes / MIB)
const file = writeResult({
  bench: 'kafka-memory',
  question: 'Does a worker’s memory stay flat while one user makes half of all traffic?',
  conditions: measuredUnder,
  settings: {
    minutes: Number(BENCH_MINUTES),
    events: said,
    eventsPerSecond: EVENTS_PER_SECOND,
    users: USERS,
    slots: Object.values(SLOTS).reduce((sum, slots) => sum + slots, 0),
    firstEvents: FIRST_EVENTS,
    usersAcknowledged: acknowledged,
    partitions: PARTITIONS,
    model: 'free of cost',
    warmShare: WARM_SHARE,
  },
  measurements: [
    measurement('growth of resident memory, least squares', 'MiB/minute', [slope(rss)]),
    measurement('growth of the heap in use, least squares', 'MiB/minute', [slope(heap)]),
    measurement('resident memory', 'MiB', inMiB(rss)),
  ],
  ratios: [],
})
rmSync(root, { recursive: true, force: true })
process.stdout.write(`${file}\n`)
process.exit()
