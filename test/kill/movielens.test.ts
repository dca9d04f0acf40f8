/** The first 3,000 real ratings, imported under kill -9; the whole set is in test/long. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { importUnderKills } from './kill-rounds.ts'
import { assertEveryRatingOnce, fetchMovieLens, INSTRUCTIONS_FILE, writeRatings } from './movielens.ts'
import { runToEnd, SETTINGS } from './program.ts'
import { assertSame, readStored } from './stored.ts'

/** Of the mini programs in the bundle of the golden set. */
const SLOTS = 4

test('3,000 ratings under kills, at once and live, are each applied once, and give the vectors of one run', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-movielens-'))
  try {
    const missing = fetchMovieLens(join(root, 'data'))
    if (missing !== null) {
      t.skip(missing)
      return
    }
    const ratings = writeRatings(join(root, 'data'), join(root, 'ratings.jsonl'), 3_000)
    const register = async (name: string) => {
      const directory = join(root, name)
      await runToEnd(['-d', directory, ...SETTINGS, 'instructions', 'add', '--file', INSTRUCTIONS_FILE])
      return directory
    }
    const [once, atOnce, live] = await Promise.all([register('once'), register('at-once'), register('live')])
    await runToEnd(['-d', once, ...SETTINGS, 'ingest', ratings.path])
    const uninterrupted = await readStored(once)
    assertEveryRatingOnce(uninterrupted, ratings, SLOTS)
    await Promise.all([
      importUnderKills(atOnce, ['ingest', ratings.path], { kills: 2, seed: 1, spanMs: 300 }),
      importUnderKills(live, ['ingest', '--live', ratings.path], { kills: 2, seed: 2, spanMs: 500 }),
    ])
    for (const directory of [atOnce, live]) {
      const stored = await readStored(directory)
      assertEveryRatingOnce(stored, ratings, SLOTS)
      assertSame(stored, uninterrupted)
    }
    const { stdout } = await runToEnd([
      '-d',
      live,
      ...SETTINGS,
      'nearest',
      [...ratings.byUser.keys()][0]!,
      '--json',
    ])
    assert.ok(JSON.parse(stdout).neighbours.length > 0)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
