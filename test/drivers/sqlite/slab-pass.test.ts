import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import type { InstructionId, VectorName } from '../../../src/instructions/instruction.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import type { CollectionName, CollectionSpec, Point, PointId } from '../../../src/vectors/vector-store.ts'
import {
  A,
  assertClose,
  B,
  bruteForce,
  DIMENSIONS,
  idOf,
  pointOf,
  stubOf,
  vectorOf,
} from '../../vectors/points.ts'

const C = 'travel@22222222' as VectorName
const NAME = 'freshet_main_tiny' as CollectionName
const SPEC = {
  name: NAME,
  group: 'main',
  model: 'tiny',
  precision: 'fp32',
  provider: 'cpu',
  dimensions: DIMENSIONS,
  horizonDays: 90,
} as CollectionSpec
/** Several pages of a pass, whatever a page is: some hundred points. */
const POINTS = 3_000
const K = 1_000

/** A linear congruence: no two points alike, the same in every run. */
function vectorFor(seed: number): number[] {
  let drawn = (seed + 1) * 2_654_435_761
  return Array.from({ length: DIMENSIONS }, () => {
    drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) >>> 0
    return drawn / 2 ** 32 - 0.5
  })
}

const pointFor = (user: number, seed: number): Point =>
  pointOf(`u${user}`, { [A]: vectorFor(seed), [B]: vectorFor(seed + 1), [C]: vectorFor(seed + 2) })

async function withStore(use: (parts: Parts) => Promise<void>): Promise<void> {
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  const store = new SqliteVectorStore(database, systemClock)
  await store.ensureCollection(SPEC)
  await store.ensureVectorNames(NAME, [A, B, C])
  const current = new Map<PointId, Point>()
  let write = 0
  const put = async (points: readonly Point[]) => {
    for (const point of points) current.set(point.id, point)
    await store.upsert(NAME, { epoch: 1, write: ++write }, points)
  }
  await put(Array.from({ length: POINTS }, (_, i) => pointFor(i, 3 * i)))
  try {
    await use({ store, put, current, pages: pagesRead(database) })
  } finally {
    await store.close()
    database.close()
  }
}

interface Parts {
  store: SqliteVectorStore
  put(points: readonly Point[]): Promise<void>
  current: Map<PointId, Point>
  /** How many pages were read of the points until now. */
  pages: () => number
}

function pagesRead(database: SqliteDatabase): () => number {
  const prepare = database.prepare.bind(database)
  let pages = 0
  database.prepare = (sql) => {
    if (/FROM points_\d+ WHERE point > \?/.test(sql)) pages++
    return prepare(sql)
  }
  return () => pages
}

const ask = (store: SqliteVectorStore, vectorName: VectorName) =>
  store.search(NAME, { vectorName, vector: vectorOf(vectorFor(-7)), k: K })

async function assertExact({ store, current }: Parts, vectorName: VectorName, hits = ask(store, vectorName)) {
  const query = { vectorName, vector: vectorOf(vectorFor(-7)), k: K }
  const found = await hits
  const expected = bruteForce([...current.values()], query)
  assert.equal(found.length, expected.length)
  for (const [i, { score }] of expected.entries()) assertClose(found[i]!.score, score)
}

test('while a first search reads the points, other work has its turns, and every write of theirs is found', async () => {
  const user = fc.integer({ min: 0, max: POINTS + 50 })
  const doing = fc.record({
    user,
    seed: fc.integer({ min: 0, max: 1e6 }),
    isStub: fc.boolean(),
    purge: fc.boolean(),
  })
  const turns = fc.array(fc.array(doing, { maxLength: 40 }), { minLength: 3, maxLength: 8, size: 'max' })
  await fc.assert(
    fc.asyncProperty(turns, async (drawn) => {
      await withStore(async (parts) => {
        const { store, put, pages } = parts
        let isDone = false
        const hits = ask(store, B).finally(() => {
          isDone = true
        })
        let turnsTaken = 0
        for (const work of drawn) {
          for (const { user, seed, isStub, purge } of work) {
            await put([isStub ? stubOf(`u${user}`) : pointFor(user, seed)])
            // A purged row's place may be taken by a new point, behind where the pass has read.
            if (purge) await store.purgeStubs(NAME, Number.MAX_SAFE_INTEGER)
          }
          if (!isDone) turnsTaken++
          await turn()
        }
        await hits
        assert.ok(turnsTaken > 2, `${turnsTaken} turns for others, ${pages()} pages`)
        // What the pass left in memory is what is stored, without reading it again.
        const read = pages()
        await assertExact(parts, B)
        assert.equal(pages(), read)
      })
    }),
    { seed: 20261124, numRuns: 8 },
  )
})

test('one pass reads all names that readers are given, whoever asks meanwhile waits for it', async () => {
  await withStore(async (parts) => {
    const { store, pages } = parts
    await store.setReaderNames(NAME, new Map([A, B].map((name) => [name as string as InstructionId, name])))
    await assertExact(parts, A)
    const once = pages()
    assert.ok(once > 2, `${once} pages`)
    await assertExact(parts, B)
    assert.equal(pages(), once, 'the second instruction is in memory')
    // C is nobody's reader name: one more pass, for two who ask at once.
    await Promise.all([assertExact(parts, C), assertExact(parts, C)])
    assert.equal(pages(), 2 * once)
  })
})

test('a filter and a payload see what a pass has read', async () => {
  await withStore(async ({ store, put, current }) => {
    const marked = pointOf(
      'marked',
      { [B]: vectorFor(5) },
      { segment: 'gold', tenant: 't1', lastEventAtMs: 20 },
    )
    const never = pointOf(
      'never',
      { [B]: vectorFor(6) },
      { segment: 'gold', tenant: 't1', lastEventAtMs: null },
    )
    await put([marked, never])
    const query = { vectorName: B, vector: vectorOf(vectorFor(5)), k: K }
    for (const filter of [
      { tenantId: 't1' },
      { segment: 'gold' },
      { segment: 'gold', lastEventSinceMs: 20 },
    ]) {
      const asked = { ...query, filter: filter as never }
      const hits = await store.search(NAME, asked)
      assert.deepEqual(
        hits.map(({ id }) => id),
        bruteForce([...current.values()], asked).map(({ id }) => id),
      )
      assert.deepEqual(hits[0]?.payload, marked.kind === 'vectors' && marked.payload)
    }
  })
})

test('a name that is dropped, or made anew, while it is read brings no old vector', async () => {
  await withStore(async (parts) => {
    const { store, put } = parts
    const hits = ask(store, B)
    await turn()
    await store.dropVectorNames(NAME, [B])
    await assert.rejects(hits, { code: 'search-vector-name' })
    await store.ensureVectorNames(NAME, [B])
    const again = ask(store, B)
    await turn()
    await store.dropVectorNames(NAME, [B])
    await store.ensureVectorNames(NAME, [B])
    await put([pointFor(1, 1)])
    assert.deepEqual(
      (await again).map(({ id }) => id),
      [idOf('u1')],
    )
  })
})

test('a collection that is dropped while it is read is missing; one made anew is empty', async () => {
  await withStore(async ({ store }) => {
    const missing = assert.rejects(ask(store, B), { code: 'collection-missing' })
    await turn()
    await store.dropCollection(NAME)
    await missing
    await store.ensureCollection(SPEC)
    await store.ensureVectorNames(NAME, [B])
    await store.upsert(NAME, { epoch: 1, write: 1 }, [pointOf('u1', { [B]: vectorFor(0) })])
    const hits = ask(store, B)
    await store.dropCollection(NAME)
    await store.ensureCollection(SPEC)
    await store.ensureVectorNames(NAME, [B])
    assert.deepEqual(await hits, [])
  })
})

test('a search that is under way when the store is closed is told so', async () => {
  await withStore(async ({ store }) => {
    const closed = assert.rejects(ask(store, B), { code: 'vectors-closed', name: 'UnavailableError' })
    await turn()
    await store.close()
    await closed
  })
})
