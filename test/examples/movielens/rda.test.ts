/** Reading R data: a table written by the test comes back, and no damage gets further than an InputError. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputError } from '../../../examples/movielens/input-error.ts'
import { unserialize } from '../../../examples/movielens/r-serialization.ts'
import { readRdaRatings } from '../../../examples/movielens/rda.ts'
import * as r from './r-writer.ts'

const FRAME = r.named({
  movieId: r.ints([31, 7, 31]),
  title: r.strings(['Tea for Two', null, 'Tea for Two']),
  year: r.ints([1950, null, 1950]),
  genres: r.factor(['Musical|Romance', '(no genres listed)', 'Musical|Romance']),
  userId: r.compactSequence(1, 3),
  rating: r.doubles([2.5, 4, 0.5]),
  timestamp: r.ints([1_260_759_144, 1_260_759_179, 5]),
})

function inDirectory<T>(files: Record<string, Buffer>, use: (directory: string) => T): T {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-rda-'))
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(directory, name), bytes)
    return use(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

for (const version of [2, 3] as const) {
  test(`a table of serialisation version ${version} is read with factors, sequences and missing values`, () => {
    const { rdx, rdb } = r.lazyLoad('movielens', r.serialize(FRAME, version))
    const ratings = inDirectory({ 'Rdata.rdx': rdx, 'Rdata.rdb': rdb }, readRdaRatings)
    const tea = { movieId: 31, title: 'Tea for Two', year: 1950, genres: ['Musical', 'Romance'] }
    assert.deepEqual(ratings, [
      { userId: 1, movie: tea, stars: 2.5, timeS: 1_260_759_144 },
      { userId: 2, movie: { movieId: 7, title: '', year: null, genres: [] }, stars: 4, timeS: 1_260_759_179 },
      { userId: 3, movie: tea, stars: 0.5, timeS: 5 },
    ])
    assert.equal(ratings[0]!.movie, ratings[2]!.movie)
  })
}

test('texts keep their own encoding', () => {
  const value = unserialize(r.serialize(r.strings(['Amélie'], true)))
  assert.deepEqual(value?.kind === 'string' && value.values, ['Amélie'])
  const utf8 = unserialize(r.serialize(r.strings(['Léon'])))
  assert.deepEqual(utf8?.kind === 'string' && utf8.values, ['Léon'])
})

test('another table, other compression and missing files are told apart', () => {
  const { rdx, rdb } = r.lazyLoad('gapminder', r.serialize(FRAME))
  inDirectory({ 'Rdata.rdx': rdx, 'Rdata.rdb': rdb }, (directory) => {
    assert.throws(() => readRdaRatings(directory), /InputError: expected the table "movielens"/)
  })
  const good = r.lazyLoad('movielens', r.serialize(FRAME))
  const xz = Buffer.from(good.rdb)
  xz[13 + 4] = 0x5a
  inDirectory({ 'Rdata.rdx': good.rdx, 'Rdata.rdb': xz }, (directory) => {
    assert.throws(() => readRdaRatings(directory), /bzip2 and xz are not read here/)
  })
  inDirectory({ 'Rdata.rdx': good.rdx }, (directory) => {
    assert.throws(() => readRdaRatings(directory), /Rdata\.rdb: ENOENT/)
  })
  const noYear = r.lazyLoad('movielens', r.serialize(r.named({ userId: r.ints([1]) })))
  inDirectory({ 'Rdata.rdx': noYear.rdx, 'Rdata.rdb': noYear.rdb }, (directory) => {
    assert.throws(() => readRdaRatings(directory), /expected a column "movieId"/)
  })
})

test('a stream cut off anywhere, or with any byte flipped, gives a value or an InputError, never a crash', () => {
  const whole = r.serialize(FRAME)
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => unserialize(whole.subarray(0, length)), InputError)
  }
  const flips = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }))
  const property = fc.property(flips, ([at, mask]) => {
    const damaged = Buffer.from(whole)
    damaged[at]! ^= mask
    try {
      unserialize(damaged)
    } catch (error) {
      assert.ok(error instanceof InputError, String(error))
    }
  })
  fc.assert(property, { seed: 20_261_124, numRuns: 2_000 })
})

test('a database cut off anywhere gives an InputError', () => {
  const { rdx, rdb } = r.lazyLoad('movielens', r.serialize(FRAME))
  for (const cut of [0, 5, rdb.length >> 1, rdb.length - 1]) {
    inDirectory({ 'Rdata.rdx': rdx, 'Rdata.rdb': rdb.subarray(0, cut) }, (directory) => {
      assert.throws(() => readRdaRatings(directory), InputError)
    })
  }
})
