import { openQdrant } from '../../../src/drivers/qdrant/open-qdrant.ts'
import { vectorStoreContract } from '../../vectors/vector-store-contract.ts'
import { startQdrantDouble } from './double/qdrant-double.ts'
import { qdrantPromises } from './driver-promises.ts'
import { settingsOf } from './settings-of.ts'

vectorStoreContract('Qdrant over gRPC', async (clock) => {
  const double = await startQdrantDouble()
  const store = await openQdrant(settingsOf(double.url, { grpcUrl: double.grpcUrl }), clock)
  const dispose = async () => {
    await store.close()
    await double.close()
  }
  return { store, dispose }
})

qdrantPromises('the double over gRPC', async () => {
  const double = await startQdrantDouble()
  const { url, grpcUrl } = double
  return { url, grpcUrl, apiKey: null, double, dispose: () => double.close() }
})
