/** The real MovieLens with its vectors in Qdrant: the same points and the same neighbours as in SQLite, one by one. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { lookAtVectors } from '../../../src/cli/look-at-vectors.ts'
import type { LookedAt } from '../../../src/cli/open-vectors.ts'
import { loadSettings } from '../../../src/config/load-settings.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import type { Hit, StoredPoint, VectorStore } from '../../../src/vectors/vector-store.ts'
import { fetchMovieLens, INSTRUCTIONS_FILE, writeRatings } from '../../kill/movielens.ts'
import { runToEnd, SETTINGS } from '../../kill/program.ts'
import { idOf, MAIN, withQdrant } from '../qdrant-standalone.ts'

/** All 671 users with their first ratings: the whole set takes a minute, and says no more of the store. */
const RATINGS_A_USER = 5
const USERS = 671
const K = 10
/** Over REST numbers are rounded to 1e-7, and both stores normalise in float32: 32 products of numbers below 1. */
const TOLERANCE = 1e-6

/** @returns the users of the file */
function keepFirstRatings(path: string): string[] {
  const seen = new Map<string, number>()
  const kept = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .filter((line) => {
      const { user_id: user } = (JSON.parse(line) as { header: { user_id: string } }).header
      const count = seen.get(user) ?? 0
      seen.set(user, count + 1)
      return count < RATINGS_A_USER
    })
  writeFileSync(path, `${kept.join('\n')}\n`)
  return [...seen.keys()]
}

function assertSamePoint(user: string, a: StoredPoint, b: StoredPoint): void {
  assert.ok(a.point.kind === 'vectors' && b.point.kind === 'vectors', user)
  assert.deepEqual(a.point.payload, b.point.payload)
  assert.deepEqual([...a.point.vectors.keys()].sort(), [...b.point.vectors.keys()].sort())
  for (const [name, vector] of a.point.vectors) {
    const other = b.point.vectors.get(name)!
    for (let i = 0; i < vector.length; i++)
      assert.ok(Math.abs(vector[i]! - other[i]!) <= TOLERANCE, `${user} ${name}`)
  }
}

/** The same scores in the same order; who is as near as somebody else may stand before or after them. */
function assertSameHits(user: string, a: readonly Hit[], b: readonly Hit[]): void {
  assert.equal(a.length, K)
  assert.equal(b.length, K)
  for (let i = 0; i < K; i++)
    assert.ok(Math.abs(a[i]!.score - b[i]!.score) <= TOLERANCE, `${user}: ${a[i]!.score} ${b[i]!.score}`)
  const last = a[K - 1]!.score
  const clear = (hits: readonly Hit[]) =>
    hits
      .filter(({ score }) => score > last + 2 * TOLERANCE)
      .map(({ id, payload }) => `${id} ${payload.userId}`)
  const inB = new Set(b.map(({ id, payload }) => `${id} ${payload.userId}`))
  for (const hit of clear(a)) assert.ok(inB.has(hit), `${user} misses ${hit}`)
}

test('671 people of MovieLens have the same points and neighbours in Qdrant as in SQLite', (t) =>
  withQdrant(async ({ root, double }) => {
    const missing = fetchMovieLens(join(root, 'data'))
    if (missing !== null) {
      t.skip(missing)
      return
    }
    const ratings = join(root, 'ratings.jsonl')
    writeRatings(join(root, 'data'), ratings)
    const users = keepFirstRatings(ratings)
    assert.equal(users.length, USERS)

    const stores = [
      { name: 'sqlite', flags: {} },
      { name: 'qdrant', flags: { 'vectors.driver': 'qdrant', 'vectors.qdrant.url': double.url } },
    ]
    const looked: LookedAt[] = await Promise.all(
      stores.map(async ({ name, flags }) => {
        const dataDir = join(root, name)
        const set = Object.entries(flags).flatMap(([path, value]) => ['--set', `${path}=${value}`])
        const here = ['-d', dataDir, ...SETTINGS, ...set]
        await runToEnd([...here, 'instructions', 'add', '--file', INSTRUCTIONS_FILE])
        await runToEnd([...here, 'ingest', ratings])
        const { settings } = loadSettings({ file: null, env: {}, flags: { dataDir, ...flags } })
        return lookAtVectors(settings, systemClock)
      }),
    )
    const [sqlite, qdrant] = looked.map(({ vectors }) => vectors) as [VectorStore, VectorStore]
    try {
      const ids = users.map(idOf)
      const [inSqlite, inQdrant] = [await sqlite.get(MAIN, ids), await qdrant.get(MAIN, ids)]
      assert.equal(inQdrant.size, USERS)
      const readers = await qdrant.readerNames(MAIN)
      assert.deepEqual(readers, await sqlite.readerNames(MAIN))
      assert.equal(readers.size, 4)
      for (const [i, user] of users.entries()) {
        const [a, b] = [inSqlite.get(ids[i]!)!, inQdrant.get(ids[i]!)!]
        assertSamePoint(user, a, b)
        // One instruction a user, in turn: a search of the double looks at everybody.
        const vectorName = [...readers.values()][i % readers.size]!
        assert.ok(a.point.kind === 'vectors')
        const query = {
          vectorName,
          vector: a.point.vectors.get(vectorName)!,
          k: K,
          exclude: [ids[i]!],
          exact: true,
        }
        assertSameHits(user, await sqlite.search(MAIN, query), await qdrant.search(MAIN, query))
      }
    } finally {
      for (const { close } of looked) await close()
    }
  }))
