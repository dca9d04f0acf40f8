import { test } from 'node:test'
import { killRounds } from '../drivers/sqlite/kill-rounds.ts'
import { tempDirectory } from '../drivers/sqlite/temp-directory.ts'

/** Another seed a run finds other moments; the one that failed is in the message. */
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

test(`sixty kills leave sixty consistent prefixes (SEED=${seed})`, async () => {
  await killRounds(tempDirectory(), seed, 60)
})
