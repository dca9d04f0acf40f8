/** What the settings of a Qdrant server must agree on, with each other and with the rules of writing. */

import { type Contradiction, LOOPBACK, shownAddress } from './contradiction.ts'
import type { Settings } from './settings.ts'

type QdrantSection = Settings['vectors']['qdrant']

const SECTION = 'vectors.qdrant'
/** Beyond the server's 0.3 of overwritten points a graph is built from nothing; the rest is what comes in meanwhile. */
const DELETED_THRESHOLD_MAX = 0.25
/** V3: no write is repeated after an hour. */
const REPEAT_MS_MAX = 3_600_000

export function qdrantChecks({ vectors, refresh }: Settings): Contradiction[] {
  const { qdrant } = vectors
  const found = [
    ...addressChecks(qdrant, 'url'),
    ...addressChecks(qdrant, 'grpcUrl'),
    ...replicaChecks(qdrant),
  ]
  const { deletedThreshold, hnsw } = qdrant.collection
  if (hnsw.m > 0 && deletedThreshold > DELETED_THRESHOLD_MAX)
    found.push({
      path: `${SECTION}.collection.deletedThreshold`,
      message: `deletedThreshold must be at most ${DELETED_THRESHOLD_MAX} where there is a graph to heal, got ${deletedThreshold}: lower it, or set hnsw.m to 0`,
    })
  if (refresh.sendAttemptsMax * qdrant.timeoutMs > REPEAT_MS_MAX)
    found.push({
      path: `${SECTION}.timeoutMs`,
      message: `sendAttemptsMax (${refresh.sendAttemptsMax}) attempts of timeoutMs (${qdrant.timeoutMs}) must end within an hour: lower one of them`,
    })
  return found
}

function addressChecks(qdrant: QdrantSection, name: 'url' | 'grpcUrl'): Contradiction[] {
  const text = qdrant[name]
  if (text === null) return []
  const path = `${SECTION}.${name}`
  const url = URL.parse(text)
  const isPlain = url?.protocol === 'http:'
  if (url === null || (!isPlain && url.protocol !== 'https:'))
    return [
      {
        path,
        message: `${name} must be an address such as https://qdrant.example:6333, got ${shownAddress(text)}: correct it`,
      },
    ]
  // What stands there may be a secret: it is not repeated.
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return [
      {
        path,
        message: `${name} must hold no user, password, query or fragment: put the key into apiKey, and leave the rest out`,
      },
    ]
  if (isPlain && qdrant.apiKey !== null && !LOOPBACK.test(url.hostname))
    return [
      {
        path,
        message: `${name} must be https where apiKey is set, got ${url.origin}: everybody on the way could read the key; switch TLS on at the server, or at a proxy before it`,
      },
    ]
  return []
}

function replicaChecks({ collection, writeOrdering, readConsistency }: QdrantSection): Contradiction[] {
  const { replicas, writeConsistency } = collection
  const found: Contradiction[] = []
  if (writeConsistency > replicas)
    found.push({
      path: `${SECTION}.collection.writeConsistency`,
      message: `writeConsistency (${writeConsistency}) must not exceed replicas (${replicas}): lower writeConsistency, or raise replicas`,
    })
  if (typeof readConsistency === 'number' && readConsistency > replicas)
    found.push({
      path: `${SECTION}.readConsistency`,
      message: `readConsistency (${readConsistency}) must not exceed collection.replicas (${replicas}): lower readConsistency, or raise replicas`,
    })
  if (replicas > 1 && writeOrdering === 'weak')
    found.push({
      path: `${SECTION}.writeOrdering`,
      message: `writeOrdering must be medium or strong with more than one replica (${replicas}), got weak: replicas would judge the fence in different orders`,
    })
  return found
}
