import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { ALICE, BOB, fact, told } from './facts.ts'

type Filter = Parameters<import('@qdrant/js-client-rest').QdrantClient['count']>[1] extends infer Args
  ? NonNullable<NonNullable<Args> extends { filter?: infer F } ? F : never>
  : never

const payloads: Record<string, Record<string, unknown>> = {
  1: { n: 5, word: 'gold', at: '2026-11-01T00:00:00Z', list: [1, 2, 3], flag: true },
  2: { n: 7.5, word: 'silver', at: '2026-11-02T12:30:00.250Z', list: [], flag: false },
  3: { n: null, word: ['gold', 'iron'], list: [null] },
  4: {
    word: 'Gold',
    nested: [
      { a: 1, b: 1 },
      { a: 2, b: 3 },
    ],
    'odd@key': 1,
  },
}

/** Filter, and the points that pass it. */
const cases: Record<string, [Filter, number[]]> = {
  'numbers by range, null and absent never': [{ must: [{ key: 'n', range: { gte: 5 } }] }, [1, 2]],
  'both ends of a range': [{ must: [{ key: 'n', range: { gt: 5, lte: 7.5 } }] }, [2]],
  'words exactly, in lists too': [{ must: [{ key: 'word', match: { value: 'gold' } }] }, [1, 3]],
  'any of some words': [{ must: [{ key: 'word', match: { any: ['silver', 'iron'] } }] }, [2, 3]],
  'any of no words: nobody': [{ must: [{ key: 'word', match: { any: [] } }] }, []],
  'all but some words: any other in the list will do': [
    { must: [{ key: 'word', match: { except: ['gold'] } }] },
    [2, 3, 4],
  ],
  'whole numbers match, fractions don’t': [{ must: [{ key: 'n', match: { value: 5 } }] }, [1]],
  flags: [{ must: [{ key: 'flag', match: { value: false } }] }, [2]],
  'times from a time on': [{ must: [{ key: 'at', range: { gte: '2026-11-02T12:30:00.250Z' } }] }, [2]],
  'times before a time, by another zone': [
    { must: [{ key: 'at', range: { lt: '2026-11-02T13:30:00.250+01:00' } }] },
    [1],
  ],
  'a time of day that isn’t given is midnight UTC': [
    { must: [{ key: 'at', range: { lte: '2026-11-01' } }] },
    [1],
  ],
  'empty: absent, null and []': [{ must: [{ is_empty: { key: 'n' } }] }, [3, 4]],
  'empty: [] but not [null]': [{ must: [{ is_empty: { key: 'list' } }] }, [2, 4]],
  'null: there, and null': [{ must: [{ is_null: { key: 'n' } }] }, [3]],
  'how many values, none where there is no field': [
    { must: [{ key: 'list', values_count: { lt: 1 } }] },
    [2, 4],
  ],
  ids: [{ must: [{ has_id: [1, 4, 9] }] }, [1, 4]],
  'who has a vector': [{ must: [{ has_vector: 'v' }] }, [1, 2]],
  'a vector name that isn’t there: nobody': [{ must: [{ has_vector: 'zz' }] }, []],
  'one of should, none of must_not': [
    {
      should: [
        { key: 'word', match: { value: 'gold' } },
        { key: 'flag', match: { value: false } },
      ],
      must_not: [{ has_id: [1] }],
    },
    [2, 3],
  ],
  'should beside must: both must hold': [
    { must: [{ has_id: [1, 2] }], should: [{ key: 'n', range: { lt: 6 } }] },
    [1],
  ],
  'an empty should: everybody': [{ should: [] }, [1, 2, 3, 4]],
  'an empty must: everybody': [{ must: [] }, [1, 2, 3, 4]],
  'at least so many': [
    {
      min_should: {
        conditions: [
          { key: 'word', match: { value: 'gold' } },
          { key: 'n', range: { gt: 0 } },
          { key: 'flag', match: { value: true } },
        ],
        min_count: 2,
      },
    },
    [1],
  ],
  'not what everybody passes: nobody': [{ must_not: [{ should: [] }] }, []],
  'a filter inside a filter': [
    { must: [{ should: [{ has_id: [1] }, { has_id: [2] }] }, { must_not: [{ has_id: [2] }] }] },
    [1],
  ],
  'a condition that stands alone': [{ must: { key: 'n', range: { gte: 6 } } as never }, [2]],
  'inside one and the same object': [
    {
      must: [
        {
          nested: {
            key: 'nested',
            filter: {
              must: [
                { key: 'a', match: { value: 1 } },
                { key: 'b', match: { value: 1 } },
              ],
            },
          },
        },
      ],
    },
    [4],
  ],
  'not of two different ones': [
    {
      must: [
        {
          nested: {
            key: 'nested',
            filter: {
              must: [
                { key: 'a', match: { value: 1 } },
                { key: 'b', match: { value: 3 } },
              ],
            },
          },
        },
      ],
    },
    [],
  ],
  'across objects by path': [{ must: [{ key: 'nested[].b', match: { value: 3 } }] }, [4]],
  'the first object by path': [{ must: [{ key: 'nested[0].b', match: { value: 3 } }] }, []],
  'a quoted key': [{ must: [{ key: '"odd@key"', match: { value: 1 } }] }, [4]],
}

describe('filters', () => {
  fact('each passes the points that it passes on a real server', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.upsert(name, {
      wait: true,
      points: Object.entries(payloads).map(([id, payload]) => ({
        id: Number(id),
        vector: Number(id) < 3 ? { v: [1, 0] } : {},
        payload,
      })),
    })
    for (const [what, [filter, expected]] of Object.entries(cases)) {
      const { points } = await client.scroll(name, { filter: filter as never })
      assert.deepEqual(
        points.map(({ id }) => id),
        expected,
        what,
      )
    }
  })

  const refused: Record<string, [unknown, number | null, RegExp]> = {
    'an unknown field': [{ musst: [] }, 400, /musst/],
    // The server passes over the unknown name and misses a condition; the double says which name it was.
    'an unknown field inside a condition': [
      { must: [{ key: 'a', mtach: { value: 1 } }] },
      null,
      /condition|mtach/,
    ],
    'a key that is no path': [{ must: [{ key: 'a@b', match: { value: 1 } }] }, 400, /Invalid json path/],
    'a time that is none': [{ must: [{ key: 'at', range: { gte: 'yesterday' } }] }, 400, /RFC3339/],
    'a condition of nothing': [{ must: [{ key: 'a' }] }, 422, /condition/],
  }
  for (const [what, [filter, status, text]] of Object.entries(refused))
    fact(`a filter with ${what} is refused`, async (place) => {
      const name = await place.made()
      const points = [ALICE, BOB].map((id) => ({ id, vector: { v: [1, 0] }, payload: { at: '2026-11-01' } }))
      await place.client.upsert(name, { wait: true, points })
      const answer = await told(place.client.count(name, { filter: filter as never }))
      if (status !== null) assert.equal(answer.status, status, answer.text)
      assert.match(answer.text, text)
    })
})
