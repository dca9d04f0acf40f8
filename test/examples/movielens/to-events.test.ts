/** Ratings as events: each exactly once, in time order, everything else derived from what went before and flagged. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Movie, Rating } from '../../../examples/movielens/rating.ts'
import {
  decadeWords,
  type OutgoingRecord,
  searchWords,
  toEvents,
} from '../../../examples/movielens/to-events.ts'

function movie(movieId: number, title: string, genres: readonly string[], year: number | null = 1999): Movie {
  return { movieId, title, year, genres }
}

/** User 1 rates 45 films, one an hour; user 2 rates two in the same second, the later row first in time. */
function sample(): Rating[] {
  const ratings: Rating[] = []
  for (let i = 0; i < 45; i++) {
    const genres = i % 3 === 0 ? ['Drama', 'Sci-Fi'] : ['Comedy']
    ratings.push({
      userId: 1,
      movie: movie(i, `Story of ${i}`, genres),
      stars: 1 + (i % 5),
      timeS: 3_600 * i,
    })
  }
  ratings.push({ userId: 2, movie: movie(900, '', []), stars: 1, timeS: 7_200 })
  ratings.push({ userId: 2, movie: movie(901, 'Late Row', ['War'], null), stars: 4.5, timeS: 7_200 })
  ratings.push({ userId: 2, movie: movie(902, 'Early', ['War']), stars: 4, timeS: 10 })
  return ratings
}

function eventIds(records: readonly OutgoingRecord[]): string[] {
  return records.flatMap(({ record }) => (record.kind === 'event' ? [record.event.eventId] : []))
}

function timeMs({ record }: OutgoingRecord): number {
  if (record.kind === 'event') return record.event.eventTimeMs
  assert.equal(record.kind, 'tabular')
  return record.kind === 'tabular' ? record.asOfMs : Number.NaN
}

test('each rating is one primary event, by time and then by row, and only ratings are left when asked', () => {
  const ratings = sample()
  const only = [...toEvents(ratings, { onlyRatings: true })]
  const expected = ratings.toSorted((a, b) => a.timeS - b.timeS)
  assert.deepEqual(
    eventIds(only),
    expected.map((rating) => `rating-${rating.userId}-${rating.movie.movieId}`),
  )
  const all = [...toEvents(ratings)]
  assert.deepEqual(
    all.filter((one) => !one.isSynthetic),
    only,
  )
  assert.ok(all.every((one) => one.isSynthetic === (one.attributes.derived !== undefined)))
  assert.equal(new Set(eventIds(all)).size, eventIds(all).length)
  const times = all.map(timeMs)
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
})

test('a rating says title, stars and genres; a film without title or year still says what it can', () => {
  const [, , , named] = [...toEvents(sample(), { onlyRatings: true })]
  assert.deepEqual(named?.record.kind === 'event' && named.record.event, {
    modality: 'miniprogram',
    source: 'urn:movielens',
    eventId: 'rating-1-2',
    eventTimeMs: 7_200_000,
    fields: {
      programId: 'movielens',
      programName: 'MovieLens',
      category: 'Comedy',
      serviceName: 'Story of 2 (1999), 3 stars',
      page: 'movie/2',
      action: 'SUBMIT',
    },
  })
  const nameless = [...toEvents(sample())].filter(
    ({ record }) => record.user === '2' && record.kind === 'event',
  )
  const fields = nameless.map(({ record }) => record.kind === 'event' && record.event.fields)
  assert.partialDeepStrictEqual(fields[2], { serviceName: 'film 900 (1999), 1 star', category: null })
  assert.partialDeepStrictEqual(fields[3], {
    pageTitle: 'no genre',
    spmC: 'nineteen nineties',
    spmD: 'film 900',
  })
  assert.partialDeepStrictEqual(fields[5], { pageTitle: 'War', spmC: 'no year', spmD: 'Late Row' })
})

test('a search names a film that the user has rated already, the best of the last five', () => {
  const searches = [...toEvents(sample())].flatMap(({ record }) =>
    record.kind === 'event' && record.event.modality === 'search' ? [record.event] : [],
  )
  assert.equal(searches.length, 9)
  // Stars rise from 1 to 5 within each five ratings, so the fifth film is the favourite.
  assert.deepEqual(
    searches.slice(0, 2).map((event) => [event.eventId, event.fields.query]),
    [
      ['search-1-4', 'story 4'],
      ['search-1-9', 'story 9'],
    ],
  )
})

test('usage and features come after each twentieth rating and count nothing that comes later', () => {
  const records = [...toEvents(sample())]
  const apps = records.flatMap(({ record }) =>
    record.kind === 'event' && record.event.modality === 'app' ? [record.event] : [],
  )
  assert.deepEqual(
    apps.map((event) => [event.eventId, event.fields.appName, event.fields.category]),
    [
      ['app-1-19-comedy', 'Comedy channel', '13 films'],
      ['app-1-19-drama', 'Drama channel', '7 films'],
      ['app-1-19-sci_fi', 'Sci-Fi channel', '7 films'],
      ['app-1-39-comedy', 'Comedy channel', '13 films'],
      ['app-1-39-drama', 'Drama channel', '7 films'],
      ['app-1-39-sci_fi', 'Sci-Fi channel', '7 films'],
    ],
  )
  const snapshots = records.flatMap(({ record }) =>
    record.kind === 'tabular' ? [record.snapshot!.numeric] : [],
  )
  assert.equal(snapshots.length, 2)
  // Twenty ratings, 1 to 5 stars four times each: mean 3, variance 2; hours 0 to 19.
  assert.deepEqual(snapshots[0], {
    ratings_total: 20,
    stars_mean: 3,
    stars_variance: 2,
    miniprogram_1d: 20,
    miniprogram_7d: 20,
    miniprogram_30d: 20,
    active_days_30d: 1,
    night_share_30d: 0.3,
    weekend_share_30d: 0,
    genre_share_drama: 0.35,
    genre_share_sci_fi: 0.35,
    genre_share_comedy: 0.65,
    hour_share_night: 0.3,
    hour_share_morning: 0.3,
    hour_share_afternoon: 0.3,
    hour_share_evening: 0.1,
  })
  // Hours 0 to 39: a day back from hour 39 are the hours after 15.
  assert.partialDeepStrictEqual(snapshots[1], { ratings_total: 40, miniprogram_1d: 24, miniprogram_7d: 40 })
})

test('a prefix of the ratings gives a prefix of the events: nothing looks ahead', () => {
  const byTime = sample().toSorted((a, b) => a.timeS - b.timeS)
  const whole = [...toEvents(byTime)]
  for (const count of [1, 20, 21, 44]) {
    const prefix = [...toEvents(byTime.slice(0, count))]
    assert.deepEqual(prefix, whole.slice(0, prefix.length))
  }
})

test('decades are words, and searches leave articles and what is in brackets out', () => {
  assert.deepEqual([1898, 1902, 1919, 1999, 2000, 2016, null].map(decadeWords), [
    'eighteen nineties',
    'nineteen hundreds',
    'nineteen tens',
    'nineteen nineties',
    'twenty hundreds',
    'twenty tens',
    'no year',
  ])
  assert.equal(searchWords(movie(1, 'Matrix, The', [])), 'matrix')
  assert.equal(searchWords(movie(1, 'Amélie (Fabuleux destin, Le)', [])), 'amélie')
  assert.equal(searchWords(movie(1, 'The', [])), '')
})
