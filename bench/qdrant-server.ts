/** The server that bench/qdrant.ts measures against: a real one that the environment names, or the double in a process of its own. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { settingsSchema } from '../src/config/settings.ts'
import { openQdrant } from '../src/drivers/qdrant/open-qdrant.ts'
import type { QdrantSettings } from '../src/drivers/qdrant/qdrant-settings.ts'
import type { QdrantVectorStore } from '../src/drivers/qdrant/qdrant-vector-store.ts'
import { systemClock } from '../src/pipeline/clock.ts'

export interface BenchServer {
  url: string
  grpcUrl: string
  apiKey: string | null
  /** For the result: which server it was, and whether its times mean anything. */
  what: string
  isReal: boolean
  close(): void
}

/** `QDRANT_URL` and `QDRANT_GRPC_URL`, with `QDRANT_API_KEY` if need be; `QDRANT_NOTE` is what a reader should know of it. */
export async function benchServer(): Promise<BenchServer> {
  const {
    QDRANT_URL: url,
    QDRANT_GRPC_URL: grpcUrl,
    QDRANT_API_KEY: apiKey = null,
    QDRANT_NOTE,
  } = process.env
  if (url === undefined) return await double()
  if (grpcUrl === undefined) throw new Error('expected QDRANT_GRPC_URL beside QDRANT_URL: half of it is gRPC')
  const headers: Record<string, string> = apiKey === null ? {} : { 'api-key': apiKey }
  const { version } = (await (await fetch(url, { headers })).json()) as { version: string }
  const what = `Qdrant ${version}${QDRANT_NOTE === undefined ? '' : `, ${QDRANT_NOTE}`}`
  return { url, grpcUrl, apiKey, what, isReal: true, close() {} }
}

const DOUBLE = new URL('../test/drivers/qdrant/double/qdrant-double.ts', import.meta.url)
/** Ends with its standard input, so that it never outlives the bench. */
const SERVE = `
const { startQdrantDouble } = await import(${JSON.stringify(DOUBLE.href)})
const { url, grpcUrl } = await startQdrantDouble()
console.log(JSON.stringify({ url, grpcUrl }))
process.stdin.resume().on('end', () => process.exit())`

/** In this process its work would count as ours. */
async function double(): Promise<BenchServer> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SERVE], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = (await createInterface(child.stdout)[Symbol.asyncIterator]().next()).value?.split('\n') ?? []
  if (line === undefined) throw new Error('expected the double to say where it is')
  const { url, grpcUrl } = JSON.parse(line) as { url: string; grpcUrl: string }
  const what = 'the double of the tests: only the CPU of the client means anything'
  return { url, grpcUrl, apiKey: null, what, isReal: false, close: () => child.stdin.end() }
}

export function benchSettings(
  { url, grpcUrl, apiKey }: BenchServer,
  prefix: string,
  changes: Partial<QdrantSettings> = {},
): QdrantSettings {
  const defaults = settingsSchema.parse({}).vectors.qdrant
  return { ...defaults, url, grpcUrl, apiKey, prefix, timeoutMs: 60_000, requestPointsMax: 256, ...changes }
}

export function openStore(settings: QdrantSettings): Promise<QdrantVectorStore> {
  return openQdrant(settings, systemClock)
}
