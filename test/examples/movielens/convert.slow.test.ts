/** The converter as people run it: lines on its output, its exit codes, and a reader that stops early. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createIngestEncoder } from '../../../src/events/ingest.ts'
import type { TopicSettings } from '../../../src/events/topic.ts'
import { SCHEMAS } from '../../events/decoder-fixture.ts'

const CONVERT = fileURLToPath(new URL('../../../examples/movielens/convert.ts', import.meta.url))
const USERS = 30
const FILMS = 40

/** Every user rates every film: enough lines that a pipe's buffer can't hold them. */
function writeSample(directory: string): void {
  const films = Array.from({ length: FILMS }, (_, i) => `${i + 1},Story of ${i} (1999),Drama|War\n`)
  writeFileSync(join(directory, 'movies.csv'), `movieId,title,genres\n${films.join('')}`)
  const ratings = Array.from({ length: USERS * FILMS }, (_, i) => {
    const user = 1 + Math.floor(i / FILMS)
    return `${user},${1 + (i % FILMS)},${1 + (i % 5)},${1_000_000_000 + i * 60}\n`
  })
  writeFileSync(join(directory, 'ratings.csv'), `userId,movieId,rating,timestamp\n${ratings.join('')}`)
}

describe('convert.ts', () => {
  let directory: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-convert-'))
    writeSample(directory)
  })
  after(() => rmSync(directory, { recursive: true, force: true }))

  function convert(...args: string[]) {
    return spawnSync(process.execPath, [CONVERT, ...args], { encoding: 'utf8' })
  }

  test('every line is one that freshet ingests, and with --only-ratings there is one for each rating', () => {
    const holds = ['paybill', 'miniprogram', 'spm', 'app', 'search'] as const
    const topics: TopicSettings[] = [
      ...holds.map((one) => ({ topic: `behavior.${one}`, holds: one })),
      { topic: 'user.tabular', holds: 'tabular' as const },
    ].map((topic) => ({ ...topic, format: 'avro-single-object', schema: null, fields: null }))
    const ingest = createIngestEncoder({ topics, schemas: SCHEMAS })
    const out = join(directory, 'all.jsonl')
    const all = convert('--out', out, directory)
    assert.deepEqual([all.status, all.stdout, all.stderr], [0, '', ''])
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n')
    const users = new Set(lines.map((line) => ingest.line(line).says?.user))
    assert.equal(users.size, USERS)
    const ratings = convert('--only-ratings', directory).stdout.trimEnd().split('\n')
    assert.equal(ratings.length, USERS * FILMS)
    assert.ok(lines.length > ratings.length)
    assert.ok(ratings.every((line) => lines.includes(line)))
  })

  test('a wrong call and a directory without data end with a message and no stack', () => {
    const wrong = convert()
    assert.deepEqual([wrong.status, wrong.stdout], [2, ''])
    assert.match(wrong.stderr, /^usage: /)
    assert.deepEqual([convert('--help').status, convert('--help').stderr], [0, ''])
    const empty = convert(join(directory, 'nowhere'))
    assert.deepEqual([empty.status, empty.stdout], [1, ''])
    assert.match(empty.stderr, /^expected ratings\.csv .*\n$/)
  })

  test('a reader that stops early ends it without complaint', async () => {
    const child = spawn(process.execPath, [CONVERT, directory], { stdio: ['ignore', 'pipe', 'pipe'] })
    let complaint = ''
    child.stderr.on('data', (chunk) => {
      complaint += chunk
    })
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const [code] = await once(child, 'close')
    assert.deepEqual([code, complaint], [0, ''])
  })
})
