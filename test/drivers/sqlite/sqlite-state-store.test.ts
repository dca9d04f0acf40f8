import { openDataDirectory } from '../../../src/drivers/sqlite/data-directory.ts'
import { SqliteStateStore } from '../../../src/drivers/sqlite/sqlite-state-store.ts'
import type { WindowCaps } from '../../../src/window/user-state.ts'
import { type StateStoreUnderTest, stateStoreContract } from '../../pipeline/state-store-contract.ts'
import { tempDirectory } from './temp-directory.ts'

function openAt(path: string, caps: () => WindowCaps): StateStoreUnderTest {
  const directory = openDataDirectory({ path, access: 'write', nowMs: 0 })
  const store = new SqliteStateStore(directory.main, { caps })
  return {
    store,
    // Closed without the store's own farewell: what it only meant to write is gone, as at kill -9.
    crash: async () => {
      directory.close()
      return openAt(path, caps)
    },
    dispose: async () => directory.close(),
  }
}

stateStoreContract('sqlite', async (caps) => openAt(tempDirectory(), caps))
