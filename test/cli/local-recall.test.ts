/** Recall on demand: what an index misses is counted, and what it finds in place of an equal isn't. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { LocalRecall } from '../../src/cli/local-recall.ts'
import { LocalSearch, type SearchParts } from '../../src/cli/local-search.ts'
import { UserLookup } from '../../src/cli/user-lookup.ts'
import { GENERAL, type InstructionId } from '../../src/instructions/instruction.ts'
import type { RecallAnswer } from '../../src/server/service.ts'
import type { Hit, PointId, VectorStore } from '../../src/vectors/vector-store.ts'
import { type Fixture, openFixture, ref, search } from './standalone-fixture.ts'

const USERS = 12
const REQUEST = { instruction: GENERAL, k: 5, sample: 100 }

suite('recall', () => {
  let fixture: Fixture
  let vectors: VectorStore

  before(async () => {
    fixture = await openFixture()
    const users = Array.from({ length: USERS }, (_, i) => `user-${i}`)
    await fixture.service.ingest(users.map((user, i) => search(user, `${'hotels '.repeat(i)}near ${user}`)))
    await fixture.settle()
    vectors = fixture.standalone.parts.vectors
  })

  after(() => fixture.close())

  /**
   * Over a store whose search, where it needn't be exact, answers what `answer` makes of all others by rank. Scores are
   * by rank as well: those of the golden model, which is tiny, lie too near each other to tell users apart.
   */
  function recallOver(
    answer: (ranked: Hit[], asker: PointId) => Hit[],
    scoreOf = (rank: number) => 1 - rank / 100,
  ) {
    const { parts } = fixture.standalone
    const store: SearchParts['vectors'] = {
      alias: (name) => vectors.alias(name),
      readerNames: (name) => vectors.readerNames(name),
      get: (name, ids, names) => vectors.get(name, ids, names),
      search: async (name, query) => {
        const hits = await vectors.search(name, { ...query, k: USERS })
        const ranked = hits.map((hit, rank) => ({ ...hit, score: scoreOf(rank) }))
        return (query.exact === true ? ranked : answer(ranked, query.exclude![0]!)).slice(0, query.k)
      },
    }
    const lookup = new UserLookup(parts)
    const search = new LocalSearch({ ...parts, vectors: store }, lookup)
    return new LocalRecall({ ...parts, vectors: store }, lookup, search)
  }

  function assertRecall(answer: RecallAnswer, mean: number, p5: number): void {
    assert.equal(answer.users, USERS)
    assert.equal(answer.recall!.p5, p5)
    assert.ok(
      Math.abs(answer.recall!.mean - mean) < 1e-12,
      `a mean of twelve float64: ${answer.recall!.mean}`,
    )
  }

  test('a store without an index says so, finds everything, and is timed both ways', async () => {
    const answer = await fixture.service.recall(REQUEST)
    assert.deepEqual([answer.alwaysExact, answer.users, answer.k], [true, USERS, 5])
    assert.deepEqual([answer.model, answer.instruction, answer.stale], ['golden-linear', 'general', false])
    assert.deepEqual(answer.recall, { mean: 1, p5: 1 })
    for (const ms of [answer.searchMs!, answer.exactMs!]) assert.ok(ms.p50 > 0 && ms.p95 >= ms.p50)
  })

  test('an index that misses the second of every user’s neighbours has a recall of four fifths', async () => {
    const recall = recallOver((ranked) => ranked.toSpliced(1, 1))
    const answer = await recall.measure(REQUEST)
    assert.equal(answer.alwaysExact, false)
    assertRecall(answer, 0.8, 0.8)
  })

  test('one user who finds nobody is the fifth percentile of twelve, and one twelfth of the mean', async () => {
    let unlucky: PointId | undefined
    const recall = recallOver((ranked, asker) => {
      unlucky ??= asker
      return asker === unlucky ? [] : ranked
    })
    assertRecall(await recall.measure(REQUEST), 11 / 12, 0)
  })

  test('whoever is as near as the last of the exact answer stands for one that is missing, and never for a nearer one', async () => {
    // From the fifth on all are equal: the exact search names the fifth, this index the eighth and the ninth.
    const recall = recallOver(
      (ranked) => [...ranked.slice(1, 4), ...ranked.slice(7, 9)],
      (rank) => 1 - Math.min(rank, 4) / 100,
    )
    assertRecall(await recall.measure(REQUEST), 0.8, 0.8)
  })

  test('the sample bounds the users, and k is checked as in a search', async () => {
    assert.equal((await fixture.service.recall({ ...REQUEST, sample: 4 })).users, 4)
    await assert.rejects(fixture.service.recall({ ...REQUEST, k: 0 }), { code: 'search-k' })
    const unknown = { ...REQUEST, instruction: 'nope' as InstructionId }
    await assert.rejects(fixture.service.recall(unknown), { code: 'instruction-unknown', status: 404 })
  })

  test('users without a vector, or alone in their tenant, have no recall; with nobody else there is none', async () => {
    for (let i = 0; i < USERS - 1; i++) await fixture.service.forget(ref(`user-${i}`))
    await fixture.settle()
    const answer = await fixture.service.recall(REQUEST)
    const { users, recall, searchMs, exactMs } = answer
    assert.deepEqual([users, recall, searchMs, exactMs], [0, null, null, null])
  })
})
