/** A Qdrant 1.19 in memory, as strict as its protocol and with the semantics that were seen on a real server. */

import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CollectionStore } from './collection-store.ts'
import type { Server } from './endpoint.ts'
import { FaultQueue } from './faults.ts'
import { RequestLog } from './request-log.ts'
import { restFront } from './rest-front.ts'

export interface DoubleOptions {
  apiKey?: string
  readOnlyApiKey?: string
  /** What `GET /` says. Default `1.19.0`. */
  version?: string
  /** Unknown fields at the top of a body are passed over, as a real server does; otherwise they are refused. */
  lenient?: boolean
  /** Largest body. Default 32, as in Qdrant. */
  requestSizeMbMax?: number
}

const REQUEST_SIZE_MB_MAX = 32

export interface QdrantDouble {
  url: string
  grpcUrl: string
  faults: FaultQueue
  log: RequestLog
  /** What it holds, for tests that look behind the protocol. */
  store: CollectionStore
  /** Applies the writes that were only acknowledged. */
  settle(): void
  close(): Promise<void>
}

export async function startQdrantDouble(options: DoubleOptions = {}): Promise<QdrantDouble> {
  const store = new CollectionStore()
  const faults = new FaultQueue()
  const log = new RequestLog()
  const server: Server = { store, version: options.version ?? '1.19.0', misses: () => false }
  const rest = restFront({
    server,
    keys: { full: options.apiKey ?? null, readOnly: options.readOnlyApiKey ?? null },
    faults,
    log,
    lenient: options.lenient ?? false,
    bodyBytesMax: (options.requestSizeMbMax ?? REQUEST_SIZE_MB_MAX) * 1024 * 1024,
  })
  await listening(rest)
  const url = `http://127.0.0.1:${(rest.address() as AddressInfo).port}`
  return {
    url,
    grpcUrl: url,
    faults,
    log,
    store,
    settle() {
      for (const collection of store.collections.values()) collection.settle()
    },
    async close() {
      rest.closeAllConnections()
      await new Promise((resolve) => rest.close(resolve))
    },
  }
}

function listening(server: HttpServer): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
}
