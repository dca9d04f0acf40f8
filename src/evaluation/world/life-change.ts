/** What turns a user's days over for a while: the regime switches that a fresh vector must follow. */

import { SeededRandom } from '../../model/seeded-random.ts'
import { DAY_MS } from './calendar.ts'
import { CONCEPTS, conceptIndex, EVERYDAY_COUNT } from './concepts.ts'
import type { WorldUser } from './persona.ts'

export type LifeChangeKind = 'trip' | 'new-baby' | 'job-loss' | 'new-hobby' | 'house-move' | 'fraud'

export interface LifeChange {
  kind: LifeChangeKind
  startMs: number
  endMs: number
  /** Concepts that are on the user's mind now: index into CONCEPTS -> added weight, of a sum of interests of one. */
  boosts: ReadonlyMap<number, number>
  /** Words fixed for its length: a trip has one city. */
  slots: Readonly<Record<string, string>>
}

/** Mean time between two changes of one user. */
const PERIOD_DAYS = 45
/** At most so many begin in one period: more would be no life. */
const CHANGES_MAX = 2

interface Kind {
  kind: LifeChangeKind
  weight: number
  days: readonly [number, number]
  boosts: Readonly<Record<string, number>>
}

const KINDS: readonly Kind[] = [
  { kind: 'trip', weight: 5, days: [4, 14], boosts: { travel: 3 } },
  { kind: 'new-hobby', weight: 4, days: [20, 90], boosts: {} },
  { kind: 'house-move', weight: 2, days: [10, 30], boosts: { home: 2.5 } },
  { kind: 'new-baby', weight: 1.5, days: [60, 170], boosts: { baby: 2 } },
  { kind: 'job-loss', weight: 1.5, days: [20, 80], boosts: { jobs: 2, borrowing: 1 } },
  { kind: 'fraud', weight: 0.5, days: [0.1, 0.4], boosts: {} },
]
const HOBBIES = ['climbing', 'gardening', 'investing', 'gaming', 'fitness', 'films']
/** Periods before a time in which a change may have begun that still lasts. */
const PERIODS_BACK = Math.ceil(Math.max(...KINDS.map(({ days }) => days[1])) / PERIOD_DAYS)

/** Every change of a user that touches [fromMs, untilMs), by its start. Any stretch of time can be asked for alone. */
export function lifeChanges(user: WorldUser, fromMs: number, untilMs: number): LifeChange[] {
  const first = Math.floor(fromMs / DAY_MS / PERIOD_DAYS) - PERIODS_BACK
  const last = Math.floor((untilMs - 1) / DAY_MS / PERIOD_DAYS)
  const changes: LifeChange[] = []
  for (let period = first; period <= last; period++) changes.push(...changesOf(user, period))
  return changes
    .filter(({ startMs, endMs }) => startMs < untilMs && endMs > fromMs)
    .sort((a, b) => a.startMs - b.startMs)
}

function changesOf(user: WorldUser, period: number): LifeChange[] {
  const random = new SeededRandom(user.seed, user.index, 'life', period)
  const count = Math.min(CHANGES_MAX, random.poisson(1))
  return Array.from({ length: count }, () => {
    const kind = KINDS[random.weighted(KINDS.map(({ weight }) => weight))]!
    const startMs = Math.floor((period + random.uniform()) * PERIOD_DAYS * DAY_MS)
    const [least, most] = kind.days
    const endMs = startMs + Math.floor((least + (most - least) * random.uniform()) * DAY_MS)
    return lifeChange(kind.kind, startMs, endMs, random)
  })
}

/** A change of one kind; what is left open by the kind (the city, the hobby) is drawn. */
export function lifeChange(
  kind: LifeChangeKind,
  startMs: number,
  endMs: number,
  random: SeededRandom,
): LifeChange {
  const known = KINDS.find((one) => one.kind === kind)!
  const named = kind === 'new-hobby' ? { [random.pick(HOBBIES)]: 2 } : known.boosts
  const boosts = new Map(Object.entries(named).map(([name, weight]) => [conceptIndex(name), weight]))
  const cities = CONCEPTS[conceptIndex('travel')]!.slots.city!
  return { kind, startMs, endMs, boosts, slots: kind === 'trip' ? { city: random.pick(cities) } : {} }
}

/** The weights of all concepts under the changes that are on. */
export function weightsUnder(user: WorldUser, changes: readonly LifeChange[]): number[] {
  const total = user.interests.reduce((sum, weight) => sum + weight, 0)
  const weights = user.interests.map((weight) => weight / total)
  for (const { kind, boosts } of changes) {
    // Without a salary, what can wait does.
    if (kind === 'job-loss')
      for (let i = 0; i < EVERYDAY_COUNT; i++) if (!ESSENTIAL.has(i)) weights[i]! *= 0.3
    for (const [concept, weight] of boosts) weights[concept]! += weight
  }
  return weights
}

const ESSENTIAL = new Set([conceptIndex('groceries'), conceptIndex('commuting')])
