/** Turns ratings into freshet's events in time order: each rating is one primary event, all else is derived and says so. */

import type { BehaviorEvent, FieldsOf, TextModality, UserRecord } from '../../src/events/behavior-event.ts'
import { DEFAULT_TENANT, type EventId, type UserId } from '../../src/events/ids.ts'
import type { Movie, Rating } from './rating.ts'
import { featureWord, Viewer } from './viewer.ts'

/** One record and what its header says beside it. */
export interface OutgoingRecord {
  record: UserRecord
  /** True for what was derived from the ratings rather than observed. */
  isSynthetic: boolean
  /** Extensions of the header; `derived` names the rule. */
  attributes: Readonly<Record<string, string>>
}

const SOURCE = 'urn:movielens'
const FEATURE_SET = 'movielens-derived@1'
/** A search is derived from every so many ratings of a user. */
const SEARCH_EVERY_RATINGS = 5
const SEARCH_WORDS_MAX = 4
const CHANNELS_MAX = 3
const CENTURIES: Readonly<Record<number, string>> = { 18: 'eighteen', 19: 'nineteen', 20: 'twenty' }
/** Words that nobody searches for alone. */
const STOP_WORDS = new Set([
  'a',
  'an',
  'and',
  'at',
  'by',
  'for',
  'in',
  'of',
  'on',
  'or',
  'the',
  'to',
  'vs',
  'aka',
])

/**
 * Yields every rating once, as the event `rating-<user>-<movie>`, by time and then by row order; right after it, unless
 * `onlyRatings`, what is derived from it and from earlier ratings of the same user.
 */
export function* toEvents(
  ratings: readonly Rating[],
  { onlyRatings = false }: { onlyRatings?: boolean } = {},
): Generator<OutgoingRecord> {
  // The sort is stable: ratings of one second keep their row order.
  const byTime = ratings.toSorted((a, b) => a.timeS - b.timeS)
  const viewers = new Map<number, Viewer>()
  for (const rating of byTime) {
    yield ratingEvent(rating)
    if (onlyRatings) continue
    const viewer = viewers.get(rating.userId) ?? new Viewer()
    viewers.set(rating.userId, viewer)
    viewer.add(rating)
    yield* derivedEvents(rating, viewer)
  }
}

function* derivedEvents(rating: Rating, viewer: Viewer): Generator<OutgoingRecord> {
  yield visit(rating)
  if (viewer.count % SEARCH_EVERY_RATINGS === 0) {
    const favourite = viewer.takeFavourite()
    const query = favourite ? searchWords(favourite.movie) : ''
    if (query !== '') yield derived('search', rating, 'title-words-of-a-rated-film', { query })
  }
  if (!viewer.blockEnds) return
  for (const { genre, ratings } of viewer.topGenres(CHANNELS_MAX)) {
    const fields = {
      appId: `channel-${featureWord(genre)}`,
      appName: `${genre} channel`,
      category: `${ratings} films`,
      lifecycle: 'FOREGROUND',
    } as const
    yield derived('app', rating, 'genres-of-twenty-ratings', fields, featureWord(genre))
  }
  yield {
    record: {
      tenant: DEFAULT_TENANT,
      user: userId(rating),
      kind: 'tabular',
      asOfMs: rating.timeS * 1_000,
      snapshot: { featureSet: FEATURE_SET, numeric: viewer.features(), categorical: {} },
    },
    isSynthetic: true,
    attributes: { derived: 'counts-up-to-now' },
  }
}

function ratingEvent(rating: Rating): OutgoingRecord {
  const { movie, stars } = rating
  const fields: FieldsOf['miniprogram'] = {
    programId: 'movielens',
    programName: 'MovieLens',
    category: movie.genres.length > 0 ? movie.genres.join(', ') : null,
    serviceName: `${titleOf(movie)}${movie.year === null ? '' : ` (${movie.year})`}, ${starWords(stars)}`,
    page: `movie/${movie.movieId}`,
    action: 'SUBMIT',
  }
  return {
    record: record(eventOf('miniprogram', rating, eventId('rating', rating), fields), rating),
    isSynthetic: false,
    attributes: {},
  }
}

function visit(rating: Rating): OutgoingRecord {
  const { movie } = rating
  const genre = movie.genres[0] ?? 'no genre'
  return derived('spm', rating, 'page-of-a-rated-film', {
    spmA: 'movielens',
    spmB: featureWord(genre),
    spmC: decadeWords(movie.year),
    spmD: titleOf(movie),
    pageTitle: genre,
    kind: 'PAGE_VIEW',
  })
}

function derived<M extends TextModality>(
  modality: M,
  rating: Rating,
  rule: string,
  fields: FieldsOf[M],
  suffix = '',
): OutgoingRecord {
  const id = eventId(modality, rating, suffix)
  return {
    record: record(eventOf(modality, rating, id, fields), rating),
    isSynthetic: true,
    attributes: { derived: rule },
  }
}

function record(event: BehaviorEvent, rating: Rating): UserRecord {
  return { tenant: DEFAULT_TENANT, user: userId(rating), kind: 'event', event }
}

function eventOf<M extends TextModality>(
  modality: M,
  rating: Rating,
  id: EventId,
  fields: FieldsOf[M],
): BehaviorEvent {
  // TypeScript can't see that the modality and its fields belong together; the signature above says so.
  return { modality, source: SOURCE, eventId: id, eventTimeMs: rating.timeS * 1_000, fields } as BehaviorEvent
}

/** A user rates a film once, so user and film name the rating in every set and every run. */
function eventId(kind: string, rating: Rating, suffix = ''): EventId {
  return `${kind}-${rating.userId}-${rating.movie.movieId}${suffix === '' ? '' : `-${suffix}`}` as EventId
}

function userId(rating: Rating): UserId {
  return String(rating.userId) as UserId
}

/** A few rows of the set have no title. */
function titleOf(movie: Movie): string {
  return movie.title === '' ? `film ${movie.movieId}` : movie.title
}

function starWords(stars: number): string {
  return stars === 1 ? '1 star' : `${stars} stars`
}

/** In words, because digits in the places of a page are taken for ids and masked. */
export function decadeWords(year: number | null): string {
  if (year === null) return 'no year'
  const century = CENTURIES[Math.floor(year / 100)] ?? 'some'
  const decades = ['hundreds', 'tens', 'twenties', 'thirties', 'forties', 'fifties', 'sixties', 'seventies']
  return `${century} ${[...decades, 'eighties', 'nineties'][Math.floor((year % 100) / 10)]}`
}

/** The first words of a title that carry meaning: `Matrix, The` -> `matrix`. */
export function searchWords(movie: Movie): string {
  const words = movie.title
    .replaceAll(/\([^)]*\)/g, ' ')
    .toLowerCase()
    .split(/[^\p{L}\p{N}']+/u)
    .filter((word) => word !== '' && !STOP_WORDS.has(word))
  return words.slice(0, SEARCH_WORDS_MAX).join(' ')
}
