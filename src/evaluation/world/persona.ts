/** Who lives in the synthetic world: what each user likes, when they are awake, and how they spend. */

import { TEXT_MODALITIES } from '../../events/behavior-event.ts'
import type { UserId } from '../../events/ids.ts'
import { SeededRandom } from '../../model/seeded-random.ts'
import { CONCEPTS, EVERYDAY_COUNT } from './concepts.ts'

export interface WorldUser {
  seed: number
  /** From 0; with the seed it names every draw of this user, whoever else there is. */
  index: number
  user: UserId
  name: string
  /** Mean number of sessions a day; a session is one to a few events about one concept. */
  sessionsPerDay: number
  /** Weight of each concept, in the order of CONCEPTS. */
  interests: readonly number[]
  /** Weight of each text modality as the first event of a session, in the order of TEXT_MODALITIES. */
  habits: readonly number[]
  /** Weight of each hour of the day, UTC. */
  hours: readonly number[]
  currency: string
  /** Amounts are the merchants' prices times this. */
  priceFactor: number
  /** Day of the month on which the salary comes, 1 to 28. */
  payDay: number
  /** Major units a month. */
  salary: number
}

/** The user whom `freshet start` follows. */
export const FOLLOWED_INDEX = 0

const NAMES = (
  'Ada Ben Chloe Dev Elif Femi Greta Hugo Ines Jun Kofi Lena Mateo Nour Olga Pavel Quinn Rosa Sven Tala ' +
  'Uma Viktor Wei Ximena Yusuf Zoe Amir Bruna Carlo Dina Emil Fatou Goran Hana Idris Jana Kenji Lucia Milan Nadia'
).split(' ')

/** Currency -> what a price in euros is multiplied by: only believable, no exchange rate. */
const CURRENCIES = { EUR: 1, GBP: 0.9, USD: 1.1, CNY: 7.5 }

/** Peaks of an ordinary day: hour and weight. */
const PEAKS = [
  [8, 0.8],
  [12.5, 1],
  [20, 1.3],
] as const
const NEVER_ASLEEP = 0.02

/**
 * Makes one user; users are the same however many of them are made.
 *
 * @param index integer >= 0; 0 is Ada
 */
export function worldUser(seed: number, index: number): WorldUser {
  const random = new SeededRandom(seed, index, 'persona')
  const name = NAMES[index % NAMES.length]!
  const currencies = Object.keys(CURRENCIES) as (keyof typeof CURRENCIES)[]
  const currency = currencies[random.weighted([6, 2, 2, 2])]!
  // Half of the users spend within 0.6 to 1.6 of the usual price.
  const wealth = Math.exp(0.7 * random.normal())
  const interests = CONCEPTS.map((_, i) => interest(random, i))
  // Night owls are up to seven hours late.
  const shift = random.uniform() < 0.15 ? 4 + 3 * random.uniform() : random.normal()
  return {
    seed,
    index,
    user: (index === FOLLOWED_INDEX ? 'ada' : `${name.toLowerCase()}-${index}`) as UserId,
    name,
    sessionsPerDay: Math.min(8, 1.7 * Math.exp(0.5 * random.normal())),
    interests,
    habits: TEXT_MODALITIES.map(() => 0.4 + random.exponential(1)),
    hours: Array.from({ length: 24 }, (_, hour) => hourWeight(hour, shift)),
    currency,
    priceFactor: CURRENCIES[currency] * wealth,
    payDay: random.integer(1, 28),
    salary: Math.round(2_100 * wealth * CURRENCIES[currency]),
  }
}

/** The first `count` users of a world. */
export function worldUsers(seed: number, count = 300): WorldUser[] {
  return Array.from({ length: count }, (_, index) => worldUser(seed, index))
}

/** Squares of exponential draws: a few strong interests, many faint ones. Life's own concepts are rare without cause. */
function interest(random: SeededRandom, concept: number): number {
  const strength = random.exponential(1) ** 2
  return concept < EVERYDAY_COUNT ? strength : 0.06 * strength
}

function hourWeight(hour: number, shift: number): number {
  let weight = NEVER_ASLEEP
  for (const [peak, height] of PEAKS) {
    const apart = Math.abs(((hour + 0.5 - peak - shift + 36) % 24) - 12)
    weight += height * Math.exp(-0.5 * (apart / 1.7) ** 2)
  }
  return weight
}
