import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { QdrantClient } from '@qdrant/js-client-grpc'
import { ALICE, BOB, grpcFact } from './facts.ts'

type Upsert = Parameters<ReturnType<typeof points>['upsert']>[0]

function points({ grpc }: { grpc: QdrantClient }) {
  return grpc.api('points')
}

const uuid = (value: string) => ({ pointIdOptions: { case: 'uuid' as const, value } })
const integer = (value: number) => ({ kind: { case: 'integerValue' as const, value: BigInt(value) } })

const given = (id: string, vector: ArrayLike<number> | null, write: number) => ({
  id: uuid(id),
  payload: { write: integer(write), segment: { kind: { case: 'stringValue' as const, value: 'gold' } } },
  vectors: {
    vectorsOptions: {
      case: 'vectors' as const,
      value: {
        vectors:
          vector === null
            ? {}
            : { v: { vector: { case: 'dense' as const, value: { data: vector as number[] } } } },
      },
    },
  },
})

const upTo = (write: number): Upsert['updateFilter'] => ({
  should: [
    { conditionOneOf: { case: 'field', value: { key: 'write', range: { lte: write } } } },
    { conditionOneOf: { case: 'isEmpty', value: { key: 'write' } } },
  ],
})

describe('gRPC', () => {
  grpcFact('a guarded upsert writes what REST reads, and is fenced by what REST wrote', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.upsert(name, {
      wait: true,
      points: [{ id: BOB, vector: { v: [0, 1] }, payload: { write: 9 } }],
    })
    const { result } = await points(place).upsert({
      collectionName: name,
      wait: true,
      points: [given(ALICE, Float32Array.of(3, 4), 5), given(BOB, [1, 0], 5)],
      updateFilter: upTo(5),
    })
    const COMPLETED = 2
    assert.equal(result?.status, COMPLETED)
    const found = await client.retrieve(name, { ids: [ALICE, BOB], with_vector: true })
    assert.deepEqual(
      found.sort((a, b) => (a.id < b.id ? 1 : -1)),
      [
        { id: ALICE, payload: { write: 5, segment: 'gold' }, vector: { v: [0.6, 0.8] } },
        { id: BOB, payload: { write: 9 }, vector: { v: [0, 1] } },
      ],
    )
  })

  grpcFact('a stub goes through, and an empty list in a filter is no condition', async (place) => {
    const { client } = place
    const name = await place.made()
    await points(place).upsert({ collectionName: name, wait: true, points: [given(ALICE, [1, 0], 1)] })
    await points(place).upsert({
      collectionName: name,
      wait: true,
      points: [given(ALICE, null, 2)],
      updateFilter: { ...upTo(2), must: [], mustNot: [] },
    })
    const [point] = await client.retrieve(name, { ids: [ALICE], with_vector: true })
    assert.deepEqual(point, { id: ALICE, payload: { write: 2, segment: 'gold' }, vector: {} })
  })

  grpcFact(
    'numbers that are none are stored, unlike over REST, and rank first without a score',
    async (place) => {
      const { client } = place
      const name = await place.made()
      await points(place).upsert({
        collectionName: name,
        wait: true,
        points: [given(ALICE, [Number.NaN, 0], 1), given(BOB, [1, 0], 1)],
      })
      const { points: found } = await client.query(name, { query: [1, 0], using: 'v' })
      assert.deepEqual(
        found.map(({ id, score }) => [id, score]),
        [
          [ALICE, null],
          [BOB, 1],
        ],
      )
    },
  )

  grpcFact('get and query answer as REST does', async (place) => {
    const name = await place.made()
    await points(place).upsert({
      collectionName: name,
      wait: true,
      points: [given(ALICE, [1, 0], 1), given(BOB, [3, 4], 2)],
    })
    const everything = { selectorOptions: { case: 'enable' as const, value: true } }
    const { result } = await points(place).get({
      collectionName: name,
      ids: [uuid(BOB)],
      withPayload: everything,
      withVectors: everything,
    })
    const vectors = result[0]?.vectors?.vectorsOptions
    assert.equal(vectors?.case, 'vectors')
    const data = vectors.value.vectors.v?.vector
    assert.deepEqual(
      data?.case === 'dense' && data.value.data.map((x) => Math.round(x * 10) / 10),
      [0.6, 0.8],
    )
    assert.deepEqual(result[0]?.payload.write?.kind.value, 2n)
    const found = await points(place).query({
      collectionName: name,
      using: 'v',
      query: {
        variant: {
          case: 'nearest',
          value: { variant: { case: 'dense', value: { data: [1, 0] } } },
        },
      },
      filter: { must: [{ conditionOneOf: { case: 'field', value: { key: 'write', range: { gte: 1 } } } }] },
      params: { exact: true },
      limit: 1n,
      offset: 1n,
    })
    assert.equal(found.result.length, 1)
    assert.equal(found.result[0]?.id?.pointIdOptions.value, BOB)
    assert.ok(Math.abs(found.result[0].score - 0.6) < 1e-6)
  })

  const refused: Record<string, [Partial<Upsert>, number, RegExp]> = {
    'a collection that isn’t there': [
      { collectionName: 'nowhere' },
      5,
      /Collection `nowhere` doesn't exist!/,
    ],
    'another dimension': [
      { points: [given(ALICE, [1], 1)] },
      3,
      /Vector dimension error: expected dim: 2, got 1/,
    ],
    'an id that is none': [{ points: [{ ...given(ALICE, [1, 0], 1), id: uuid('alice') }] }, 3, /UUID/],
  }
  for (const [what, [change, code, text]] of Object.entries(refused))
    grpcFact(`${what} is refused with code ${code}`, async (place) => {
      const name = await place.made()
      const request = { collectionName: name, wait: true, points: [given(ALICE, [1, 0], 1)], ...change }
      const error = await points(place)
        .upsert(request as Upsert)
        .then(
          () => assert.fail('expected a refusal'),
          (thrown: { code: number; message: string }) => thrown,
        )
      assert.equal(error.code, code)
      assert.match(error.message, text)
    })
})
