/** Finds out which form of MovieLens a directory holds, and reads it. */

import { existsSync } from 'node:fs'
import path from 'node:path'
import { readCsvRatings } from './csv.ts'
import { InputError } from './input-error.ts'
import type { Rating } from './rating.ts'
import { readRdaRatings } from './rda.ts'

/**
 * @param directory with Rdata.rdx and Rdata.rdb (fetch.sh), or with GroupLens's ratings.csv and movies.csv
 * @throws {InputError} when it holds neither, or what it holds is damaged
 */
export function readRatings(directory: string): Rating[] {
  const has = (name: string) => existsSync(path.join(directory, name))
  if (has('ratings.csv')) return readCsvRatings(directory)
  if (has('Rdata.rdx')) return readRdaRatings(directory)
  throw new InputError(
    `expected ratings.csv and movies.csv, or Rdata.rdx and Rdata.rdb, in ${directory}, got neither: ` +
      'run examples/movielens/fetch.sh, or unpack ml-latest-small.zip and name its directory',
  )
}
