/** A writer over gRPC before the double, with a faulty way between them. */

import { once } from 'node:events'
import {
  createServer as createHttp2,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from 'node:http2'
import type { AddressInfo, Server, Socket } from 'node:net'
import { GrpcClient } from '../../../src/drivers/qdrant/grpc-client.ts'
import { GrpcPointWriter } from '../../../src/drivers/qdrant/grpc-point-writer.ts'
import type { PointBatch, WriteOutcome } from '../../../src/drivers/qdrant/point-writer.ts'
import type { ServerName } from '../../../src/drivers/qdrant/server-names.ts'
import type { Clock } from '../../../src/pipeline/clock.ts'
import type { Point } from '../../../src/vectors/vector-store.ts'
import { A, DIMENSIONS, pointOf, unit } from '../../vectors/points.ts'
import { restClient } from './double/facts.ts'
import { type DoubleOptions, type QdrantDouble, startQdrantDouble } from './double/qdrant-double.ts'
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts'

export const UPSERT = 'qdrant.Points/Upsert'
export const WRITTEN = { kind: 'written' }
/** Of a reply whose head is all there is. */
export const END = { endStream: true }
export const COLLECTION = 'freshet_g_m' as ServerName
export const unavailable = { code: 'qdrant-unavailable', name: 'UnavailableError' }
export const clock: Clock = { nowMs: () => 1_700_000_000_000, sleep: async () => {} }

interface Way {
  url?: string
  apiKey?: string | null
  timeoutMs?: number
}

export interface GrpcScene {
  double: QdrantDouble
  proxy: FaultyProxy
  /** Another client; through the proxy unless told otherwise. */
  writer(way?: Way): GrpcPointWriter
  /** Writes users under version (1, 1). */
  write(points?: readonly Point[], changes?: Partial<PointBatch>): Promise<WriteOutcome>
}

/** @param work has a collection with one vector name; all is closed behind it */
export async function onGrpc(
  work: (scene: GrpcScene) => Promise<void>,
  options: DoubleOptions = {},
): Promise<void> {
  const double = await startQdrantDouble(options)
  const proxy = await startFaultyProxy(double.grpcUrl)
  const writers: GrpcPointWriter[] = []
  const writer = ({ url = proxy.url, apiKey = null, timeoutMs = 5_000 }: Way = {}) => {
    const made = new GrpcPointWriter(new GrpcClient({ grpcUrl: url, apiKey, timeoutMs }, clock), 'weak')
    writers.push(made)
    return made
  }
  try {
    const vectors = { [A]: { size: DIMENSIONS, distance: 'Cosine' as const } }
    await restClient(double.url, options.apiKey).createCollection(COLLECTION, { vectors })
    const first = writer()
    const write: GrpcScene['write'] = (points, changes) => first.write({ ...batchOf(points), ...changes })
    await work({ double, proxy, writer, write })
  } finally {
    for (const made of writers) await made.close()
    await proxy.close()
    await double.close()
  }
}

export function batchOf(points: readonly Point[] = [pointOf('u', { [A]: unit(0) })]): PointBatch {
  return { collection: COLLECTION, version: { epoch: 1, write: 1 }, writtenAtMs: 0, points }
}

/** @returns what the work ended with instead of a value */
export async function errorOf(work: Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([work])
  if (outcome.status === 'rejected') return outcome.reason
  throw new Error(`expected an error, got ${JSON.stringify(outcome.value)}`)
}

/** A server of another kind, and a client of it. */
export async function withServer(
  server: Server,
  work: (client: GrpcClient, url: string) => Promise<void>,
  timeoutMs = 5_000,
): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new GrpcClient({ grpcUrl: url, apiKey: null, timeoutMs }, clock)
  try {
    await work(client, url)
  } finally {
    await client.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

/** Speaks HTTP/2 and answers every call by the rule. */
export function http2(
  rule: (stream: ServerHttp2Stream, session: ServerHttp2Session, headers: IncomingHttpHeaders) => void,
  settings: Settings = {},
): Server {
  const server = createHttp2({ settings })
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {})
    rule(stream, stream.session as ServerHttp2Session, headers)
  })
  server.on('sessionError', () => {})
  return server
}

export const writing = (client: GrpcClient) => new GrpcPointWriter(client, 'weak').write(batchOf())
