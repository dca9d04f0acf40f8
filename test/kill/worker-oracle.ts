/**
 * What must be stored, reckoned from the records that another client reads back from the log, without any of the code that
 * keeps workers' states; and what differs from it.
 */

import { RecordError } from '../../src/errors.ts'
import type { BehaviorEvent, TabularSnapshot, UserRecord } from '../../src/events/behavior-event.ts'
import { DEFAULT_TENANT, type UserId, userKey } from '../../src/events/ids.ts'
import type { RecordDecoder, SourceRecord } from '../../src/events/source-record.ts'
import type { GroupName, VectorName } from '../../src/instructions/instruction.ts'
import type { EmbeddingModel, UserInput } from '../../src/model/embedding-model.ts'
import type { RenderEvent } from '../../src/model/renderer.ts'
import { userInput } from '../../src/model/user-input.ts'
import { aliasName, collectionName, pointId } from '../../src/vectors/names.ts'
import type { VectorStore } from '../../src/vectors/vector-store.ts'

/** fp32 differs by rounding with the batch that a user was in. */
const COSINE_MIN = 1 - 1e-5

interface Told {
  events: BehaviorEvent[]
  features: { asOfMs: number; snapshot: TabularSnapshot | null } | null
  tombstoneMs: number
}

export interface Log {
  /** Every user whom the log names. */
  users: ReadonlyMap<UserId, Told>
  /** Places of the records that nobody can read. */
  rubbish: ReadonlySet<string>
}

export const placeOf = (topic: string, partition: number | string, offset: number | string) =>
  `${topic} ${partition} ${offset}`

/** @param records in the order of their partitions' offsets */
export function readLog(records: readonly SourceRecord[], decoder: RecordDecoder): Log {
  const users = new Map<UserId, Told>()
  const rubbish = new Set<string>()
  for (const record of records) {
    const said = saidBy(record, decoder)
    if (said === null) {
      rubbish.add(placeOf(record.topic, record.partition, record.offset))
      continue
    }
    let told = users.get(said.user)
    if (told === undefined) {
      told = { events: [], features: null, tombstoneMs: -1 }
      users.set(said.user, told)
    }
    tell(told, said)
  }
  return { users, rubbish }
}

function saidBy(record: SourceRecord, decoder: RecordDecoder): UserRecord | null {
  try {
    return decoder.decode(record)
  } catch (error) {
    if (error instanceof RecordError) return null
    throw error
  }
}

/** Of features the last record counts, of events that come twice one. */
function tell(told: Told, said: UserRecord): void {
  if (said.kind === 'tombstone') told.tombstoneMs = Math.max(told.tombstoneMs, said.atMs)
  if (said.kind === 'tabular') told.features = { asOfMs: said.asOfMs, snapshot: said.snapshot }
  if (said.kind === 'event' && told.events.every(({ eventId }) => eventId !== said.event.eventId))
    told.events.push(said.event)
}

/** @returns null for who has nothing left */
function inputOf(
  { events, features, tombstoneMs }: Told,
  model: EmbeddingModel,
  render: RenderEvent,
): UserInput | null {
  const search = events
    .filter(({ eventTimeMs }) => eventTimeMs > tombstoneMs)
    .toSorted(
      (a, b) =>
        a.eventTimeMs - b.eventTimeMs || Buffer.compare(Buffer.from(a.eventId), Buffer.from(b.eventId)),
    )
  const isVisible = features !== null && features.asOfMs > tombstoneMs
  const tabular = isVisible ? features.snapshot : null
  if (search.length === 0 && tabular === null) return null
  const none = { paybill: [], miniprogram: [], spm: [], app: [] }
  return userInput(model, render, { events: { ...none, search }, tabular })
}

export interface Wanted {
  log: Log
  /** By group: vector names and their texts. */
  groups: ReadonlyMap<string, ReadonlyMap<VectorName, string | null>>
  model: EmbeddingModel
  render: RenderEvent
}

export interface Verdict {
  /** Users of the log, and vectors that were compared. */
  users: number
  compared: number
  wrong: string[]
}

/** Compares every vector of every user, and what else there is: names, readers' names, aliases and the number of points. */
export async function judge(vectors: VectorStore, wanted: Wanted): Promise<Verdict> {
  const verdict: Verdict = { users: wanted.log.users.size, compared: 0, wrong: [] }
  for (const group of wanted.groups.keys()) await judgeGroup(vectors, wanted, group as GroupName, verdict)
  return verdict
}

async function judgeGroup(vectors: VectorStore, wanted: Wanted, group: GroupName, verdict: Verdict) {
  const { log, groups, model, render } = wanted
  const { wrong } = verdict
  const texts = groups.get(group)!
  const names = [...texts.keys()]
  const collection = collectionName(group, model.id)
  const inputs = new Map<UserId, UserInput>()
  for (const [user, told] of log.users) {
    const input = inputOf(told, model, render)
    if (input !== null) inputs.set(user, input)
  }
  const info = (await vectors.collections()).find(({ name }) => name === collection)
  if (info === undefined) {
    wrong.push(`${group}: there is no collection`)
    return
  }
  expectSame(wrong, `${group}: vector names`, info.vectorNames, names)
  const readers = [...info.readerNames].filter(([id]) => names.some((name) => name.startsWith(`${id}@`)))
  expectSame(
    wrong,
    `${group}: names that readers follow`,
    Array.from(readers, ([, name]) => name),
    names,
  )
  if (info.points !== inputs.size)
    wrong.push(`${group}: ${info.points} points with vectors, expected ${inputs.size}`)
  if ((await vectors.alias(aliasName(group))) !== collection) wrong.push(`${group}: the alias is elsewhere`)

  const users = [...log.users.keys()]
  const ids = users.map((user) => pointId(userKey(DEFAULT_TENANT, user)))
  const points = await vectors.get(collection, ids)
  const expected = await model.embedUsers([...inputs.values()], [...texts.values()])
  const rows = new Map([...inputs.keys()].map((user, i) => [user, expected[i]!]))
  for (const [i, user] of users.entries()) {
    const point = points.get(ids[i]!)?.point
    const stored = point?.kind === 'vectors' ? point.vectors : new Map<VectorName, Float32Array>()
    const row = rows.get(user)
    expectSame(wrong, `${group}: vectors of ${user}`, [...stored.keys()], row === undefined ? [] : names)
    for (const [j, name] of names.entries()) {
      const vector = stored.get(name)
      if (row === undefined || vector === undefined) continue
      verdict.compared++
      const cosine = cosineOf(vector, row[j]!)
      if (!(cosine >= COSINE_MIN)) wrong.push(`${group}: ${name} of ${user} has cosine ${cosine}`)
    }
  }
}

function expectSame(wrong: string[], what: string, found: readonly string[], expected: readonly string[]) {
  const [a, b] = [found.toSorted().join(' '), expected.toSorted().join(' ')]
  if (a !== b) wrong.push(`${what}: ${a || 'none'}, expected ${b || 'none'}`)
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let product = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return product / Math.sqrt(aa * bb)
}
