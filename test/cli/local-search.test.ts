/** Pages of neighbours: together one long answer, pinned to one model, over the real store and the real model. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { LocalSearch } from '../../src/cli/local-search.ts'
import { UserLookup } from '../../src/cli/user-lookup.ts'
import { ConfigError, UnavailableError } from '../../src/errors.ts'
import { type TenantId, type UserId, userKey } from '../../src/events/ids.ts'
import { GENERAL, type InstructionId, type VectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import { writeCursor } from '../../src/server/pages.ts'
import type { NearestAnswer, NearestRequest } from '../../src/server/service.ts'
import { aliasName, collectionName, pointId } from '../../src/vectors/names.ts'
import { DEPTH_MAX, type Point, type SearchQuery, type VectorStore } from '../../src/vectors/vector-store.ts'
import { drawnQuestions, HOUR_MS } from './drawn-questions.ts'
import { type Fixture, NOW_MS, openFixture, ref, search } from './standalone-fixture.ts'

const MODEL = 'golden-linear' as ModelId
const OLDER = 'older' as ModelId
const DIMENSIONS = 16
const STRANGERS = 90

/** Few distinct values: many users have equal scores, and only their ids say who comes first. */
function strangers(model: ModelId, vectorName: VectorName): Point[] {
  return Array.from({ length: STRANGERS }, (_, i) => {
    const tenantId = (i % 7 === 0 ? 'acme' : 'default') as TenantId
    const userId = `stranger-${i}` as UserId
    const vector = Float32Array.from({ length: DIMENSIONS }, (_, at) => ((i * (at + 3)) % 5) - 1.5)
    const payload = {
      userId,
      tenantId,
      segment: ['gold', 'silver', null][i % 3]!,
      lastEventAtMs: i % 10 === 0 ? null : NOW_MS - (i % 6) * HOUR_MS,
      asOfDay: '2026-01-15',
      inputHash: 'none',
      model,
      expiresAtMs: null,
    }
    const id = pointId(userKey(tenantId, userId))
    return { kind: 'vectors', id, payload, vectors: new Map([[vectorName, vector]]) }
  })
}

suite('pages of neighbours', () => {
  let fixture: Fixture
  let vectors: VectorStore
  let vectorName: VectorName

  before(async () => {
    fixture = await openFixture()
    await fixture.service.ingest(['ada', 'ben', 'chloe'].map((user) => search(user, `hotels for ${user}`)))
    await fixture.settle()
    vectors = fixture.standalone.parts.vectors
    const { collection } = fixture.standalone.parts.updater.control.view.main
    vectorName = (await vectors.readerNames(collection)).get(GENERAL)!
    await vectors.upsert(collection, { epoch: 1, write: 1 }, strangers(MODEL, vectorName))
  })

  after(() => fixture.close())

  const nearest = (request: Partial<NearestRequest>) =>
    fixture.service.nearest({ instruction: GENERAL, k: 10, from: { users: [ref('ada')] }, ...request })

  /** Every page, with the sizes that are given, over and over. */
  async function allPages(
    request: Partial<NearestRequest>,
    sizes: readonly number[],
  ): Promise<NearestAnswer[]> {
    const pages: NearestAnswer[] = []
    for (let next: string | null | undefined; next !== null; next = pages.at(-1)!.next) {
      const k = sizes[pages.length % sizes.length]!
      pages.push(await nearest({ ...request, k, ...(next === undefined ? {} : { after: next }) }))
      assert.ok(pages.length <= STRANGERS + 4, 'pages come to an end')
    }
    return pages
  }

  const starts: fc.Arbitrary<NearestRequest['from']> = fc.oneof(
    fc.constant<NearestRequest['from']>({ users: [ref('ada')] }),
    fc.constant<NearestRequest['from']>({ users: [ref('ben'), ref('ada')] }),
    fc.constant<NearestRequest['from']>({ text: 'hotels near the sea' }),
    fc
      .array(fc.integer({ min: -2, max: 2 }), { minLength: DIMENSIONS, maxLength: DIMENSIONS })
      .filter((vector) => vector.some((value) => value !== 0))
      .map((vector) => ({ vector, model: MODEL })),
  )
  const questions = drawnQuestions(starts)

  test('together they are the one long answer, for any size, start, filter and threshold, and only the last has no next', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(questions, sizes, async (question, ks) => {
        const whole = await nearest({ ...question, k: 1_000 })
        assert.equal(whole.next, null)
        const pages = await allPages(question, ks)
        assert.deepEqual(
          pages.flatMap(({ neighbours }) => neighbours),
          whole.neighbours,
        )
        for (const [i, { neighbours }] of pages.entries())
          if (i < pages.length - 1) assert.equal(neighbours.length, ks[i % ks.length])
          else assert.ok(neighbours.length > 0 || pages.length === 1, 'no page is empty but the only one')
      }),
      { seed: 20261302, numRuns: 120 },
    )
  })

  test('what is before a time and since a time make up the whole, but for users without any event', async () => {
    const from = { text: 'hotels' }
    const usersOf = async (filter: NearestRequest['filter'] & object) =>
      (await nearest({ from, k: 1_000, filter })).neighbours.map(({ user }) => user)
    const boundMs = NOW_MS - 2 * HOUR_MS
    const before = await usersOf({ lastEventBeforeMs: boundMs })
    const since = await usersOf({ lastEventSinceMs: boundMs })
    const anytime = await usersOf({ lastEventSinceMs: 0 })
    assert.deepEqual([...before, ...since].sort(), anytime.sort())
    assert.ok(before.length > 10 && since.length > 10)
    assert.equal((await usersOf({})).length - anytime.length, STRANGERS / 10)
  })

  test('a page of users whose vectors have moved is searched with their vectors of now', async () => {
    await fixture.service.ingest([search('mover', 'hotels in lyon')])
    await fixture.settle()
    const from = { users: [ref('mover')] }
    const first = await nearest({ from, k: 5 })
    await fixture.service.ingest([search('mover', 'rubber boots, size 43', 0)])
    await fixture.settle()
    const moved = await nearest({ from, k: 10 })
    const second = await nearest({ from, k: 5, after: first.next! })
    assert.deepEqual(second.neighbours, moved.neighbours.slice(5))
    await fixture.service.forget(ref('mover'))
    await fixture.settle()
    await assert.rejects(nearest({ from, k: 5, after: first.next! }), { code: 'user-not-embedded' })
  })

  test("the next page comes from the first page's model when another has come into use, and is refused when that model is gone", async () => {
    const { controlLog, updater } = fixture.standalone.parts
    const { main } = updater.control.view
    const older = collectionName(main.group, OLDER)
    const spec = (await vectors.collections()).find(({ name }) => name === main.collection)!
    await controlLog.appendModel({ active: MODEL, also: null, existing: [MODEL, OLDER] })
    await updater.control.readToEnd()
    const { vectorNames: _, readerNames, points, stubs, ...rest } = spec
    assert.ok(points > STRANGERS && stubs >= 0)
    await vectors.ensureCollection({ ...rest, name: older, model: OLDER })
    await vectors.ensureVectorNames(older, [vectorName])
    await vectors.setReaderNames(older, readerNames)
    const turned = strangers(OLDER, vectorName).toReversed()
    await vectors.upsert(older, { epoch: 1, write: 1 }, turned.slice(0, 40))
    const alias = aliasName(main.group)

    const vector = Array.from({ length: DIMENSIONS }, (_, at) => at - 7)
    const ofOlder = { from: { vector, model: OLDER }, k: 15 }
    await assert.rejects(nearest(ofOlder), { code: 'vector-of-other-model', status: 409 })
    await vectors.setAlias(alias, older)
    const first = await nearest(ofOlder)
    assert.deepEqual([first.model, first.stale], [OLDER, true], 'nobody writes there any more')
    await assert.rejects(nearest({ from: { text: 'hotels' } }), {
      name: 'UnavailableError',
      code: 'alias-of-other-model',
    })

    await vectors.setAlias(alias, main.collection)
    const second = await nearest({ ...ofOlder, after: first.next! })
    const third = await nearest({ ...ofOlder, after: second.next! })
    assert.deepEqual([second.model, third.model, third.next], [OLDER, OLDER, null])
    const users = [first, second, third].flatMap(({ neighbours }) => neighbours.map(({ user }) => user))
    assert.deepEqual(
      users.sort(),
      turned
        .slice(0, 40)
        .map((one) => one.kind === 'vectors' && one.payload.userId)
        .sort(),
    )

    const gone = { name: 'RequestError', code: 'page-of-other-model', status: 410 }
    const ofText = { instruction: GENERAL, k: 10, from: { text: 'hotels' } }
    const afterText = writeCursor({ model: OLDER, vectorName, offset: 10 }, ofText)
    await assert.rejects(nearest({ ...ofText, after: afterText }), gone, 'no model is open that embeds it')
    await vectors.dropCollection(older)
    await assert.rejects(nearest({ ...ofOlder, after: first.next! }), gone, 'dropped below the registry')
    await controlLog.appendModel({ active: MODEL, also: null, existing: [MODEL] })
    await updater.control.readToEnd()
    await assert.rejects(nearest({ ...ofOlder, after: first.next! }), gone)
  })

  test('a changed text is searched by the pages of the old one as long as its vectors are kept', async () => {
    const id = 'next' as InstructionId
    await fixture.service.addInstruction({ id, text: 'What next?' })
    await fixture.settle()
    const request = { instruction: id, k: 1 }
    const first = await nearest(request)
    await fixture.service.addInstruction({ id, text: 'What will they need next?' })
    await fixture.settle()
    const anew = await nearest(request)
    assert.notEqual(anew.vectorName, first.vectorName)
    assert.equal((await nearest({ ...request, after: first.next! })).vectorName, first.vectorName)
    fixture.clock.nowMs += fixture.standalone.parts.settings.instructions.retireAfterMs + 1
    await fixture.settle()
    await fixture.settle()
    await assert.rejects(nearest({ ...request, after: first.next! }), {
      code: 'page-of-other-model',
      status: 410,
    })
    await nearest({ ...request, after: anew.next! })
    await fixture.service.retireInstruction(id)
    await assert.rejects(nearest({ ...request, after: anew.next! }), {
      code: 'instruction-not-read',
      status: 404,
    })
    await fixture.settle()
  })

  test('what is asked reaches the store: a name, no more than it may be asked, and whether it must be exact', async () => {
    const queries: SearchQuery[] = []
    const gotNames: unknown[] = []
    const local = searchOver({
      search: async (name, query) => {
        queries.push(query)
        return vectors.search(name, query)
      },
      get: async (name, ids, names) => {
        gotNames.push(names)
        return vectors.get(name, ids, names)
      },
    })
    const from = { users: [ref('ada')] }
    const { next } = await local.nearest({ instruction: GENERAL, k: 10, from, exact: true })
    await local.nearest({ instruction: GENERAL, k: 1_000, from, exact: true, after: next! })
    await local.nearest({ instruction: GENERAL, k: 10, from, exact: false })
    await local.nearest({ instruction: GENERAL, k: 10, from })
    assert.deepEqual(
      queries.map(({ k, offset, exact }) => [k, offset, exact]),
      [
        [11, 0, true],
        [1_000, 10, true],
        [11, 0, false],
        [11, 0, undefined],
      ],
    )
    assert.deepEqual(gotNames, Array(4).fill([vectorName]))
  })

  test('pages end at the depth that a store may be asked for: the last is shorter, and what is behind it is refused', async () => {
    const [hit] = await vectors.search(fixture.standalone.parts.updater.control.view.main.collection, {
      vectorName,
      vector: new Float32Array(DIMENSIONS).fill(1),
      k: 1,
    })
    // A store without end.
    const local = searchOver({ search: async (_, { k }) => Array(k).fill(hit) })
    const request: NearestRequest = { instruction: GENERAL, k: 999, from: { text: 'hotels' } }
    let answer = await local.nearest(request)
    let count = answer.neighbours.length
    for (let pages = 1; pages < 11; pages++) {
      answer = await local.nearest({ ...request, after: answer.next! })
      count += answer.neighbours.length
    }
    assert.deepEqual([count, answer.neighbours.length], [DEPTH_MAX, DEPTH_MAX % 999])
    await assert.rejects(local.nearest({ ...request, after: answer.next! }), {
      name: 'RequestError',
      code: 'search-depth',
      status: 400,
    })
  })

  test('a store that is down or loses the collection meanwhile is nobody’s mistake: 503, or the end of the pages', async () => {
    const { next } = await nearest({ k: 1 })
    const down = searchOver({ search: () => Promise.reject(new UnavailableError('disk-full', 'make room')) })
    const request: NearestRequest = { instruction: GENERAL, k: 1, from: { users: [ref('ada')] } }
    await assert.rejects(down.nearest(request), { name: 'UnavailableError', code: 'disk-full' })
    await assert.rejects(down.nearest({ ...request, after: next! }), { name: 'UnavailableError' })
    for (const code of ['collection-missing', 'vector-name-unknown']) {
      const lost = searchOver({ search: () => Promise.reject(new ConfigError(code, 'gone')) })
      await assert.rejects(lost.nearest(request), { name: 'UnavailableError', code: 'instruction-not-ready' })
      await assert.rejects(lost.nearest({ ...request, after: next! }), {
        code: 'page-of-other-model',
        status: 410,
      })
    }
    const empty = searchOver({ alias: async () => null })
    await assert.rejects(empty.nearest(request), { name: 'UnavailableError', code: 'instruction-not-ready' })
  })

  /** A search over the fixture's parts, with a store that answers otherwise. */
  function searchOver(other: Partial<VectorStore>): LocalSearch {
    const { parts } = fixture.standalone
    const store = {
      alias: (name) => vectors.alias(name),
      readerNames: (name) => vectors.readerNames(name),
      get: (name, ids, names) => vectors.get(name, ids, names),
      search: (name, query) => vectors.search(name, query),
      ...other,
    } satisfies Partial<VectorStore>
    return new LocalSearch({ ...parts, vectors: store }, new UserLookup(parts))
  }
})
