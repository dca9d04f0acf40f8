/** Reading GroupLens's CSV form from a hand-made sample. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { readCsvRatings } from '../../../examples/movielens/csv.ts'
import type { Rating } from '../../../examples/movielens/rating.ts'

const MOVIES = `movieId,title,genres
31,"Cup, The (1950)",Musical|Romance
7,"Kettles (1975-1979)",(no genres listed)
8,No Year Here,Drama
`
const RATINGS = `userId,movieId,rating,timestamp
1,31,2.5,1260759144
1,7,4.0,1260759179
2,8,0.5,5
`

function read(movies: string, ratings: string): Rating[] {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-csv-'))
  try {
    writeFileSync(path.join(directory, 'movies.csv'), movies)
    writeFileSync(path.join(directory, 'ratings.csv'), ratings)
    return readCsvRatings(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

test('ratings are joined with their films, the year taken out of the title', () => {
  assert.deepEqual(read(MOVIES, RATINGS), [
    {
      userId: 1,
      movie: { movieId: 31, title: 'Cup, The', year: 1950, genres: ['Musical', 'Romance'] },
      stars: 2.5,
      timeS: 1_260_759_144,
    },
    {
      userId: 1,
      movie: { movieId: 7, title: 'Kettles', year: 1975, genres: [] },
      stars: 4,
      timeS: 1_260_759_179,
    },
    {
      userId: 2,
      movie: { movieId: 8, title: 'No Year Here', year: null, genres: ['Drama'] },
      stars: 0.5,
      timeS: 5,
    },
  ])
})

test('a byte order mark, CRLF and other column orders are read alike', () => {
  const turned = '\ufefftimestamp,rating,movieId,userId\r\n1260759144,2.5,31,1\r\n'
  assert.deepEqual(read(MOVIES.replaceAll('\n', '\r\n'), turned), read(MOVIES, RATINGS).slice(0, 1))
})

test('what is wrong is named with its file and line', () => {
  assert.throws(
    () => read(MOVIES, `${RATINGS}3,99,1.0,6\n`),
    /ratings\.csv:5: expected a movie of movies\.csv, got 99/,
  )
  assert.throws(() => read(MOVIES, `${RATINGS}3,8,many,6\n`), /ratings\.csv:5: expected a number, got "many"/)
  assert.throws(
    () => read(MOVIES, `${RATINGS}3,8,5.5,6\n`),
    /ratings\.csv:5: expected 0\.5 to 5 stars, got 5\.5/,
  )
  assert.throws(
    () => read('id,title\n', RATINGS),
    /movies\.csv:1: expected the columns movieId, title, genres/,
  )
  assert.throws(() => read(MOVIES, ''), /ratings\.csv:1: .* got an empty file/)
  assert.throws(() => read(MOVIES, `${RATINGS}3,8\n`), /ratings\.csv: Invalid Record Length/)
})
