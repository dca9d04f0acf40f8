/** What every vector must be at rest: recomputed from the log alone, without any code of freshet's state. */

import { pointId } from '../../../src/vectors/names.ts'
import { type Ink, inputText, MODELS } from './worker.ts'
import { DAY_UNITS, keyOfUser, partitionOf, UNIT_MS, USERS, type World } from './world.ts'

interface Told {
  /** Event by name: the greatest version. */
  events: { modality: 'paybill' | 'search'; id: string; atUnits: number; text: string }[]
  tabular: { asOfMs: number; value: number } | null
  tombstoneMs: number
}

/** @returns what is wrong; null: nothing */
export async function whatIsWrong(
  world: World,
  ink: Ink,
  dayOfPartition: (partition: number) => number,
): Promise<string | null> {
  const { active } = world.models.at(-1)!
  for (const group of ['main', 'slow']) {
    const name = await world.sink.alias(`freshet_${group}`)
    if (name !== `freshet_${group}_${active}`) return `alias of ${group} is ${name}, active is ${active}`
  }
  const content = await world.sink.content()
  const texts = activeTexts(world)
  for (const user of USERS) {
    const told = readLog(world, user)
    const day = dayOfPartition(partitionOf(user))
    for (const [name, points] of content) {
      const [, group = '', model = ''] = name.split('_')
      const point = points.get(pointId(keyOfUser(user)))?.point
      const found = point?.kind === 'vectors' ? [...point.vectors] : []
      if (told.tombstoneMs >= 0 && told.events.length === 0 && told.tabular === null && found.length > 0)
        return `forgotten user ${user} has vectors in ${name}`
      if (model !== active) continue
      const input = inputOf(told, model, day)
      const wanted = [...(texts.get(group) ?? [])].map(
        ([id, text]) => [id, input === null ? '' : `${input} ? ${text}`] as const,
      )
      const got = new Map(found.map(([vector, value]) => [vector.split('@')[0]!, ink.read(value)]))
      const want = new Map(input === null ? [] : wanted)
      for (const id of new Set([...got.keys(), ...want.keys()]))
        if (got.get(id) !== want.get(id))
          return `${user} in ${name}, ${id}: want ${want.get(id) ?? 'nothing'}, got ${got.get(id) ?? 'nothing'}`
    }
  }
  return null
}

function activeTexts(world: World): Map<string, Map<string, string>> {
  const groups = new Map<string, Map<string, string>>([['main', new Map([['general', 'null']])]])
  for (const record of world.instructions) {
    if (record.kind !== 'instruction') continue
    const { id, group, text, status } = record.instruction
    if (!groups.has(group)) groups.set(group, new Map())
    if (status === 'retired') groups.get(group)!.delete(id)
    else groups.get(group)!.set(id, String(text))
  }
  return groups
}

function readLog(world: World, user: string): Told {
  const partition = partitionOf(user)
  const of = (topic: number) => world.logs[topic]![partition]!.filter(({ says }) => says.user === user)
  let tombstoneMs = -1
  for (const { says } of of(3)) if (says.kind === 'tombstone') tombstoneMs = Math.max(tombstoneMs, says.atMs)
  const byName = new Map<string, Told['events'][number]>()
  for (const { says, appendTimeMs } of [...of(0), ...of(1)]) {
    if (says.kind !== 'event' || says.event.eventTimeMs <= tombstoneMs) continue
    const { event } = says
    if (
      Math.floor(event.eventTimeMs / (DAY_UNITS * UNIT_MS)) <
      Math.floor(appendTimeMs / (DAY_UNITS * UNIT_MS)) - 3
    )
      continue
    const { modality } = event
    if (modality !== 'paybill' && modality !== 'search') continue
    const text =
      event.modality === 'paybill'
        ? event.fields.merchantName!
        : event.modality === 'search'
          ? event.fields.query
          : ''
    const told = { modality, id: event.eventId as string, atUnits: event.eventTimeMs / UNIT_MS, text }
    const known = byName.get(`${modality} ${told.id}`)
    if (known === undefined || told.atUnits > known.atUnits) byName.set(`${modality} ${told.id}`, told)
  }
  const events: Told['events'] = []
  for (const modality of ['paybill', 'search'] as const)
    events.push(
      ...[...byName.values()]
        .filter((event) => event.modality === modality)
        .sort((a, b) => b.atUnits - a.atUnits || (a.id < b.id ? 1 : -1))
        .slice(0, 2),
    )
  const last = of(2)
    .filter(({ gone }) => !gone)
    .at(-1)?.says
  const isVisible = last?.kind === 'tabular' && last.snapshot !== null && last.asOfMs > tombstoneMs
  const tabular = isVisible ? { asOfMs: last.asOfMs, value: last.snapshot!.numeric.f! } : null
  return { events, tabular, tombstoneMs }
}

function inputOf({ events, tabular }: Told, model: string, day: number): string | null {
  const { slots, horizonDays } = MODELS[model]!
  const read = events.filter(
    ({ modality, atUnits }) => slots[modality] > 0 && Math.floor(atUnits / DAY_UNITS) >= day - horizonDays,
  )
  if (read.length === 0 && tabular === null) return null
  const texts = { paybill: [] as string[], search: [] as string[] }
  for (const event of read) texts[event.modality].push(`${event.id}@${event.atUnits}${event.text}`)
  return inputText(model, { events: texts, tabular: tabular === null ? null : [tabular.value] })
}
