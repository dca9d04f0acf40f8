import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'
import { startQdrantDouble } from './double/qdrant-double.ts'
import { qdrantPromises } from './driver-promises.ts'
import { settingsOf } from './settings-of.ts'

vectorStoreContract('Qdrant', async (clock) => {
  const double = await startQdrantDouble()
  const store = await openQdrant(settingsOf(double.url), clock)
  const dispose = async () => {
    await store.close()
    await double.close()
  }
  return { store, dispose }
})

qdrantPromises('the double', async () => {
  const double = await startQdrantDouble({ requestSizeMbMax: 1 })
  return { url: double.url, grpcUrl: null, apiKey: null, double, dispose: () => double.close() }
})
