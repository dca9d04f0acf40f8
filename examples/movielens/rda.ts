/** Reads the `movielens` data frame from an R package's lazy-load database (Rdata.rdx and Rdata.rdb), without R. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { gunzipSync, inflateSync } from 'node:zlib'
import { InputError } from './input-error.ts'
import { type RValue, type RVector, unserialize } from './r-serialization.ts'

import { type Movie, type Rating, splitGenres } from './rating.ts'

/** The real table takes 6 MiB; a length that asks for more than this comes from a damaged file. */
const CHUNK_BYTES_MAX = 256 * 1024 * 1024
const ZLIB_HEADER = 0x78

/**
 * @param directory holds Rdata.rdx and Rdata.rdb
 * @returns the ratings in row order
 * @throws {InputError} when a file is missing, damaged, or lacks the table
 */
export function readRdaRatings(directory: string): Rating[] {
  const index = unserialize(
    decompressed(path.join(directory, 'Rdata.rdx'), (bytes) => gunzipSync(bytes, LIMIT)),
  )
  const place = member(member(index, 'variables'), 'movielens')
  if (place?.kind !== 'integer' || place.values.length !== 2) {
    throw new InputError(
      `expected the table "movielens" in ${directory}/Rdata.rdx: fetch the package r-cran-dslabs`,
    )
  }
  const [offset, length] = place.values as readonly [number, number]
  const frame = unserialize(
    decompressed(path.join(directory, 'Rdata.rdb'), (bytes) => inflateChunk(bytes, offset, length)),
  )
  return ratingsOf(frame)
}

const LIMIT = { maxOutputLength: CHUNK_BYTES_MAX }

function decompressed(file: string, decompress: (bytes: Buffer) => Buffer): Buffer {
  try {
    return decompress(readFileSync(file))
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError(`${file}: ${(error as Error).message}: fetch the package again`, { cause: error })
  }
}

/** A chunk: uncompressed length (4 bytes, big-endian), then zlib; R marks bzip2 and xz by another first byte. */
function inflateChunk(bytes: Buffer, offset: number, length: number): Buffer {
  if (offset < 0 || length < 5 || offset + length > bytes.length) {
    throw new InputError(
      `expected ${length} bytes at ${offset}, got a file of ${bytes.length}: fetch the package again`,
    )
  }
  const sizeBytes = bytes.readUInt32BE(offset)
  const packed = bytes.subarray(offset + 4, offset + length)
  if (packed[0] !== ZLIB_HEADER) {
    throw new InputError(`expected zlib data, got first byte ${packed[0]}: bzip2 and xz are not read here`)
  }
  if (sizeBytes > CHUNK_BYTES_MAX) {
    throw new InputError(
      `expected at most ${CHUNK_BYTES_MAX} bytes, got ${sizeBytes}: fetch the package again`,
    )
  }
  const inflated = inflateSync(packed, { maxOutputLength: Math.max(1, sizeBytes) })
  if (inflated.length !== sizeBytes) {
    throw new InputError(`expected ${sizeBytes} bytes, got ${inflated.length}: fetch the package again`)
  }
  return inflated
}

function ratingsOf(frame: RValue): Rating[] {
  const users = numbers(frame, 'userId')
  const movieIds = numbers(frame, 'movieId')
  const stars = numbers(frame, 'rating')
  const times = numbers(frame, 'timestamp')
  // One title ends in a space; GroupLens's own file has it, too, before the year.
  const titles = texts(frame, 'title').map((title) => title.trim())
  const years = column(frame, 'year').values as readonly (number | null)[]
  const genres = texts(frame, 'genres')
  for (const one of [movieIds, stars, times, titles, years, genres]) {
    if (one.length !== users.length) {
      throw new InputError(
        `expected columns of ${users.length} rows, got one of ${one.length}: fetch the package again`,
      )
    }
  }
  const movies = new Map<number, Movie>()
  return users.map((userId, row) => {
    const movieId = movieIds[row]!
    let movie = movies.get(movieId)
    if (movie === undefined) {
      movie = { movieId, title: titles[row]!, year: years[row] ?? null, genres: splitGenres(genres[row]!) }
      movies.set(movieId, movie)
    }
    return { userId, movie, stars: stars[row]!, timeS: times[row]! }
  })
}

function member(value: RValue | undefined, name: string): RValue | undefined {
  if (value?.kind !== 'list') return undefined
  const names = value.attributes.get('names')
  if (names?.kind !== 'string') return undefined
  return value.values[names.values.indexOf(name)] as RValue | undefined
}

function column(frame: RValue, name: string): RVector {
  const found = member(frame, name)
  if (found && found.kind !== 'pairs' && found.kind !== 'symbol') return found
  throw new InputError(`expected a column "${name}" in the table movielens: fetch the package r-cran-dslabs`)
}

function numbers(frame: RValue, name: string): readonly number[] {
  const { values } = column(frame, name)
  const bad = values.findIndex((value) => typeof value !== 'number')
  if (bad >= 0) throw new InputError(`expected a number in ${name}, row ${bad + 1}, got ${values[bad]}`)
  return values as readonly number[]
}

/** Texts of a character vector or a factor. A title may be missing; it then reads as an empty text. */
function texts(frame: RValue, name: string): readonly string[] {
  const { values, attributes } = column(frame, name)
  const levels = attributes.get('levels')
  if (levels?.kind !== 'string') return values.map((value) => (typeof value === 'string' ? value : ''))
  return values.map((value) => String(levels.values[Number(value) - 1] ?? ''))
}
