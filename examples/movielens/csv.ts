/** Reads GroupLens's own ratings.csv and movies.csv to the same ratings as the R table gives. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'csv-parse/sync'
import { InputError } from './input-error.ts'
import { type Movie, type Rating, splitGenres } from './rating.ts'

/** `Heat (1995)`; series say `(1975-1979)`, a few say nothing. */
const TITLE_AND_YEAR = /^(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$/

/**
 * Holds all rows in memory: made for MovieLens-small; the sets with millions of ratings need gigabytes.
 *
 * @param directory holds ratings.csv and movies.csv
 * @returns the ratings in row order
 * @throws {InputError} when a file is missing or a row is not what GroupLens writes, with its line
 */
export function readCsvRatings(directory: string): Rating[] {
  const movies = readMovies(path.join(directory, 'movies.csv'))
  const file = path.join(directory, 'ratings.csv')
  return readRows(file, ['userId', 'movieId', 'rating', 'timestamp']).map(({ line, cells }) => {
    const [userId, movieId, stars, timeS] = cells.map((cell) => numeric(cell, file, line))
    const movie = movies.get(movieId!)
    if (movie === undefined) {
      throw new InputError(
        `${file}:${line}: expected a movie of movies.csv, got ${movieId}: use both files of one set`,
      )
    }
    if (!(stars! >= 0.5 && stars! <= 5)) {
      throw new InputError(`${file}:${line}: expected 0.5 to 5 stars, got ${stars}: use GroupLens's own file`)
    }
    return { userId: userId!, movie, stars: stars!, timeS: timeS! }
  })
}

function readMovies(file: string): Map<number, Movie> {
  const movies = new Map<number, Movie>()
  for (const { line, cells } of readRows(file, ['movieId', 'title', 'genres'])) {
    const movieId = numeric(cells[0]!, file, line)
    const [, title, year] = TITLE_AND_YEAR.exec(cells[1]!) ?? [null, cells[1]!.trim(), null]
    movies.set(movieId, {
      movieId,
      title: title!,
      year: year === null ? null : Number(year),
      genres: splitGenres(cells[2]!),
    })
  }
  return movies
}

interface Row {
  /** From 1, the header included. */
  line: number
  /** In the order of the columns asked for. */
  cells: string[]
}

function readRows(file: string, columns: readonly string[]): Row[] {
  const [header, ...rows] = parseCsv(file)
  const places = columns.map((name) => header?.record.indexOf(name) ?? -1)
  if (places.includes(-1)) {
    const got = header?.record.join(', ') ?? 'an empty file'
    throw new InputError(
      `${file}:1: expected the columns ${columns.join(', ')}, got ${got}: use GroupLens's own file`,
    )
  }
  return rows.map(({ record, info }) => ({ line: info.lines, cells: places.map((place) => record[place]!) }))
}

function parseCsv(file: string): { record: string[]; info: { lines: number } }[] {
  try {
    return parse(readFileSync(file), { bom: true, info: true, skip_empty_lines: true }) as unknown as {
      record: string[]
      info: { lines: number }
    }[]
  } catch (error) {
    throw new InputError(`${file}: ${(error as Error).message}: use GroupLens's own file`, { cause: error })
  }
}

function numeric(cell: string, file: string, line: number): number {
  const value = Number(cell)
  if (cell.trim() !== '' && Number.isFinite(value) && value >= 0) return value
  throw new InputError(
    `${file}:${line}: expected a number, got ${JSON.stringify(cell)}: use GroupLens's own file`,
  )
}
