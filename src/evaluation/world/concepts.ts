/** All concepts of the synthetic world, in the order in which interests are weighed. */

import { BugError } from '../../errors.ts'
import type { SeededRandom } from '../../model/seeded-random.ts'
import type { Concept } from './concept.ts'
import { EVERYDAY_CONCEPTS } from './everyday-concepts.ts'
import { LIFE_CONCEPTS } from './life-concepts.ts'

export const CONCEPTS: readonly Concept[] = [...EVERYDAY_CONCEPTS, ...LIFE_CONCEPTS]
/** The first so many fill ordinary days; the rest come with a change in life. */
export const EVERYDAY_COUNT = EVERYDAY_CONCEPTS.length

const INDEX = new Map(CONCEPTS.map((concept, index) => [concept.name, index]))

/** @throws {BugError} `world-concept-unknown` */
export function conceptIndex(name: string): number {
  const index = INDEX.get(name)
  if (index === undefined) {
    throw new BugError(
      'world-concept-unknown',
      `expected one of ${[...INDEX.keys()].join(', ')}, got ${name}`,
    )
  }
  return index
}

/** Replaces each `{slot}` by one of its words, or by the word fixed for it. */
export function fillSlots(
  text: string,
  concept: Concept,
  random: SeededRandom,
  fixed: Readonly<Record<string, string>> = {},
): string {
  return text.replaceAll(
    /\{(\w+)\}/g,
    (_, slot: string) => fixed[slot] ?? random.pick(concept.slots[slot] ?? [slot]),
  )
}
