import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { ALICE, BOB, fact, told } from './facts.ts'

const COSINE = { size: 2, distance: 'Cosine' } as const

describe('collections', () => {
  fact('a collection is made once; of one that isn’t there everything says 404', async (place) => {
    const { client } = place
    const name = await place.made()
    assert.deepEqual(await client.collectionExists(name), { exists: true })
    const again = await told(client.createCollection(name, { vectors: { v: COSINE } }))
    assert.equal(again.status, 409)
    assert.match(again.text, /already exists!/)
    assert.deepEqual(await client.collectionExists('nowhere'), { exists: false })
    for (const request of [
      () => client.getCollection('nowhere'),
      () => client.upsert('nowhere', { wait: true, points: [{ id: ALICE, vector: { v: [1, 0] } }] }),
      () => client.retrieve('nowhere', { ids: [ALICE] }),
      () => client.count('nowhere'),
      () => client.query('nowhere', { query: [1, 0], using: 'v' }),
      () => client.createVectorName('nowhere', 'w', { dense: COSINE }),
    ]) {
      const answer = await told(request())
      assert.equal(answer.status, 404)
      assert.match(answer.text, /Collection `nowhere` doesn't exist!/)
    }
    assert.equal(await client.deleteCollection('nowhere'), false)
  })

  fact('dropping a collection says true once, and a new one of that name is empty', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.upsert(name, { wait: true, points: [{ id: ALICE, vector: { v: [1, 0] } }] })
    assert.equal(await client.deleteCollection(name), true)
    assert.equal(await client.deleteCollection(name), false)
    await client.createCollection(name, { vectors: { v: COSINE } })
    assert.equal((await client.count(name)).count, 0)
  })

  fact('it is made with defaults, and tells what it was made with', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors: { v: { ...COSINE, datatype: 'float16', on_disk: true } },
      hnsw_config: { m: 8, on_disk: true },
      optimizers_config: {
        indexing_threshold: 5_000,
        deleted_threshold: 0.1,
        max_optimization_threads: 'auto',
      },
      quantization_config: { scalar: { type: 'int8', always_ram: true } },
      on_disk_payload: false,
      metadata: { model: 'm1' },
    })
    const { config, points_count, status, payload_schema } = await client.getCollection(name)
    assert.equal(status, 'green')
    assert.equal(points_count, 0)
    assert.deepEqual(payload_schema, {})
    assert.deepEqual(config.params, {
      vectors: { v: { ...COSINE, datatype: 'float16', on_disk: true } },
      shard_number: 1,
      replication_factor: 1,
      write_consistency_factor: 1,
      on_disk_payload: false,
    })
    assert.deepEqual(config.hnsw_config, {
      m: 8,
      ef_construct: 100,
      full_scan_threshold: 10_000,
      max_indexing_threads: 0,
      on_disk: true,
    })
    assert.deepEqual(config.optimizer_config, {
      deleted_threshold: 0.1,
      vacuum_min_vector_number: 1000,
      default_segment_number: 0,
      max_segment_size: null,
      memmap_threshold: null,
      indexing_threshold: 5_000,
      flush_interval_sec: 5,
      max_optimization_threads: null,
      prevent_unoptimized: null,
    })
    assert.deepEqual(config.quantization_config, { scalar: { type: 'int8', always_ram: true } })
    assert.deepEqual(config.metadata, { model: 'm1' })
  })

  fact('a change leaves alone what it doesn’t name', async (place) => {
    const { client } = place
    const name = await place.made({
      vectors: { v: COSINE, w: COSINE },
      hnsw_config: { m: 8 },
      quantization_config: { scalar: { type: 'int8' } },
    })
    await client.updateCollection(name, {
      vectors: { w: { hnsw_config: { m: 32 }, on_disk: true } },
      hnsw_config: { ef_construct: 64 },
      optimizers_config: { indexing_threshold: 1_000 },
      params: { on_disk_payload: false },
      quantization_config: 'Disabled',
    })
    const { config } = await client.getCollection(name)
    assert.deepEqual(config.params.vectors, {
      v: COSINE,
      w: { ...COSINE, hnsw_config: { m: 32 }, on_disk: true },
    })
    assert.equal(config.hnsw_config.m, 8)
    assert.equal(config.hnsw_config.ef_construct, 64)
    assert.equal(config.optimizer_config.indexing_threshold, 1_000)
    assert.equal(config.optimizer_config.deleted_threshold, 0.2)
    assert.equal(config.params.on_disk_payload, false)
    assert.equal(config.quantization_config, null)
  })

  fact('what isn’t there can be dropped, but not changed', async (place) => {
    const { client } = place
    const name = await place.made()
    assert.equal((await client.deleteVectorName(name, 'never')).status, 'completed')
    assert.equal((await client.deletePayloadIndex(name, 'never')).status, 'completed')
    const vector = await told(client.updateCollection(name, { vectors: { never: { on_disk: true } } }))
    assert.deepEqual(vector, { status: 400, text: 'Wrong input: Not existing vector name error: never' })
    assert.equal((await told(client.updateCollection('nowhere', {}))).status, 404)
    assert.equal((await told(client.deletePayloadIndex('nowhere', 'a'))).status, 404)
  })

  fact('metadata is merged key by key, and null removes a key', async (place) => {
    const { client } = place
    const name = await place.made({ vectors: { v: COSINE }, metadata: { a: 1, b: { c: 2 }, d: 3 } })
    await client.updateCollection(name, { metadata: { b: { e: 4 }, d: null, f: 5 } as never })
    const { config } = await client.getCollection(name)
    assert.deepEqual(config.metadata, { a: 1, b: { e: 4 }, f: 5 })
  })

  fact('metadata that comes to a collection without any is kept as it comes', async (place) => {
    const name = await place.made()
    await place.client.updateCollection(name, { metadata: { a: 1, b: null } as never })
    assert.deepEqual((await place.client.getCollection(name)).config.metadata, { a: 1, b: null })
  })

  fact('names with characters that no file system likes are refused', async (place) => {
    const { client } = place
    const name = await place.made()
    for (const character of ['<', '>', ':', '"', '\\', '|', '?', '*']) {
      assert.equal((await told(client.createCollection(`a${character}b`, {}))).status, 422)
      const vectorName = await told(client.createVectorName(name, `a${character}b`, { dense: COSINE }))
      assert.equal(vectorName.status, 422)
    }
    assert.equal((await told(client.createVectorName(name, 'x'.repeat(201), { dense: COSINE }))).status, 422)
    await client.createVectorName(name, 'x'.repeat(200), { dense: COSINE })
  })
})

describe('vector names', () => {
  fact('a collection may start with none, and gets them at run time', async (place) => {
    const { client } = place
    const name = await place.made({ vectors: {} })
    const vectorName = 'interests@0a1b2c3d'
    const added = await client.createVectorName(name, vectorName, {
      dense: { ...COSINE, datatype: 'float16' },
    })
    assert.equal(added.status, 'completed')
    await client.upsert(name, { wait: true, points: [{ id: ALICE, vector: { [vectorName]: [1, 0] } }] })
    const { config } = await client.getCollection(name)
    assert.deepEqual(config.params.vectors, { [vectorName]: { ...COSINE, datatype: 'float16' } })
  })

  fact('the same name again is fine, with another size it is refused', async (place) => {
    const { client } = place
    const name = await place.made()
    await client.createVectorName(name, 'w', { dense: COSINE })
    assert.equal((await client.createVectorName(name, 'w', { dense: COSINE })).status, 'completed')
    for (const dense of [
      { size: 3, distance: 'Cosine' },
      { size: 2, distance: 'Dot' },
      { ...COSINE, datatype: 'float16' },
    ] as const) {
      const answer = await told(client.createVectorName(name, 'w', { dense }))
      assert.equal(answer.status, 400)
      assert.match(answer.text, /Vector `w` already exists with a different configuration/)
    }
  })

  fact('a dropped name takes its vectors along, and made anew it brings nothing back', async (place) => {
    const { client } = place
    const name = await place.made({ vectors: { v: COSINE, w: COSINE } })
    await client.upsert(name, { wait: true, points: [{ id: ALICE, vector: { v: [1, 0], w: [0, 1] } }] })
    await client.deleteVectorName(name, 'w')
    assert.equal((await client.deleteVectorName(name, 'w')).status, 'completed')
    const search = () => client.query(name, { query: [0, 1], using: 'w' })
    const answer = await told(search())
    assert.equal(answer.status, 400)
    assert.match(answer.text, /Not existing vector name error: w/)
    await client.createVectorName(name, 'w', { dense: COSINE })
    assert.deepEqual((await search()).points, [])
    const [point] = await client.retrieve(name, { ids: [ALICE], with_vector: true })
    assert.deepEqual(point?.vector, { v: [1, 0] })
  })

  fact(
    'points without a name are left out of its results, and has_vector finds who has it',
    async (place) => {
      const { client } = place
      const name = await place.made({ vectors: { v: COSINE, w: COSINE } })
      await client.upsert(name, {
        wait: true,
        points: [
          { id: ALICE, vector: { v: [1, 0], w: [1, 0] } },
          { id: BOB, vector: { v: [1, 0] } },
        ],
      })
      const found = await client.query(name, { query: [1, 0], using: 'w' })
      assert.deepEqual(
        found.points.map(({ id }) => id),
        [ALICE],
      )
      assert.equal((await client.count(name, { filter: { must: [{ has_vector: 'w' }] } })).count, 1)
    },
  )

  fact(
    'to delete the vector name `..` is to drop the collection, for the client lets the path collapse',
    async (place) => {
      const { client } = place
      const name = await place.made()
      await client.deleteVectorName(name, '..')
      assert.deepEqual(await client.collectionExists(name), { exists: false })
    },
    { lenient: true },
  )
})

describe('payload indexes', () => {
  fact('an index is told with its type, its settings and how many points it holds', async (place) => {
    const { client } = place
    const name = await place.made()
    const range = { type: 'integer', lookup: false, range: true } as const
    await client.createPayloadIndex(name, { wait: true, field_name: 'epoch', field_schema: range })
    await client.createPayloadIndex(name, { wait: true, field_name: 'segment', field_schema: 'keyword' })
    await client.upsert(name, {
      wait: true,
      points: [
        { id: 1, vector: {}, payload: { epoch: 1 } },
        { id: 2, vector: {}, payload: { epoch: 2, segment: 'gold' } },
      ],
    })
    const { payload_schema } = await client.getCollection(name)
    assert.deepEqual(payload_schema, {
      epoch: { data_type: 'integer', params: { ...range, is_principal: null }, points: 2 },
      segment: { data_type: 'keyword', points: 1 },
    })
  })

  fact('it is made again with other settings, and dropped', async (place) => {
    const { client } = place
    const name = await place.made()
    const make = (field_schema: 'integer' | 'keyword') =>
      client.createPayloadIndex(name, { wait: true, field_name: 'a', field_schema })
    await make('integer')
    await make('keyword')
    assert.equal((await client.getCollection(name)).payload_schema.a?.data_type, 'keyword')
    await client.deletePayloadIndex(name, 'a')
    assert.deepEqual((await client.getCollection(name)).payload_schema, {})
  })

  fact('without a type, or on a path that is none, it is refused', async (place) => {
    const { client } = place
    const name = await place.made()
    const none = await told(client.createPayloadIndex(name, { field_name: 'a' }))
    assert.equal(none.status, 400)
    assert.match(none.text, /please specify `field_schema`/)
    const path = await told(client.createPayloadIndex(name, { field_name: 'a@b', field_schema: 'keyword' }))
    assert.equal(path.status, 400)
    assert.match(path.text, /Invalid json path/)
    await client.createPayloadIndex(name, { wait: true, field_name: '"a@b"', field_schema: 'keyword' })
  })
})
