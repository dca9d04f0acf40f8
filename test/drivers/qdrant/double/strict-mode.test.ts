import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { fact, told } from './facts.ts'

const vectors = { v: { size: 2, distance: 'Cosine' } } as const
const point = (id: number) => ({ id, vector: { v: [1, 0] }, payload: { epoch: 1 } })

describe('strict mode', () => {
  fact('an unindexed field is refused in reads and deletions, but not in the fence', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors,
      strict_mode_config: {
        enabled: true,
        unindexed_filtering_retrieve: false,
        unindexed_filtering_update: false,
      },
    })
    const range = { must: [{ key: 'epoch', range: { lte: 1 } }] }
    await client.upsert(name, { wait: true, points: [point(1)], update_filter: range })
    for (const request of [
      () => client.count(name, { filter: range }),
      () => client.scroll(name, { filter: range }),
      () => client.query(name, { query: [1, 0], using: 'v', filter: range }),
      () => client.delete(name, { wait: true, filter: range }),
    ]) {
      const answer = await told(request())
      assert.equal(answer.status, 400)
      assert.match(
        answer.text,
        /Index required but not found for "epoch" of one of the following types: \[float, integer\]\. Help: Create an index/,
      )
    }
    await client.createPayloadIndex(name, {
      wait: true,
      field_name: 'epoch',
      field_schema: { type: 'integer', lookup: false, range: true },
    })
    assert.equal((await client.count(name, { filter: range })).count, 1)
    // An index for ranges is none for equality.
    const equal = { must: [{ key: 'epoch', match: { value: 1 } }] }
    assert.equal((await told(client.count(name, { filter: equal }))).status, 400)
    assert.equal((await client.count(name, { filter: { must_not: [{ has_vector: 'v' }] } })).count, 0)
  })

  fact('any index will do for is_empty', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors,
      strict_mode_config: { enabled: true, unindexed_filtering_retrieve: false },
    })
    const empty = { must: [{ is_empty: { key: 'epoch' } }] }
    assert.match((await told(client.count(name, { filter: empty }))).text, /Index required/)
    await client.createPayloadIndex(name, { wait: true, field_name: 'epoch', field_schema: 'datetime' })
    assert.equal((await client.count(name, { filter: empty })).count, 0)
  })

  fact('what is larger than its limit is refused, with both numbers', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors,
      strict_mode_config: {
        enabled: true,
        upsert_max_batchsize: 2,
        max_query_limit: 5,
        search_max_hnsw_ef: 64,
        search_allow_exact: false,
        search_max_batchsize: 1,
        max_timeout: 10,
        max_payload_index_count: 0,
      },
    })
    const search = { query: [1, 0], using: 'v', limit: 5 }
    const cases: [() => Promise<unknown>, RegExp][] = [
      [
        () => client.upsert(name, { wait: true, points: [1, 2, 3].map(point) }),
        /Limit exceeded 3 > 2 for "upsert limit"/,
      ],
      [() => client.query(name, { ...search, limit: 6 }), /Limit exceeded 6 > 5 for "limit"/],
      [() => client.query(name, { query: [1, 0], using: 'v' }), /Limit exceeded 10 > 5 for "limit"/],
      [() => client.scroll(name, { limit: 6 }), /Limit exceeded 6 > 5 for "limit"/],
      [
        () => client.query(name, { ...search, params: { hnsw_ef: 65 } }),
        /Limit exceeded 65 > 64 for "hnsw_ef"/,
      ],
      [() => client.query(name, { ...search, params: { exact: true } }), /Exact search disabled!/],
      [
        () => client.queryBatch(name, { searches: [search, search] }),
        /Limit exceeded 2 > 1 for "search batch size"/,
      ],
      [() => client.count(name, { exact: false, timeout: 11 }), /Limit exceeded 11 > 10 for "timeout"/],
      [
        () => client.createPayloadIndex(name, { wait: true, field_name: 'a', field_schema: 'keyword' }),
        /maximum number of payload indices \(0\)/,
      ],
    ]
    for (const [request, text] of cases) {
      const answer = await told(request())
      assert.equal(answer.status, 400)
      assert.match(answer.text, text)
    }
    await client.upsert(name, { wait: true, points: [1, 2].map(point) })
    assert.equal((await client.query(name, search)).points.length, 2)
  })

  fact('a filter has only so many conditions, and a condition only so many values', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors,
      strict_mode_config: { enabled: true, filter_max_conditions: 2, condition_max_size: 3 },
    })
    const has = (...ids: number[]) => ({ has_id: ids })
    const many = await told(client.count(name, { filter: { must: [has(1), has(2), { should: [has(3)] }] } }))
    assert.match(many.text, /Filter condition limit reached \(3 > 2\)/)
    const large = await told(client.count(name, { filter: { must: [has(1, 2, 3, 4)] } }))
    assert.match(large.text, /Condition size limit reached \(4 > 3\)/)
  })

  fact('switched off it refuses nothing', async (place) => {
    const { client } = place
    const name = await place.made({ vectors, strict_mode_config: { enabled: true, upsert_max_batchsize: 1 } })
    assert.equal((await told(client.upsert(name, { wait: true, points: [1, 2].map(point) }))).status, 400)
    await client.updateCollection(name, { strict_mode_config: { enabled: false } })
    await client.upsert(name, { wait: true, points: [1, 2].map(point) })
    const { config } = await client.getCollection(name)
    assert.deepEqual(config.strict_mode_config, { enabled: false, upsert_max_batchsize: 1 })
  })
})
