import { VECTOR_MIGRATIONS } from '../../../src/drivers/sqlite/migrations.ts'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import { SqliteVectorStore } from '../../../src/drivers/sqlite/sqlite-vector-store.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'

vectorStoreContract('sqlite', async (clock) => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  return { store: new SqliteVectorStore(database, clock), dispose: async () => database.close() }
})

vectorStoreContract('sqlite with hardly any memory', async (clock) => {
  const database = new SqliteDatabase({ path: ':memory:', migrations: VECTOR_MIGRATIONS })
  return { store: new SqliteVectorStore(database, clock, 1), dispose: async () => database.close() }
})
