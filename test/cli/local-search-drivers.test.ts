/** Whichever store is behind it, a search gives the same neighbours on the same pages; only an index may miss some. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { LocalRecall } from '../../src/cli/local-recall.ts'
import { LocalSearch } from '../../src/cli/local-search.ts'
import { UserLookup } from '../../src/cli/user-lookup.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { openQdrant } from '../../src/drivers/qdrant/open-qdrant.ts'
import { type TenantId, type UserId, userKey } from '../../src/events/ids.ts'
import { GENERAL, type VectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import type { Target } from '../../src/pipeline/view.ts'
import type { NearestRequest, Neighbour } from '../../src/server/service.ts'
import { aliasName, pointId } from '../../src/vectors/names.ts'
import type { Point, PointId, VectorStore } from '../../src/vectors/vector-store.ts'
import { type QdrantDouble, startQdrantDouble } from '../drivers/qdrant/double/qdrant-double.ts'
import { drawnQuestions, HOUR_MS } from './drawn-questions.ts'
import { type Fixture, NOW_MS, openFixture, ref, search } from './standalone-fixture.ts'

const MODEL = 'golden-linear' as ModelId
const DIMENSIONS = 16
const STRANGERS = 80
const KNOWN = ['ada', 'ben', 'chloe', 'dev', 'elif', 'femi']
/** Vectors go to the server with seven decimals, and are compared there in float32. */
const TOLERANCE = 1e-5

/** Directions all over the sphere; those of the last users repeat those of the first: ties. */
const DIRECTIONS = drawDirections()

function drawDirections(): Float32Array[] {
  const random = new SeededRandom(16)
  return Array.from({ length: 60 }, () => Float32Array.from({ length: DIMENSIONS }, () => random.normal()))
}

function vectorOf(i: number): Float32Array {
  return DIRECTIONS[i % DIRECTIONS.length]!
}

function point(user: string, i: number, vectorName: VectorName): Point {
  const tenantId = (i % 7 === 3 ? 'acme' : 'default') as TenantId
  const userId = user as UserId
  const payload = {
    userId,
    tenantId,
    segment: ['gold', 'silver', null][i % 3]!,
    lastEventAtMs: i % 10 === 0 ? null : NOW_MS - (i % 6) * HOUR_MS,
    asOfDay: '2026-01-15',
    inputHash: 'none',
    model: MODEL,
    expiresAtMs: null,
  }
  const id = pointId(userKey(tenantId, userId))
  return { kind: 'vectors', id, payload, vectors: new Map([[vectorName, vectorOf(i)]]) }
}

suite('search over both drivers', () => {
  let fixture: Fixture
  let double: QdrantDouble
  let vague: QdrantDouble
  let main: Target
  let vectorName: VectorName
  const opened: VectorStore[] = []

  before(async () => {
    fixture = await openFixture()
    await fixture.service.ingest(KNOWN.map((user) => search(user, `hotels for ${user}`)))
    await fixture.settle()
    const { updater, vectors } = fixture.standalone.parts
    main = updater.control.view.main
    vectorName = (await vectors.readerNames(main.collection)).get(GENERAL)!
    double = await startQdrantDouble()
    vague = await startQdrantDouble({ approximateSeed: 7 })
  })

  after(async () => {
    for (const store of opened) await store.close()
    await double.close()
    await vague.close()
    await fixture.close()
  })

  const points = () => [
    ...KNOWN.map((user, i) => point(user, i * 7, vectorName)),
    ...Array.from({ length: STRANGERS }, (_, i) => point(`stranger-${i}`, i, vectorName)),
  ]

  /** @returns a store on the server, with the same points as every other */
  async function storeOn({ url }: QdrantDouble): Promise<VectorStore> {
    const { settings } = loadSettings({ file: null, env: {}, flags: { 'vectors.qdrant.url': url } })
    const store = await openQdrant(settings.vectors.qdrant, fixture.standalone.parts.clock)
    opened.push(store)
    const infos = await fixture.standalone.parts.vectors.collections()
    const {
      vectorNames,
      readerNames,
      points: _,
      stubs: __,
      ...spec
    } = infos.find(({ name }) => name === main.collection)!
    await store.ensureCollection(spec)
    await store.ensureVectorNames(main.collection, vectorNames)
    await store.setReaderNames(main.collection, readerNames)
    await store.setAlias(aliasName(main.group), main.collection)
    await store.upsert(main.collection, { epoch: 2 ** 40, write: 1 }, points())
    return store
  }

  function searchOver(vectors: VectorStore): LocalSearch {
    const { parts } = fixture.standalone
    return new LocalSearch({ ...parts, vectors }, new UserLookup(parts))
  }

  async function paged(
    local: LocalSearch,
    request: Omit<NearestRequest, 'k'>,
    k: number,
  ): Promise<Neighbour[]> {
    const found: Neighbour[] = []
    for (let next: string | null | undefined; next !== null; ) {
      const answer = await local.nearest({ ...request, k, ...(next === undefined ? {} : { after: next }) })
      found.push(...answer.neighbours)
      next = answer.next
    }
    return found
  }

  test('pages, filters, thresholds and seeds give the same neighbours from SQLite and from Qdrant', async () => {
    const { vectors: sqlite } = fixture.standalone.parts
    await sqlite.upsert(main.collection, { epoch: 2 ** 40, write: 1 }, points())
    const near = searchOver(sqlite)
    const far = searchOver(await storeOn(double))
    const start: fc.Arbitrary<NearestRequest['from']> = fc.oneof(
      fc
        .uniqueArray(fc.constantFrom(...KNOWN), { minLength: 1, maxLength: 3 })
        .map((users) => ({ users: users.filter((user) => user !== 'dev').map(ref) }))
        .filter(({ users }) => users.length > 0),
      fc.constant<NearestRequest['from']>({ text: 'hotels near the sea' }),
      fc.nat({ max: 500 }).map((i) => ({ vector: [...vectorOf(i)], model: MODEL })),
    )
    await fc.assert(
      fc.asyncProperty(drawnQuestions(start), fc.integer({ min: 8, max: 40 }), async (given, k) => {
        const request = { instruction: GENERAL, ...given }
        const [ours, theirs] = [await paged(near, request, k), await paged(far, request, k)]
        assert.deepEqual(
          theirs.map(({ score: _, ...about }) => about),
          ours.map(({ score: _, ...about }) => about),
        )
        for (const [i, { score }] of theirs.entries())
          assert.ok(Math.abs(score - ours[i]!.score) <= TOLERANCE, `${score}, ${ours[i]!.score}`)
      }),
      { seed: 20261303, numRuns: 40 },
    )
  })

  test('where an index misses every fifth point, recall says how much readers miss, and exact pages miss nobody', async () => {
    const store = await storeOn(vague)
    const local = searchOver(store)
    const { parts } = fixture.standalone
    const everybody = await paged(local, { instruction: GENERAL, from: { text: 'x' }, exact: true }, 20)
    assert.equal(everybody.length, KNOWN.length + STRANGERS)
    const found = await paged(local, { instruction: GENERAL, from: { text: 'x' } }, 20)
    const seen = new Set(found.map(({ user }) => user))
    assert.ok(seen.size < everybody.length && seen.size > everybody.length / 2)

    const k = 8
    const recalls: number[] = []
    const asked = new Map<UserId, PointId>(
      KNOWN.map((user) => [ref(user).user, pointId(userKey(ref(user).tenant, ref(user).user))]),
    )
    for (const [user, id] of asked) {
      const vector = points().find((one) => one.id === id)
      if (vector?.kind !== 'vectors') continue
      const exact = await local.nearest({
        instruction: GENERAL,
        k,
        from: { users: [ref(user)] },
        filter: { tenantId: ref(user).tenant },
        exact: true,
      })
      recalls.push(exact.neighbours.filter((one) => seen.has(one.user)).length / k)
    }
    const lookup = new UserLookup(parts)
    const recall = new LocalRecall({ ...parts, vectors: store }, lookup, local)
    const answer = await recall.measure({ instruction: GENERAL, k, sample: 100 })
    assert.equal(answer.alwaysExact, false)
    assert.equal(answer.users, recalls.length)
    const mean = recalls.reduce((sum, one) => sum + one, 0) / recalls.length
    assert.ok(mean < 1)
    assert.ok(Math.abs(answer.recall!.mean - mean) < 1e-12, `${answer.recall!.mean}, ${mean}: float64`)
    assert.equal(answer.recall!.p5, Math.min(...recalls))
  })
})
