/** The real MovieLens-small, fetched as a user would fetch it; skipped where apt can't, but never in CI with apt. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { readRatings } from '../../../examples/movielens/read-ratings.ts'
import { toEvents } from '../../../examples/movielens/to-events.ts'
import { createRecordDecoder } from '../../../src/events/decoder.ts'
import { toIngestLine } from '../../../src/events/encoder.ts'
import { createIngestEncoder } from '../../../src/events/ingest.ts'
import { directorySchemas } from '../../../src/events/schema-source.ts'
import type { TopicSettings } from '../../../src/events/topic.ts'

const EXAMPLE = path.join(import.meta.dirname, '../../../examples/movielens')
const HAS_APT = ['apt-get', 'dpkg'].every((tool) => existsSync(`/usr/bin/${tool}`))
const CI = process.env.CI === 'true'

/** @returns null, or why it could not be fetched */
function fetchInto(directory: string): string | null {
  if (!HAS_APT) return 'no apt-get and dpkg here'
  try {
    execFileSync(path.join(EXAMPLE, 'fetch.sh'), [directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    })
    return null
  } catch (error) {
    return `fetch.sh failed: ${(error as { stderr?: Buffer }).stderr?.toString() ?? error}`
  }
}

const TOPICS: TopicSettings[] = (['miniprogram', 'spm', 'app', 'search'] as const).map((holds) => ({
  topic: `behavior.${holds}`,
  holds,
  format: 'avro-raw',
  schema: null,
  fields: null,
}))
TOPICS.push({ topic: 'user.tabular', holds: 'tabular', format: 'avro-raw', schema: null, fields: null })

test('all 100,004 real ratings become one primary event each, valid, in order, the same bytes twice', (context) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-movielens-'))
  try {
    const reason = fetchInto(directory)
    if (reason !== null) {
      assert.ok(!(CI && HAS_APT), reason)
      context.skip(reason)
      return
    }
    const start = process.cpuUsage()
    const ratings = readRatings(directory)
    const readMs = process.cpuUsage(start).user / 1_000
    assert.ok(readMs < 5_000, `expected far less than 5 s of the processor, took ${readMs} ms`)
    checkFacts(ratings)
    checkCsvAgrees(ratings.slice(0, 10_000), directory)
    checkEvents(ratings)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

/** Counts and dates as GroupLens and the package's documentation state them. */
function checkFacts(ratings: ReturnType<typeof readRatings>): void {
  assert.equal(ratings.length, 100_004)
  assert.equal(new Set(ratings.map((rating) => rating.userId)).size, 671)
  assert.equal(new Set(ratings.map((rating) => rating.movie.movieId)).size, 9_066)
  let [first, last] = [Number.POSITIVE_INFINITY, 0]
  for (const { timeS } of ratings) {
    first = Math.min(first, timeS)
    last = Math.max(last, timeS)
  }
  const days = [first, last].map((timeS) => new Date(timeS * 1_000).toISOString().slice(0, 10))
  assert.deepEqual(days, ['1995-01-09', '2016-10-16'])
}

/** The same rows written as GroupLens writes them are read to the same ratings: both roads give the same events. */
function checkCsvAgrees(ratings: ReturnType<typeof readRatings>, directory: string): void {
  const quoted = (text: string) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  const movies = new Map(ratings.map(({ movie }) => [movie.movieId, movie])).values()
  const movieLines = [...movies].map(({ movieId, title, year, genres }) => {
    const name = quoted(year === null ? title : `${title} (${year})`)
    return `${movieId},${name},${genres.join('|') || '(no genres listed)'}\n`
  })
  const lines = ratings.map(({ userId, movie, stars, timeS }) => {
    return `${userId},${movie.movieId},${stars.toFixed(1)},${timeS}\n`
  })
  writeFileSync(path.join(directory, 'movies.csv'), `movieId,title,genres\n${movieLines.join('')}`)
  writeFileSync(path.join(directory, 'ratings.csv'), `userId,movieId,rating,timestamp\n${lines.join('')}`)
  assert.deepEqual(readRatings(directory), ratings)
}

function checkEvents(ratings: ReturnType<typeof readRatings>): void {
  const ids = new Set<string>()
  const primary = createHash('sha256')
  let count = 0
  let lastMs = 0
  const schemas = directorySchemas(null)
  const ingest = createIngestEncoder({ topics: TOPICS, schemas })
  const decoder = createRecordDecoder({ topics: TOPICS, schemas })
  let checked = 0
  let snapshots = 0
  for (const { record, isSynthetic, attributes } of toEvents(ratings)) {
    const nowMs =
      record.kind === 'event' ? record.event.eventTimeMs : record.kind === 'tabular' ? record.asOfMs : -1
    assert.ok(nowMs >= lastMs)
    lastMs = nowMs
    const topic = record.kind === 'event' ? `behavior.${record.event.modality}` : 'user.tabular'
    if (record.kind === 'event') ids.add(`${topic} ${record.event.eventId}`)
    else snapshots++
    const line = toIngestLine(topic, record, { isSynthetic, attributes })
    if (!isSynthetic) {
      count++
      primary.update(line)
    }
    // Every 50th goes the whole way through the bytes of the log and back: all of them would take many seconds.
    if (checked++ % 50 !== 0) continue
    const { key, value } = ingest.line(line)
    assert.deepEqual(
      decoder.decode({ topic, partition: 0, offset: 0, appendTimeMs: nowMs, key, value }),
      record,
    )
  }
  assert.equal(count, 100_004)
  assert.equal(ids.size, checked - snapshots)
  const again = createHash('sha256')
  for (const { record } of toEvents(ratings, { onlyRatings: true }))
    again.update(toIngestLine('behavior.miniprogram', record, { isSynthetic: false, attributes: {} }))
  assert.equal(again.digest('hex'), primary.digest('hex'))
}
