import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import { openVectorsFile } from '../../../src/drivers/sqlite/vectors-file.ts'
import type { VectorName } from '../../../src/instructions/instruction.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import type { Point, VectorStore } from '../../../src/vectors/vector-store.ts'
import { A, assertClose, B, bruteForce, idOf, pointOf, stubOf, unit, vectorOf } from '../../vectors/points.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'
import { tempDirectory } from './temp-directory.ts'
import type { ChildWrote } from './vectors-file-child.ts'
import { ALIAS, makeCollection, NAME, requestsOf, vectorFor } from './vectors-file-requests.ts'

const CHILDREN = 3

const newPath = () => join(tempDirectory(), 'shared', 'vectors.db')
const open = (path: string) => openVectorsFile({ path, clock: systemClock })

/** Everything is written by one store and read by another. */
function splitStore(writer: VectorStore, reader: VectorStore): VectorStore {
  return {
    alwaysExact: true,
    collections: () => reader.collections(),
    ensureCollection: (spec) => writer.ensureCollection(spec),
    dropCollection: (name) => writer.dropCollection(name),
    ensureVectorNames: (name, names) => writer.ensureVectorNames(name, names),
    dropVectorNames: (name, names) => writer.dropVectorNames(name, names),
    readerNames: (name) => reader.readerNames(name),
    setReaderNames: (name, names) => writer.setReaderNames(name, names),
    upsert: (name, version, points) => writer.upsert(name, version, points),
    get: (name, ids, names) => reader.get(name, ids, names),
    lacks: (name, vectorName) => writer.lacks(name, vectorName),
    purgeStubs: (name, beforeMs) => writer.purgeStubs(name, beforeMs),
    search: (name, query) => reader.search(name, query),
    differences: (name) => reader.differences(name),
    mend: (name) => writer.mend(name),
    alias: (alias) => reader.alias(alias),
    setAlias: (alias, name) => writer.setAlias(alias, name),
    close: async () => {},
  }
}

vectorStoreContract('one file, written by one store and read by another', async (clock) => {
  const path = newPath()
  const [writer, reader] = [openVectorsFile({ path, clock }), openVectorsFile({ path, clock })]
  const dispose = async () => {
    await writer.close()
    await reader.close()
  }
  return { store: splitStore(writer, reader), dispose }
})

/** A store whose commits don't wait for the disk, and how many pages of points it has read into memory. */
function quickStore(path: string) {
  const database = new SqliteDatabase({ path, migrations: VECTOR_MIGRATIONS, isCache: true })
  const prepare = database.prepare.bind(database)
  const read = { pages: 0 }
  database.prepare = (sql) => {
    if (/FROM points_\d+ WHERE point > \?/.test(sql)) read.pages++
    return prepare(sql)
  }
  return { store: new SqliteVectorStore(database, systemClock), read, close: () => database.close() }
}

async function withTwo(use: (a: VectorStore, b: VectorStore, path: string) => Promise<void>): Promise<void> {
  const path = newPath()
  const [a, b] = [open(path), open(path)]
  try {
    await makeCollection(a)
    await use(a, b, path)
  } finally {
    await a.close()
    await b.close()
  }
}

describe('one file of vectors, several stores', () => {
  test('whoever writes and in whatever order, each store finds exactly what lies in the file', async () => {
    const step = fc.record({
      by: fc.constantFrom(0, 1),
      what: fc.constantFrom('point', 'point', 'point', 'stub', 'purge', 'remake B', 'remake all', 'search'),
      user: fc.integer({ min: 0, max: 7 }),
      axis: fc.integer({ min: 0, max: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
        await withTwo(async (a, b) => {
          const stores = [a, b]
          let current = new Map<string, Point>()
          let write = 0
          const agree = async (store: VectorStore, vectorName: VectorName) => {
            const query = { vectorName, vector: vectorOf([1, 2, 3, 4, 5, 6]), k: 50 }
            const hits = await store.search(NAME, query)
            const expected = bruteForce([...current.values()], query)
            assert.deepEqual(
              hits.map(({ id }) => id),
              expected.map(({ id }) => id),
            )
            for (const [i, { score }] of expected.entries()) assertClose(hits[i]!.score, score)
          }
          for (const { by, what, user, axis } of steps) {
            const store = stores[by]!
            const version = { epoch: 1, write: ++write }
            const name = `u${user}`
            if (what === 'point' || what === 'stub') {
              // Scores of one size each, so that the order is known.
              const vector = unit(axis).map((x, i) => x + (user + 1) / (i + 20))
              const point = what === 'stub' ? stubOf(name) : pointOf(name, { [A]: vector, [B]: vector })
              await store.upsert(NAME, version, [point])
              current.set(name, point)
            } else if (what === 'purge') await store.purgeStubs(NAME, Number.MAX_SAFE_INTEGER)
            else if (what === 'remake B') {
              await store.dropVectorNames(NAME, [B])
              await store.ensureVectorNames(NAME, [B])
              for (const [key, point] of current)
                if (point.kind === 'vectors')
                  current.set(key, { ...point, vectors: new Map([[A, point.vectors.get(A)!]]) })
            } else if (what === 'remake all') {
              await store.dropCollection(NAME)
              await makeCollection(store)
              current = new Map()
            } else await agree(stores[1 - by]!, B)
          }
          for (const store of stores) for (const vectorName of [A, B]) await agree(store, vectorName)
        })
      }),
      { seed: 20261124, numRuns: 40 },
    )
  })

  test('what another wrote is put in point by point; only who lags far behind reads everything again', async () => {
    const path = join(tempDirectory(), 'vectors.db')
    const [writing, reading] = [quickStore(path), quickStore(path)]
    const [{ store: a }, { store: b, read }] = [writing, reading]
    await makeCollection(a)
    const points = Array.from({ length: 50 }, (_, i) => pointOf(`u${i}`, { [A]: vectorFor(`u${i}`, 1, i) }))
    await a.upsert(NAME, { epoch: 1, write: 1 }, points)
    const ask = () => b.search(NAME, { vectorName: A, vector: vectorOf(unit(0)), k: 1 })
    await ask()
    assert.equal(read.pages, 1)
    for (let write = 2; write < 40; write++) {
      await a.upsert(NAME, { epoch: 1, write }, [pointOf(`u${write}`, { [A]: unit(0) })])
      assert.ok((await ask())[0]!.score > 1 - 1e-6)
    }
    assert.equal(read.pages, 1)
    // More requests than are remembered: the first of them can't be followed any more.
    const moved = pointOf('u1', { [A]: [0, 0, 0, 0, 0, -1] })
    await a.upsert(NAME, { epoch: 2, write: 1 }, [moved])
    for (let write = 1; write <= 4_700; write++)
      await a.upsert(NAME, { epoch: 3, write }, [pointOf('u2', { [A]: unit(2) })])
    const [hit] = await b.search(NAME, { vectorName: A, vector: vectorOf([0, 0, 0, 0, 0, -1]), k: 1 })
    assert.equal(hit!.id, idOf('u1'))
    assert.equal(read.pages, 2)
    writing.close()
    reading.close()
  })

  test('collections, names for readers and aliases that another made or dropped are seen at once', async () => {
    await withTwo(async (a, b) => {
      assert.deepEqual(
        (await b.collections()).map(({ name, vectorNames }) => [name, vectorNames]),
        [[NAME, [A, B]]],
      )
      // Both make what is there already.
      await makeCollection(b)
      await a.setReaderNames(NAME, new Map([['repay' as never, B]]))
      assert.deepEqual(await b.readerNames(NAME), new Map([['repay', B]]))
      await b.setAlias(ALIAS, NAME)
      assert.equal(await a.alias(ALIAS), NAME)
      await b.dropVectorNames(NAME, [B])
      const withB = [pointOf('u1', { [B]: unit(1) })]
      await assert.rejects(a.upsert(NAME, { epoch: 1, write: 1 }, withB), { code: 'vector-name-unknown' })
      await a.dropCollection(NAME)
      await assert.rejects(b.get(NAME, [idOf('u1')]), { code: 'collection-missing' })
      await assert.rejects(b.upsert(NAME, { epoch: 1, write: 1 }, withB), { code: 'collection-missing' })
      await b.dropCollection(NAME)
      assert.equal(await b.alias(ALIAS), null)
    })
  })

  test(`${CHILDREN} processes that make one file together and write it at once leave the newest version of every point`, async () => {
    const path = newPath()
    const children = Array.from({ length: CHILDREN }, (_, seed) =>
      fork(new URL('vectors-file-child.ts', import.meta.url), [path, String(seed + 1)], { execArgv: [] }),
    )
    const first = await Promise.all(children.map((child) => told<ChildWrote>(child)))
    const exits = children.map((child) => once(child, 'exit'))
    for (const child of children) child.send('all have written')
    const found = await Promise.all(children.map((child) => told<[string, number][]>(child)))
    for (const { searches } of first) assert.ok(searches > 10)
    for (const [code] of await Promise.all(exits)) assert.equal(code, 0)

    const newest = new Map<string, { epoch: number; write: number; isStub: boolean }>()
    for (let seed = 1; seed <= CHILDREN; seed++)
      for (const { epoch, write, users } of requestsOf(seed))
        for (const { user, isStub } of users) {
          const known = newest.get(user)
          if (known === undefined || epoch > known.epoch || (epoch === known.epoch && write >= known.write))
            newest.set(user, { epoch, write, isStub })
        }
    const store = open(path)
    const stored = await store.get(NAME, [...newest.keys()].map(idOf))
    const points: Point[] = []
    for (const [user, { epoch, write, isStub }] of newest) {
      const { version, point } = stored.get(idOf(user))!
      const expected = isStub ? stubOf(user) : pointOf(user, { [A]: vectorFor(user, epoch, write) })
      assert.deepEqual({ version, point }, { version: { epoch, write }, point: expected })
      points.push(point)
    }
    const query = { vectorName: A, vector: vectorOf(vectorFor('u', 1, 1)), k: 1_000 }
    const scores = new Map(bruteForce(points, query).map(({ id, score }) => [id as string, score]))
    for (const hits of found) {
      assert.equal(hits.length, scores.size)
      for (const [id, score] of hits) assertClose(score, scores.get(id)!)
    }
    await store.close()
  })

  test('a file that another holds for too long is unavailable, not broken', () => {
    const path = newPath()
    open(path).close()
    const holder = new SqliteDatabase({ path, migrations: VECTOR_MIGRATIONS })
    const waiting = new SqliteDatabase({ path, migrations: VECTOR_MIGRATIONS, lockWaitMs: 50 })
    holder.write(() => {
      const busy = { code: 'database-busy', name: 'UnavailableError' }
      assert.throws(() => waiting.write(() => waiting.exec('DELETE FROM changes')), busy)
    })
    waiting.write(() => waiting.exec('DELETE FROM changes'))
    holder.close()
    waiting.close()
  })
})

/** The next message of a child. @throws when it ends first */
async function told<Message>(child: ChildProcess): Promise<Message> {
  const ended = new AbortController()
  try {
    return await Promise.race([
      once(child, 'message', ended).then(([message]) => message as Message),
      once(child, 'exit', ended).then(([code]) => assert.fail(`a child ended by ${code}`)),
    ])
  } finally {
    ended.abort()
  }
}
