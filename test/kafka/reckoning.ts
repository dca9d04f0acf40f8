/** What every vector has to be, from the records of a log alone: read back by kafkajs, put in order by hand. */

import { RecordError } from '../../src/errors.ts'
import type { UserRecord } from '../../src/events/behavior-event.ts'
import type { RecordDecoder, SourceRecord } from '../../src/events/source-record.ts'
import type { VectorName } from '../../src/instructions/instruction.ts'
import { textModel } from '../pipeline/text-model.ts'

/** User, group and vector name. */
export type VectorKey = `${string} ${string} ${string}`

export const vectorKey = (user: string, group: string, name: string): VectorKey => `${user} ${group} ${name}`

export interface Question {
  group: string
  name: VectorName
  text: string | null
}

/** As the pipeline's settings have it by default. */
const FUTURE_MS_MAX = 300_000
const SLOTS = 4

interface Told {
  events: { id: string; atMs: number; query: string }[]
  features: { asOfMs: number; value: number | null }
  tombstoneMs: number
}

/** @returns every user of the log, and the vectors that each must have; none for who has nothing left */
export async function reckon(
  records: readonly SourceRecord[],
  decoder: RecordDecoder,
  questions: readonly Question[],
): Promise<{ users: Set<string>; vectors: Map<VectorKey, string> }> {
  const byUser = new Map<string, Told>()
  for (const record of records) {
    const said = whatItSays(decoder, record)
    if (said === null) continue
    let told = byUser.get(said.user)
    if (told === undefined) {
      told = { events: [], features: { asOfMs: 0, value: null }, tombstoneMs: -1 }
      byUser.set(said.user, told)
    }
    tell(told, said)
  }
  const vectors = new Map<VectorKey, string>()
  for (const [user, told] of byUser) {
    const input = inputOf(told)
    if (input === null) continue
    for (const { group, name, text } of questions) {
      const [[vector] = []] = await textModel.embedUsers([input], [text])
      vectors.set(vectorKey(user, group, name), String([...vector!]))
    }
  }
  return { users: new Set(byUser.keys()), vectors }
}

function whatItSays(decoder: RecordDecoder, record: SourceRecord): UserRecord | null {
  try {
    const said = decoder.decode(record)
    const timeMs = said.kind === 'event' ? said.event.eventTimeMs : said.kind === 'tabular' ? said.asOfMs : 0
    return timeMs > record.appendTimeMs + FUTURE_MS_MAX ? null : said
  } catch (error) {
    if (error instanceof RecordError) return null
    throw error
  }
}

/** Records of one user lie in one partition, in the order of their offsets: of features the last one counts. */
function tell(told: Told, said: UserRecord): void {
  if (said.kind === 'tombstone') told.tombstoneMs = Math.max(told.tombstoneMs, said.atMs)
  if (said.kind === 'tabular')
    told.features = { asOfMs: said.asOfMs, value: said.snapshot?.numeric.f ?? null }
  if (said.kind !== 'event' || said.event.modality !== 'search') return
  const { eventId, eventTimeMs: atMs, fields } = said.event
  if (told.events.every(({ id }) => id !== eventId))
    told.events.push({ id: eventId, atMs, query: fields.query })
}

function inputOf({ events, features, tombstoneMs }: Told) {
  const left = events
    .filter(({ atMs }) => atMs > tombstoneMs)
    .toSorted((a, b) => a.atMs - b.atMs || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)))
    .slice(-SLOTS)
  const value = features.asOfMs > tombstoneMs ? features.value : null
  if (left.length === 0 && value === null) return null
  return { events: { search: left.map(({ query }) => query) }, tabular: value === null ? null : [value] }
}
