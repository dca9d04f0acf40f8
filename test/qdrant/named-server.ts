/** The real server that the environment names: `QDRANT_URL`, and if need be `QDRANT_GRPC_URL` and `QDRANT_API_KEY`. */

import { settingsOf } from '../drivers/qdrant/settings-of.ts'

export interface NamedServer {
  url: string
  grpcUrl: string | null
  apiKey: string | null
}

/** @returns null where none is named */
export function namedServer(): NamedServer | null {
  const { QDRANT_URL: url, QDRANT_GRPC_URL: grpcUrl, QDRANT_API_KEY: apiKey } = process.env
  if (url === undefined || url === '') return null
  return { url, grpcUrl: grpcUrl || null, apiKey: apiKey || null }
}

/** A server at the other end of a network, with its disk at work, takes its time. */
const TIMEOUT_MS = 30_000

export function settingsFor({ url, grpcUrl, apiKey }: NamedServer, prefix: string) {
  return settingsOf(url, { grpcUrl, apiKey, prefix, timeoutMs: TIMEOUT_MS })
}
