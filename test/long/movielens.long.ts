/** All 100,004 real ratings with the built-in model: three kill -9 during `ingest`, three during `ingest --live`. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { importUnderKills } from '../kill/kill-rounds.ts'
import { assertEveryRatingOnce, fetchMovieLens, INSTRUCTIONS_FILE, writeRatings } from '../kill/movielens.ts'
import { QUICK, runToEnd } from '../kill/program.ts'
import { assertSame, readStored } from '../kill/stored.ts'

/** Of mini programs, in the presets. */
const SLOTS = 150
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

test(`MovieLens under three kills, at once and live, is applied once and gives the vectors of one run (SEED=${seed})`, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-movielens-'))
  const settings = [...QUICK]
  try {
    const missing = fetchMovieLens(join(root, 'data'))
    if (missing !== null) {
      t.skip(missing)
      return
    }
    const ratings = writeRatings(join(root, 'data'), join(root, 'ratings.jsonl'))
    assert.equal(ratings.count, 100_004)
    const importInto = async (name: string, kills: number, spanMs: number, args: string[]) => {
      const directory = join(root, name)
      await runToEnd(['-d', directory, ...settings, 'instructions', 'add', '--file', INSTRUCTIONS_FILE])
      const startMs = Date.now()
      const killed = await importUnderKills(directory, ['ingest', ...args, ratings.path], {
        kills,
        seed,
        spanMs,
        settings,
      })
      const tookMs = Date.now() - startMs
      t.diagnostic(`${name}: ${killed} of ${kills} kills before the end, ${Math.round(tookMs / 1000)} s`)
      const stored = await readStored(directory)
      assertEveryRatingOnce(stored, ratings, SLOTS)
      return { stored, tookMs, killed }
    }
    const once = await importInto('once', 0, 0, [])
    const atOnce = await importInto('at once', 3, once.tookMs / 3, [])
    assert.equal(atOnce.killed, 3)
    assertSame(atOnce.stored, once.stored)
    const live = await importInto('live', 3, once.tookMs / 2, ['--live'])
    assert.equal(live.killed, 3)
    assertSame(live.stored, once.stored)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
