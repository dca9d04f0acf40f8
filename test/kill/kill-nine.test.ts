/** kill -9 of the whole program at seeded times: what it keeps is what an uninterrupted run keeps. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { importUnderKills, serveUnderKills } from './kill-rounds.ts'
import { runToEnd, SETTINGS } from './program.ts'
import { assertSame, readStored, type Stored } from './stored.ts'
import { writeWorldFile } from './world-file.ts'

const SEED = 20261124
// Beside each other: most of a round is waiting for a start.
suite('kill -9', { concurrency: true }, () => {
  const root = mkdtempSync(join(tmpdir(), 'freshet-kill-'))
  const file = join(root, 'events.jsonl')
  let eventCount: number
  let uninterrupted: Stored

  before(async () => {
    eventCount = writeWorldFile(file, { users: 24, days: 30 })
    const directory = join(root, 'uninterrupted')
    await runToEnd(['-d', directory, ...SETTINGS, 'ingest', file])
    uninterrupted = await readStored(directory)
  })

  after(() => rmSync(root, { recursive: true, force: true }))

  test('an uninterrupted import holds every event once and a vector for every user', () => {
    assert.equal(uninterrupted.logRecords, eventCount)
    assert.equal(uninterrupted.users.size, 24)
    for (const { vectors } of uninterrupted.users.values()) assert.ok(vectors.size > 0)
  })

  test('ten kills during a live import leave each event once, and the vectors of an uninterrupted run', async () => {
    const directory = join(root, 'live')
    const span = { kills: 10, seed: SEED, spanMs: 500 }
    const killed = await importUnderKills(directory, ['ingest', '--live', file], span)
    assert.ok(killed >= 5, `only ${killed} of 10 kills came before the end`)
    const stored = await readStored(directory)
    assert.equal(stored.logRecords, eventCount)
    assertSame(stored, uninterrupted)
  })

  test('five kills of a running service whose clients send again leave the windows and vectors of one run', async () => {
    const directory = join(root, 'served')
    await serveUnderKills(directory, file, { kills: 5, seed: SEED, batchLines: 50 })
    assertSame(await readStored(directory), uninterrupted)
  })
})
