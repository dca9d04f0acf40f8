/** Random writes and questions about one small collection, for holding two servers against each other. */

import fc from 'fast-check'
import { ALICE, BOB } from './facts.ts'

/** Few, so that requests meet each other's points. */
export const IDS = [1, 2, ALICE, BOB] as const

export interface GivenPoint {
  id: string | number
  vector: Record<string, number[]>
  payload: Record<string, unknown>
}

export type Change =
  | {
      kind: 'upsert'
      points: GivenPoint[]
      filter: object | null
      mode: 'upsert' | 'insert_only' | 'update_only'
    }
  | { kind: 'delete-ids'; ids: (string | number)[] }
  | { kind: 'delete-filter'; filter: object }
  | { kind: 'drop-w' }
  | { kind: 'make-w' }
  | { kind: 'index'; field: string; schema: 'integer' | 'keyword' | 'datetime' }

const id = fc.constantFrom(...IDS)
const small = fc.integer({ min: 0, max: 3 })
const word = fc.constantFrom('gold', 'iron', '')
const time = fc.constantFrom('2026-11-01T00:00:00Z', '2026-11-01T12:00:00.5+01:00', '2026-11-02')
const value = fc.oneof(small, word, time, fc.boolean(), fc.constant(null), fc.constant(1.5))
const listOfValues = fc.array(value, { maxLength: 2 })

const payload = fc.record(
  {
    epoch: small,
    write: small,
    word: fc.oneof(word, fc.array(word, { maxLength: 2 }), fc.constant(null)),
    at: fc.oneof(time, fc.constant('no time')),
    odd: fc.oneof(value, listOfValues),
    nested: fc.array(fc.record({ a: small, b: small }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
)

/** Multiples of an eighth: exact in float16, and their squares in float32. */
const number = fc.integer({ min: -8, max: 8 }).map((eighths) => eighths / 8)
const vectors = fc.record(
  { v: fc.tuple(number, number), w: fc.tuple(number, number, number) },
  { requiredKeys: [] },
)

const key = fc.constantFrom(
  'epoch',
  'write',
  'word',
  'at',
  'odd',
  'odd[]',
  'nested[].a',
  'nested[0].b',
  'never',
)
const numberRange = fc.record({ gte: small, lte: small, gt: small, lt: small }, { requiredKeys: [] })
const timeRange = fc
  .record({ gte: time, lte: time, gt: time, lt: time }, { requiredKeys: [] })
  .filter((range) => Object.keys(range).length > 0)

const match = fc.oneof(
  fc.record({ value: fc.oneof(small, word, fc.boolean()) }),
  fc.record({ any: fc.array(word, { maxLength: 2 }) }),
  fc.record({ any: fc.array(small, { maxLength: 2 }) }),
  fc.record({ except: fc.array(word, { maxLength: 2 }) }),
  fc.record({ except: fc.array(small, { minLength: 1, maxLength: 2 }) }),
)

const field = fc.oneof(
  fc.record({ key, match }),
  fc.record({ key, range: fc.oneof(numberRange, timeRange) }),
  fc.record({ key, is_empty: fc.boolean() }),
  fc.record({ key, is_null: fc.boolean() }),
  fc.record({ key, values_count: fc.record({ gte: small, lt: small }, { requiredKeys: ['lt'] }) }),
)

const nested = fc.array(fc.record({ key: fc.constantFrom('a', 'b'), match: fc.record({ value: small }) }), {
  minLength: 1,
  maxLength: 2,
})

const single = fc.oneof(
  field,
  fc.record({ is_empty: fc.record({ key }) }),
  fc.record({ is_null: fc.record({ key }) }),
  fc.record({ has_id: fc.uniqueArray(id, { maxLength: 3 }) }),
  fc.record({ has_vector: fc.constantFrom('v', 'w', 'never') }),
  nested.map((must) => ({ nested: { key: 'nested', filter: { must } } })),
)

const { filter } = fc.letrec<{ condition: object; filter: object }>((tie) => ({
  condition: fc.oneof({ depthSize: 'small', withCrossShrink: true }, single, tie('filter')),
  filter: fc.record(
    {
      must: fc.array(tie('condition'), { maxLength: 2 }),
      should: fc.array(tie('condition'), { maxLength: 2 }),
      must_not: fc.array(tie('condition'), { maxLength: 2 }),
      min_should: fc.record({
        // Of none a server makes one thing alone and another beside `must`.
        conditions: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }),
        min_count: fc.constantFrom(1, 2),
      }),
    },
    { requiredKeys: [] },
  ),
}))

const fence = fc.record({ epoch: small, write: small }).map((version) => ({
  should: [
    { key: 'epoch', range: { lt: version.epoch } },
    {
      must: [
        { key: 'epoch', match: { value: version.epoch } },
        { key: 'write', range: { lte: version.write } },
      ],
    },
    { is_empty: { key: 'epoch' } },
  ],
}))

const upsert = fc.record({
  kind: fc.constant('upsert' as const),
  points: fc.array(fc.record({ id, vector: vectors, payload }), { minLength: 1, maxLength: 4 }),
  filter: fc.oneof(fc.constant(null), fence, filter),
  mode: fc.constantFrom('upsert' as const, 'upsert' as const, 'insert_only' as const, 'update_only' as const),
})

export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 8, arbitrary: upsert },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('delete-ids' as const),
      ids: fc.array(id, { minLength: 1, maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete-filter' as const), filter: filter }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'drop-w' as const }, { kind: 'make-w' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      { kind: 'index' as const, field: 'epoch', schema: 'integer' as const },
      { kind: 'index' as const, field: 'word', schema: 'keyword' as const },
      { kind: 'index' as const, field: 'at', schema: 'datetime' as const },
    ),
  },
)

export interface Question {
  filter: object
  vector: [number, number]
  threshold: number | null
}

export const question: fc.Arbitrary<Question> = fc.record({
  filter,
  vector: fc.tuple(number, number) as fc.Arbitrary<[number, number]>,
  threshold: fc.oneof(fc.constant(null), fc.constantFrom(-0.55, 0.15, 0.85)),
})
