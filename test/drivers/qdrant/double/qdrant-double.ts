/** A Qdrant 1.19 in memory, as strict as its protocol and with the semantics that were seen on a real server. */

import type { Server as HttpServer } from 'node:http'
import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { CollectionStore } from './collection-store.ts'
import type { Server } from './endpoint.ts'
import { FaultQueue } from './faults.ts'
import { grpcFront } from './grpc-front.ts'
import { RequestLog } from './request-log.ts'
import { restFront } from './rest-front.ts'
import type { Misses } from './search.ts'

export interface DoubleOptions {
  apiKey?: string
  readOnlyApiKey?: string
  /** What `GET /` says. Default `1.19.0`. */
  version?: string
  /** Unknown fields at the top of a body and unknown parameters are passed over, as a real server does; otherwise they are refused. */
  lenient?: boolean
  /** Largest body of a REST request. Default 32, as in Qdrant. */
  requestSizeMbMax?: number
  /** A search without `exact` misses a fifth of the points, the same ones for the same seed; otherwise all searches are exact. */
  approximateSeed?: number
}

const REQUEST_SIZE_MB_MAX = 32
/** Coarser than any index that one would use, so that a test sees whether `exact` got through. */
const MISSED_SHARE = 0.2

export interface QdrantDouble {
  url: string
  grpcUrl: string
  faults: FaultQueue
  log: RequestLog
  /** What it holds, for tests that look behind the protocol. */
  store: CollectionStore
  /** Applies the writes that were only acknowledged. */
  settle(): void
  /** Ends every connection, those that hang included. */
  close(): Promise<void>
}

export async function startQdrantDouble(options: DoubleOptions = {}): Promise<QdrantDouble> {
  const store = new CollectionStore()
  const faults = new FaultQueue()
  const log = new RequestLog()
  const server: Server = {
    store,
    version: options.version ?? '1.19.0',
    misses: missesOf(options.approximateSeed),
  }
  const keys = { full: options.apiKey ?? null, readOnly: options.readOnlyApiKey ?? null }
  const bodyBytesMax = (options.requestSizeMbMax ?? REQUEST_SIZE_MB_MAX) * 1024 * 1024
  const rest = restFront({ server, keys, faults, log, lenient: options.lenient ?? false, bodyBytesMax })
  const grpc = grpcFront({ server, keys, faults, log })
  const sessions = new Set<ServerHttp2Session>()
  grpc.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  const [url, grpcUrl] = await Promise.all([listening(rest), listening(grpc)])
  return {
    url,
    grpcUrl,
    faults,
    log,
    store,
    settle() {
      for (const collection of store.collections.values()) collection.settle()
    },
    async close() {
      rest.closeAllConnections()
      for (const session of sessions) session.destroy()
      await Promise.all([rest, grpc].map((one) => new Promise((resolve) => one.close(resolve))))
    },
  }
}

function listening(server: HttpServer | Http2Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

/** FNV-1a of seed and id, as a share of all hashes. */
function missesOf(seed: number | undefined): Misses {
  if (seed === undefined) return () => false
  return (id) => {
    let hash = 0x811c9dc5
    for (const byte of Buffer.from(`${seed}:${id}`)) hash = Math.imul(hash ^ byte, 0x01000193)
    return (hash >>> 0) / 2 ** 32 < MISSED_SHARE
  }
}
