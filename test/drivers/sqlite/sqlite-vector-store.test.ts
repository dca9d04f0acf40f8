import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'
import { openParts, pointsOf, VECTOR_NAMES } from './generations.ts'
import { tempDirectory } from './temp-directory.ts'

vectorStoreContract('sqlite', async (clock) => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  return { store: new SqliteVectorStore(database, clock), dispose: async () => database.close() }
})

vectorStoreContract('sqlite with hardly any memory', async (clock) => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  return { store: new SqliteVectorStore(database, clock, 1), dispose: async () => database.close() }
})

test('a reader beside the writer finds what was written last, though it holds vectors in memory', async () => {
  const path = tempDirectory()
  const writing = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const { vectors: writer, collection } = await openParts(writing)
  const reading = openDataDirectory({ path, access: 'read', nowMs: 0 })
  const reader = new SqliteVectorStore(reading.vectors, systemClock)
  for (const generation of [1, 2, 3]) {
    const points = pointsOf(generation)
    await writer.upsert(collection, { epoch: 1, write: generation }, points)
    const first = points[0]!
    assert.ok(first.kind === 'vectors')
    const [vectorName] = VECTOR_NAMES as [(typeof VECTOR_NAMES)[number]]
    const vector = first.vectors.get(vectorName)!
    const [hit] = await reader.search(collection, { vectorName, vector, k: 1 })
    assert.equal(hit!.id, first.id)
    assert.ok(hit!.score > 1 - 1e-6, `the vector of another generation: cosine ${hit!.score}`)
    assert.deepEqual(hit!.payload, first.payload)
  }
  const stub = {
    kind: 'stub',
    id: pointsOf(3)[0]!.id,
    userId: 'u0' as never,
    tenantId: 'default' as never,
  } as const
  await writer.upsert(collection, { epoch: 1, write: 4 }, [stub])
  const info = (await reader.collections())[0]!
  assert.deepEqual([info.points, info.stubs], [19, 1])
  reading.close()
  writing.close()
})

test('points and their vectors survive closing and opening', async () => {
  const path = tempDirectory()
  const before = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const parts = await openParts(before)
  await parts.vectors.upsert(parts.collection, { epoch: 1, write: 7 }, pointsOf(7))
  before.close()
  const after = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const { vectors, collection } = await openParts(after)
  const ids = pointsOf(7).map((point) => point.id)
  const read = await vectors.get(collection, ids)
  assert.deepEqual(
    ids.map((id) => read.get(id)?.point),
    pointsOf(7),
  )
  after.close()
})
