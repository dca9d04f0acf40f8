/** Facts about Qdrant: each is a test of the double and, where `QDRANT_URL` names one, of a real server. */

import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { QdrantClient as GrpcClient } from '@qdrant/js-client-grpc'
import { QdrantClient } from '@qdrant/js-client-rest'
import { type DoubleOptions, startQdrantDouble } from './qdrant-double.ts'

type CreateCollection = Parameters<QdrantClient['createCollection']>[1]

export interface Place {
  /** What a server does at will, the double does the same way every time. */
  kind: 'double' | 'server'
  client: QdrantClient
  url: string
  /** Null where a real server's gRPC isn't named. */
  grpc: GrpcClient | null
  /** A name that is free, and dropped when the test ends. */
  fresh(): string
  /** Makes a collection, with one Cosine vector `v` of two dimensions unless something else is said. */
  made(settings?: CreateCollection): Promise<string>
}

/** Replies in gzip come in pieces, 40 ms apart: the driver asks for none, and so do we. */
export function restClient(url: string, apiKey?: string): QdrantClient {
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  // Given as a header, for the client's own option warns on the console.
  if (apiKey !== undefined) headers['api-key'] = apiKey
  return new QdrantClient({ url, checkCompatibility: false, headers })
}

export function grpcClient(url: string, apiKey?: string): GrpcClient {
  const headers = apiKey === undefined ? {} : { 'api-key': apiKey }
  return new GrpcClient({ url, checkCompatibility: false, compression: false, timeout: 5_000, headers })
}

async function at(place: Omit<Place, 'fresh' | 'made'>, run: (place: Place) => Promise<void>): Promise<void> {
  const names: string[] = []
  const fresh = (): string => {
    names.push(`fact-${randomUUID()}`)
    return names.at(-1)!
  }
  try {
    await run({
      ...place,
      fresh,
      async made(settings = { vectors: { v: { size: 2, distance: 'Cosine' } } }) {
        const name = fresh()
        await place.client.createCollection(name, settings)
        return name
      },
    })
  } finally {
    for (const name of names) await place.client.deleteCollection(name)
  }
}

export async function onServer(run: (place: Place) => Promise<void>): Promise<void> {
  const { QDRANT_URL: url, QDRANT_GRPC_URL: grpcUrl, QDRANT_API_KEY: apiKey } = process.env
  if (url === undefined) throw new Error('expected QDRANT_URL')
  const grpc = grpcUrl === undefined ? null : grpcClient(grpcUrl, apiKey)
  await at({ kind: 'server', client: restClient(url, apiKey), grpc, url }, run)
}

export async function onDouble(
  run: (place: Place) => Promise<void>,
  options: DoubleOptions = {},
): Promise<void> {
  const double = await startQdrantDouble(options)
  const { url, grpcUrl } = double
  try {
    await at({ kind: 'double', client: restClient(url), grpc: grpcClient(grpcUrl), url }, run)
  } finally {
    await double.close()
  }
}

/** @param name a promise that Qdrant keeps, and hence the double */
export function fact(name: string, run: (place: Place) => Promise<void>, options: DoubleOptions = {}): void {
  test(`${name} [double]`, () => onDouble(run, options))
  if (process.env.QDRANT_URL !== undefined) test(`${name} [server]`, () => onServer(run))
}

/** The same over gRPC, of a server only where `QDRANT_GRPC_URL` names its port. */
export function grpcFact(name: string, run: (place: Place & { grpc: GrpcClient }) => Promise<void>): void {
  const { QDRANT_URL: url, QDRANT_GRPC_URL: grpcUrl } = process.env
  const withGrpc = (place: Place) => run(place as Place & { grpc: GrpcClient })
  test(`${name} [double]`, () => onDouble(withGrpc))
  if (url !== undefined && grpcUrl !== undefined) test(`${name} [server]`, () => onServer(withGrpc))
}

/** What a client is told: the status and the words. */
export interface Told {
  status: number
  text: string
}

/** @returns what a request that must fail was told */
export async function told(request: Promise<unknown>): Promise<Told> {
  const answer = await request.then(
    (value) => ({ value }),
    (error: { status?: number; data?: string | { status: { error: string } } }) => error,
  )
  if ('value' in answer) throw new Error(`expected a refusal, got ${JSON.stringify(answer.value)}`)
  const { status, data } = answer
  if (status === undefined || data === undefined) throw answer
  return { status, text: typeof data === 'string' ? data : data.status.error }
}

export const ALICE = 'fa1422b7-03a2-5380-8fe0-ee344690f565'
export const BOB = '0b7e0b6c-2f5d-5b1c-9a3e-4d6f8a1c2e3f'
export const CAROL = '9c1d7a54-6e2b-5f48-8d37-1b5a9e7c3f20'
