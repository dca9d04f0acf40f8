/** The followed user's life while somebody watches: one change after another, quick enough to see a vector move. */

import { type BehaviorEvent, TEXT_MODALITIES, type TextModality } from '../../events/behavior-event.ts'
import { SeededRandom } from '../../model/seeded-random.ts'
import { CONCEPTS } from './concepts.ts'
import { type LifeChange, type LifeChangeKind, lifeChange, weightsUnder } from './life-change.ts'
import { conceptFields, makeEvent, purchase } from './make-event.ts'
import type { WorldUser } from './persona.ts'
import { momentOf } from './user-day.ts'

/** Each chapter lasts so many events: half a minute at the usual speed. */
export const CHAPTER_EVENTS = 30
const CHAPTERS: readonly LifeChangeKind[] = ['trip', 'new-hobby', 'house-move', 'job-loss', 'new-baby']
/** A purchase opens the chapter; then looking and using take turns. */
const ORDER: readonly TextModality[] = [
  'paybill',
  'search',
  'spm',
  'search',
  'miniprogram',
  'paybill',
  'app',
  'spm',
]
/** Share of the events that are about the chapter; the rest is ordinary life. */
const ON_TOPIC = 0.85

export interface StoryStep {
  event: BehaviorEvent
  /** What goes on in the user's life now, for the one who watches. */
  chapter: LifeChangeKind
}

/**
 * The `n`th event of a story that began at `fromMs`; any step can be made alone.
 *
 * @param n from 0
 * @param gapMs mean time between two steps
 */
export function storyStep(user: WorldUser, fromMs: number, gapMs: number, n: number): StoryStep {
  const chapterNumber = Math.floor(n / CHAPTER_EVENTS)
  const chapter = CHAPTERS[chapterNumber % CHAPTERS.length]!
  const startMs = fromMs + chapterNumber * CHAPTER_EVENTS * gapMs
  // Named by the chapter, so that the city stays the same for all of it.
  const change = lifeChange(
    chapter,
    startMs,
    startMs + CHAPTER_EVENTS * gapMs,
    new SeededRandom(user.seed, user.index, 'chapter', chapterNumber),
  )
  const random = new SeededRandom(user.seed, user.index, 'story', n)
  const timeMs = Math.floor(fromMs + (n + random.uniform()) * gapMs)
  const step = n % CHAPTER_EVENTS
  const modality = step < ORDER.length ? ORDER[step]! : random.pick(TEXT_MODALITIES)
  const onTopic = step < ORDER.length || random.uniform() < ON_TOPIC
  const fields = stepFields(user, onTopic ? [change] : [], modality, step === 0, random)
  return { event: makeEvent(modality, `${user.user}-story-${n}`, timeMs, fields), chapter }
}

function stepFields(
  user: WorldUser,
  changes: readonly LifeChange[],
  modality: TextModality,
  opens: boolean,
  random: SeededRandom,
): BehaviorEvent['fields'] {
  const moment = momentOf(user, changes, random)
  const [change] = changes
  const weights = change ? CONCEPTS.map((_, i) => change.boosts.get(i) ?? 0) : weightsUnder(user, [])
  const concept = CONCEPTS[random.weighted(weights)]!
  // The first thing one buys says what the chapter is about: a train ticket, a beginners' course.
  const merchant = concept.merchants[0]!
  if (opens) return { ...purchase(concept, merchant, merchant.items[0]!, moment), status: 'SETTLED' }
  return conceptFields(modality, concept, moment)
}
