/** The cache of event vectors: what it gives back is what was put, within its bytes, over restarts and damage. */

import assert from 'node:assert/strict'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { openEventVectorCache } from '../../../src/drivers/sqlite/event-vector-cache.ts'
import { mended } from '../../../src/pipeline/channels.ts'
import { tempDirectory } from './temp-directory.ts'

const WIDTH = 384
const vectorOf = (seed: number) =>
  Float32Array.from({ length: WIDTH }, (_, i) => Math.fround(Math.sin(seed * 31 + i)))
const keyOf = (seed: number) => seed.toString(16).padStart(64, '0')
const entry = (seed: number) => ({ key: keyOf(seed), vector: vectorOf(seed) })
const MIB = 2 ** 20

function opened(path: string, sizeBytesMax = MIB) {
  const { cache, warning } = openEventVectorCache({ path, sizeBytesMax })
  return Object.assign({ cache, warning }, { [Symbol.dispose]: () => cache.close() })
}

test('what was put comes back bit by bit, and nothing else does', () => {
  using it = opened(':memory:')
  it.cache.putMany([entry(1), entry(2)])
  assert.deepEqual(it.cache.getMany([keyOf(2), keyOf(3), keyOf(1)]), [vectorOf(2), undefined, vectorOf(1)])
})

test('vectors survive a restart', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  {
    using it = opened(path)
    it.cache.putMany([entry(1)])
  }
  using it = opened(path)
  assert.equal(it.warning, null)
  assert.deepEqual(it.cache.getMany([keyOf(1)]), [vectorOf(1)])
  assert.ok(it.cache.sizeBytes > WIDTH * 4)
})

test('the bytes stay within the limit, and the least recently used go first', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  using it = opened(path)
  it.cache.putMany([entry(0)])
  for (let seed = 1; seed < 3_000; seed++) {
    it.cache.putMany([entry(seed)])
    // Vector 0 is the oldest, but the one that is used all the time.
    if (seed % 50 === 0) assert.notEqual(it.cache.getMany([keyOf(0)])[0], undefined)
    assert.ok(it.cache.sizeBytes <= MIB)
  }
  const kept = it.cache.getMany(Array.from({ length: 3_000 }, (_, seed) => keyOf(seed)))
  const first = kept.findIndex((vector, seed) => seed > 0 && vector !== undefined)
  assert.ok(first > 2_000 && first < 2_999)
  for (let seed = first; seed < 3_000; seed++) assert.deepEqual(kept[seed], vectorOf(seed))
  // Pages of deleted rows are used again: the file follows the limit, not what was ever written.
  assert.ok(statSync(path).size < 1.5 * MIB)
})

test('any sequence of puts, gets and restarts gives either the vector that was put last, or nothing', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  const command = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), key: fc.nat(20), seed: fc.nat(1_000) }),
    fc.record({ kind: fc.constant('get' as const), key: fc.nat(20) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  )
  let run = 0
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const file = `${path}-${run++}`
      const sizeBytesMax = 8 * (WIDTH * 4 + 320)
      let it = opened(file, sizeBytesMax)
      const model = new Map<number, number>()
      try {
        for (const one of commands) {
          if (one.kind === 'put') {
            it.cache.putMany([{ key: keyOf(one.key), vector: vectorOf(one.seed) }])
            model.set(one.key, one.seed)
            assert.ok(it.cache.sizeBytes <= sizeBytesMax)
          } else if (one.kind === 'get') {
            const [vector] = it.cache.getMany([keyOf(one.key)])
            if (vector) assert.deepEqual(vector, vectorOf(model.get(one.key)!))
          } else {
            it.cache.close()
            it = opened(file, sizeBytesMax)
          }
        }
      } finally {
        it.cache.close()
      }
    }),
    { seed: 11, numRuns: 40 },
  )
})

test('a flipped bit inside a vector is found, and the vector is missing rather than wrong', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  {
    using it = opened(path)
    it.cache.putMany([entry(1), entry(2)])
  }
  const database = new DatabaseSync(path)
  database.exec(`UPDATE event_vectors SET vector = zeroblob(${WIDTH * 4}) WHERE key = '${keyOf(1)}'`)
  database.exec(`UPDATE event_vectors SET key = '${keyOf(3)}' WHERE key = '${keyOf(2)}'`)
  database.close()
  using it = opened(path)
  assert.deepEqual(it.cache.getMany([keyOf(1), keyOf(2), keyOf(3)]), [undefined, undefined, undefined])
  it.cache.putMany([entry(1)])
  assert.deepEqual(it.cache.getMany([keyOf(1)]), [vectorOf(1)])
})

test('a file that is no database is begun anew, with a warning', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  writeFileSync(path, 'not a database, and long enough to be looked at '.repeat(100))
  using it = opened(path)
  assert.match(it.warning ?? '', /begun anew/)
  it.cache.putMany([entry(1)])
  assert.deepEqual(it.cache.getMany([keyOf(1)]), [vectorOf(1)])
})

test('a file of a later format is begun anew, with a warning', () => {
  const directory = tempDirectory()
  const path = join(directory, 'event-vectors.db')
  opened(path).cache.close()
  const database = new DatabaseSync(path)
  database.exec('PRAGMA user_version = 99')
  database.close()
  using it = opened(path)
  assert.match(it.warning ?? '', /format 99/)
})

/** Garbage in every third page of a closed cache of 300 vectors, from the given page on. */
function damaged(firstPage: number): string {
  const path = join(tempDirectory(), 'event-vectors.db')
  {
    using it = opened(path)
    it.cache.putMany(Array.from({ length: 300 }, (_, seed) => entry(seed)))
  }
  const sizeBytes = readFileSync(path).length
  const descriptor = openSync(path, 'r+')
  for (let at = firstPage * 4_096; at < sizeBytes; at += 3 * 4_096)
    writeSync(descriptor, Buffer.alloc(4_096, 0xa5), 0, 4_096, at)
  closeSync(descriptor)
  return path
}

// The first pages hold what opening reads; what lies behind them is found when it is asked for.
for (const firstPage of [1, 12])
  test(`garbage from page ${firstPage} on never gives a wrong vector, and is reported once`, (t) => {
    const reports: string[] = []
    t.after(mended.subscribe(({ what, message }) => reports.push(`${what}: ${message}`)))
    using it = opened(damaged(firstPage))
    for (let seed = 0; seed < 300; seed++) {
      const [vector] = it.cache.getMany([keyOf(seed)])
      if (vector) assert.deepEqual(vector, vectorOf(seed))
    }
    if (firstPage === 1) assert.match(it.warning ?? '', /begun anew/)
    else {
      assert.equal(it.warning, null)
      assert.match(reports.pop() ?? '', /^event-vectors: .* was begun anew, .*: expected/)
    }
    assert.deepEqual(reports, [])
    it.cache.putMany([entry(1)])
    assert.deepEqual(it.cache.getMany([keyOf(1)]), [vectorOf(1)])
  })

/** @returns what was reported on the channel since */
function reported(t: TestContext): string[] {
  const reports: string[] = []
  t.after(mended.subscribe(({ what, message }) => reports.push(`${what}: ${message}`)))
  return reports
}

test('on a full disk the cache gives what it has, takes no more, fails nobody, and says why', (t) => {
  const reports = reported(t)
  const path = join(tempDirectory(), 'event-vectors.db')
  const { cache, warning } = openEventVectorCache({ path, sizeBytesMax: 64 * MIB, pagesMax: 200 })
  assert.equal(warning, null)
  let count = 0
  while (reports.length === 0) cache.putMany([entry(count++)])
  assert.match(reports[0]!, /^event-vectors: .* keeps nothing until this is over, .*room on the disk/)
  const lost = count - 1
  const sizeBytes = cache.sizeBytes
  // The order of use can't be written for all of them, which keeps none from being read.
  const seeds = Array.from({ length: count }, (_, seed) => seed)
  for (let i = 0; i < 20; i++) {
    const got = cache.getMany(seeds.map(keyOf))
    for (const seed of seeds) assert.deepEqual(got[seed], seed === lost ? undefined : vectorOf(seed))
  }
  assert.equal(cache.sizeBytes, sizeBytes)
  cache.close()

  // With room again it goes on.
  using it = opened(path, 64 * MIB)
  it.cache.putMany([entry(lost)])
  assert.deepEqual(it.cache.getMany([keyOf(lost)]), [vectorOf(lost)])
})

test('a cache that cannot be begun anew is empty, says so, and is tried again', (t) => {
  const path = damaged(12)
  using it = opened(path)
  assert.equal(it.warning, null)
  const reports = reported(t)
  const folder = dirname(path)
  rmSync(folder, { recursive: true })
  const seeds = Array.from({ length: 300 }, (_, seed) => seed)
  for (const seed of seeds) it.cache.getMany([keyOf(seed)])
  it.cache.putMany([entry(1)])
  assert.deepEqual(it.cache.getMany([keyOf(1)]), [undefined])
  assert.match(reports.at(-1) ?? '', /keeps nothing until this is over/)

  mkdirSync(folder)
  it.cache.putMany([entry(1)])
  assert.deepEqual(it.cache.getMany([keyOf(1)]), [vectorOf(1)])
})
