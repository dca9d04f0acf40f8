/**
 * For how long is nobody of a partition acknowledged when its worker is stopped, killed, or has to share with one that joins:
 * with a local copy of the states, and without? Workers are processes; what they wrote they tell with the time.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { partitionOf } from '../src/drivers/kafka/partitioner.ts'
import { DEFAULT_TENANT, type EventId, type UserId } from '../src/events/ids.ts'
import { sharedBroker } from '../test/kafka/shared-broker.ts'
import { conditions } from './conditions.ts'
import { type Member, type MemberMessage, startMember } from './kafka-member.ts'
import { createOwnTopics, createPlace, EventWriter, worldEvents } from './kafka-place.ts'
import { measurement, writeResult } from './result.ts'

const { BENCH_SCALE = '1', BENCH_ROUNDS = '2' } = process.env
const PARTITIONS = 4
const USERS = Math.round(20_000 * Number(BENCH_SCALE))
const WINDOW_EVENTS = 25
const ROUNDS = Number(BENCH_ROUNDS)
/** The default: a worker that was killed is missed for so long. */
const SESSION_MS = 30_000
/** One event a partition so often. */
const EVERY_MS = 50
/** All is well again after so long without a gap. */
const STEADY_MS = 4_000
const STEADY_GAP_MS = 1_500
const STEP_MS_MAX = 180_000

const measuredUnder = conditions(['kafkajs'])
const root = mkdtempSync(join(tmpdir(), 'freshet-bench-pauses-'))
const { bootstrap } = await sharedBroker()
const place = await createPlace(bootstrap, PARTITIONS)
const group = 'pauses'
const own = await createOwnTopics(place, group)
const numbers = Array.from({ length: PARTITIONS }, (_, number) => number)

/** Users of each partition. */
const users: UserId[][] = numbers.map(() => [])
/** When somebody of each partition was acknowledged, milliseconds since the Unix epoch. */
const times: number[][] = numbers.map(() => [])
const members = new Map<string, Member>()
const partitionNumber = (user: string) => partitionOf(Buffer.from(user), PARTITIONS)

const say = (text: string) => process.stderr.write(`${new Date().toISOString()} ${text}\n`)

function start(name: string, { isFresh = false } = {}): void {
  const folder = join(root, name)
  if (isFresh) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const heard = (message: MemberMessage) => {
    if (message.kind === 'owner') say(`${name} is ${message.stage} of ${message.partitions.join(', ')}`)
    if (message.kind !== 'upserted') return
    for (const partition of new Set(message.users.map(partitionNumber))) times[partition]!.push(message.atMs)
  }
  const member = startMember(
    {
      place,
      group,
      own,
      folder,
      vectors: { path: join(root, 'vectors.db') },
      bundle: null,
      kafka: { sessionTimeoutMs: SESSION_MS },
      settings: { minEvents: 1, quietMs: 0, sessionTimeoutMs: SESSION_MS },
    },
    heard,
  )
  members.set(name, member)
}

async function end(name: string, how: 'stop' | 'kill'): Promise<void> {
  const member = members.get(name)!
  members.delete(name)
  await member[how]()
}

function ownerOf(partition: number): string | null {
  for (const [name, { partitions }] of members) if (partitions.includes(partition)) return name
  return null
}

function gap(partition: number, fromMs: number, toMs: number): number {
  const within = times[partition]!.filter((atMs) => atMs >= fromMs && atMs <= toMs).sort((a, b) => a - b)
  let longest = 0
  let lastMs = fromMs
  for (const atMs of [...within, toMs]) {
    longest = Math.max(longest, atMs - lastMs)
    lastMs = atMs
  }
  return longest
}

async function steady(what: string, memberCount: number): Promise<void> {
  const startMs = Date.now()
  for (;;) {
    await sleep(100)
    const nowMs = Date.now()
    const gaps = numbers.map((partition) => gap(partition, nowMs - STEADY_MS, nowMs))
    if (nowMs - startMs > STEP_MS_MAX) {
      const owners = numbers.map(ownerOf).join(', ')
      throw new RangeError(
        `expected no pause any more (${what}), got ${gaps.join(', ')} ms, owned by ${owners}`,
      )
    }
    if (members.size !== memberCount || nowMs - startMs < STEADY_MS) continue
    const owning = [...members.values()].filter(({ partitions }) => partitions.length > 0).length
    if (owning !== memberCount || numbers.some((partition) => ownerOf(partition) === null)) continue
    if (gaps.every((ms) => ms < STEADY_GAP_MS)) return
  }
}

const moved = new Map<string, number[]>()
const stayed = new Map<string, number[]>()
const put = (map: Map<string, number[]>, what: string, ms: number) =>
  map.set(what, [...(map.get(what) ?? []), ms / 1_000])

/** Does something to the group, and takes the longest pause of those partitions that moved and of those that stayed. */
async function step(kind: string, copy: string, memberCount: number, act: () => unknown): Promise<void> {
  await steady(`before: ${kind}`, members.size)
  const owners = numbers.map(ownerOf)
  const fromMs = Date.now()
  say(kind)
  await act()
  await steady(kind, memberCount)
  const toMs = Date.now()
  const [gone, kept]: number[][] = [[], []]
  for (const partition of numbers)
    (ownerOf(partition) === owners[partition] ? kept! : gone!).push(gap(partition, fromMs, toMs))
  if (gone!.length === 0) throw new RangeError(`expected partitions to move: ${kind}`)
  put(moved, `${kind}, ${copy}`, Math.max(...gone!))
  if (kept!.length > 0) put(stayed, kind, Math.max(...kept!))
  say(`${kind}, ${copy}: moved ${gone!.join(', ')} ms, stayed ${kept!.join(', ')} ms`)
}

const writer = await EventWriter.open(place)
let bytes = 0
const known = new Set<UserId>()
for (const record of worldEvents(USERS * WINDOW_EVENTS, USERS)) {
  if (!known.has(record.user)) users[partitionNumber(record.user)]!.push(record.user)
  known.add(record.user)
  bytes += await writer.add(record)
}
await writer.flush()

let said = 0
let isSpeaking = true
async function speak(): Promise<void> {
  while (isSpeaking) {
    for (const partition of numbers) {
      const n = said++
      const ours = users[partition]!
      const event = {
        modality: 'search' as const,
        source: 'bench',
        eventId: `said-${n}` as EventId,
        eventTimeMs: Date.now(),
        fields: { query: `hotel number ${n} near the station` },
      }
      // Coprime to most counts: hardly anybody twice in a while.
      const user = ours[(n * 7_919) % ours.length]!
      await writer.add({ tenant: DEFAULT_TENANT, user, kind: 'event', event })
    }
    await writer.flush()
    await sleep(EVERY_MS)
  }
}

start('a', { isFresh: true })
while (times.flat().length === 0) await sleep(100)
// Everybody is embedded and in the changelog once, before anything is measured.
for (let last = -1, ms = 0; ms < STEADY_MS; ms += 100) {
  await sleep(100)
  const count = times.flat().length
  if (count !== last) ms = 0
  last = count
}
const speaking = speak()
const [WITHOUT, WITH] = ['without a local copy', 'with a local copy']
for (let round = 0; round < ROUNDS; round++) {
  await step('a worker joins', WITHOUT, 2, () => start('b', { isFresh: true }))
  await step('a worker stops', WITHOUT, 1, () => end('a', 'stop'))
  await step('a worker joins', WITH, 2, () => start('a'))
  await step('a worker is killed', WITH, 1, () => end('a', 'kill'))
  await step('a worker joins', WITHOUT, 2, () => start('a', { isFresh: true }))
  await step('a worker is killed', WITHOUT, 1, () => end('b', 'kill'))
  await step('a worker joins', WITH, 2, () => start('b'))
  await step('a worker stops', WITH, 1, () => end('b', 'stop'))
}
isSpeaking = false
await speaking
await writer.close()
const file = writeResult({
  bench: 'kafka-pauses',
  question: 'For how long is nobody of a partition acknowledged when workers stop, die and join?',
  conditions: measuredUnder,
  settings: {
    users: known.size,
    windowEventsMean: WINDOW_EVENTS,
    valueBytesMean: Math.round(bytes / (USERS * WINDOW_EVENTS)),
    partitions: PARTITIONS,
    partitionsMoved: PARTITIONS / 2,
    sessionTimeoutMs: SESSION_MS,
    eventEveryMs: EVERY_MS,
    model: 'free of cost',
  },
  measurements: [
    ...[...moved].sort().map(([what, samples]) => measurement(`${what}: partitions that move`, 's', samples)),
    ...[...stayed]
      .sort()
      .map(([what, samples]) => measurement(`${what}: partitions that stay`, 's', samples)),
  ],
  ratios: [],
})
for (const name of [...members.keys()]) await end(name, 'stop')
rmSync(root, { recursive: true, force: true })
process.stdout.write(`${file}\n`)
process.exit()
