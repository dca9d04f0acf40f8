/** The forms in which bench/qdrant.ts writes points: ours over REST and gRPC, and Qdrant's own clients for either. */

import { QdrantClient as GrpcQdrantClient } from '@qdrant/js-client-grpc'
import { QdrantClient as RestQdrantClient } from '@qdrant/js-client-rest'
import { fence } from '../src/drivers/qdrant/fence.ts'
import { GrpcClient } from '../src/drivers/qdrant/grpc-client.ts'
import { GrpcPointWriter } from '../src/drivers/qdrant/grpc-point-writer.ts'
import { messageBytesMax, upsertMessage } from '../src/drivers/qdrant/grpc-upsert.ts'
import { toServerPayload } from '../src/drivers/qdrant/point-payload.ts'
import type { PointBatch } from '../src/drivers/qdrant/point-writer.ts'
import { readFields } from '../src/drivers/qdrant/protobuf.ts'
import { pointsPath, RestClient } from '../src/drivers/qdrant/rest-client.ts'
import { RestPointWriter } from '../src/drivers/qdrant/rest-point-writer.ts'
import { SpareBuffers } from '../src/drivers/qdrant/spare-buffers.ts'
import { upsertBody } from '../src/drivers/qdrant/upsert-body.ts'
import { systemClock } from '../src/pipeline/clock.ts'
import type { Point, WriteVersion } from '../src/vectors/vector-store.ts'
import type { BenchServer } from './qdrant-server.ts'

export type FormName = keyof ReturnType<typeof openForms>['forms']

type Form = (batch: PointBatch) => Promise<void>

const ASKED = { what: 'write points', collection: null }

export function openForms({ url, grpcUrl, apiKey }: BenchServer) {
  const settings = { url, grpcUrl, apiKey, timeoutMs: 60_000, connectionsMax: 8 }
  const rest = new RestClient(settings, systemClock)
  const grpc = new GrpcClient(settings, systemClock)
  const [restWriter, grpcWriter] = [new RestPointWriter(rest, 'weak'), new GrpcPointWriter(grpc, 'weak')]
  const headers: Record<string, string> = apiKey === null ? {} : { 'api-key': apiKey }
  const restClient = new RestQdrantClient({ url, headers, checkCompatibility: false })
  const client = new GrpcQdrantClient({
    url: grpcUrl,
    headers,
    checkCompatibility: false,
    compression: false,
    timeout: Number.POSITIVE_INFINITY,
  }).api('points')
  const done = (outcome: { kind: string }) => {
    if (outcome.kind !== 'written' && outcome.kind !== 'done') throw new Error(JSON.stringify(outcome))
  }
  const buffers = new SpareBuffers(SPARE_MAX)
  const forms = {
    rest: async (batch) => done(await restWriter.write(batch)),
    restBare: async (batch) => {
      const path = pointsPath(batch.collection, '', { wait: true, ordering: 'weak' })
      const used: Buffer[] = []
      const take = (bytes: number) => {
        used.push(buffers.take(bytes))
        return used.at(-1)!
      }
      done(await rest.put(ASKED, path, () => withoutFence(batch, take)))
      for (const buffer of used) buffers.give(buffer)
    },
    restClient: (batch) => repeated(() => byRestClient(restClient, batch)),
    grpc: async (batch) => done(await grpcWriter.write(batch)),
    grpcBare: async (batch) => {
      const { message, buffer } = messageWithoutFence(batch, buffers)
      done(await grpc.upsert(ASKED, message))
      buffers.give(buffer)
    },
    grpcClient: async (batch) => {
      const { result } = await client.upsert(clientMessage(batch))
      if (result?.status !== COMPLETED) throw new Error(`status ${result?.status}`)
    },
  } satisfies Record<string, Form>
  const close = async () => {
    await rest.close()
    await grpc.close()
  }
  return { forms, close }
}

const COMPLETED = 2
/** As the writers have. */
const SPARE_MAX = 8

/** The client knows no second try, and its connections outlive the server's. */
async function repeated(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    await work()
  }
}

/** As its documentation shows it; plain arrays, for it takes no others. */
async function byRestClient(client: RestQdrantClient, batch: PointBatch): Promise<void> {
  const { collection, version, writtenAtMs } = batch
  const { status } = await client.upsert(collection, {
    wait: true,
    ordering: 'weak',
    update_filter: fence(version),
    points: batch.points.map((point) => ({
      id: point.id,
      payload: { ...toServerPayload(point, version, writtenAtMs) },
      vector: Object.fromEntries(vectorsOf(point).map(([name, vector]) => [name, Array.from(vector)])),
    })),
  })
  if (status !== 'completed') throw new Error(`status ${status}`)
}

async function* withoutFence(batch: PointBatch, take: (bytes: number) => Buffer): AsyncGenerator<Buffer> {
  let isHead = true
  for await (const slice of upsertBody(batch, take)) {
    yield isHead ? Buffer.from('{"points":[') : slice
    isHead = false
  }
}

/** The fence is the last field. @param buffers used again, as the writer's are */
function messageWithoutFence(batch: PointBatch, buffers: SpareBuffers): { message: Buffer; buffer: Buffer } {
  const buffer = buffers.take(messageBytesMax(batch))
  const message = upsertMessage(batch, 'weak', buffer)
  const nothing = { ...batch, points: [] }
  const empty = upsertMessage(nothing, 'weak', Buffer.alloc(messageBytesMax(nothing)))
  const fenceBytes = readFields(empty.subarray(5))?.get(6) as Buffer
  // Its number takes a byte, and its size, which is below 128, another.
  const bare = message.subarray(0, message.length - fenceBytes.length - 2)
  bare.writeUInt32BE(bare.length - 5, 1)
  return { message: bare, buffer }
}

/** The vectors go in as they are; its types say number[]. */
function clientMessage({ collection, version, writtenAtMs, points }: PointBatch) {
  return {
    collectionName: collection,
    wait: true,
    ordering: { type: 0 },
    updateFilter: clientFence(version),
    points: points.map((point) => ({
      id: { pointIdOptions: { case: 'uuid' as const, value: point.id } },
      payload: Object.fromEntries(
        Object.entries(toServerPayload(point, version, writtenAtMs)).map(([key, value]) => [
          key,
          typeof value === 'number'
            ? { kind: { case: 'integerValue' as const, value: BigInt(value) } }
            : { kind: { case: 'stringValue' as const, value: `${value}` } },
        ]),
      ),
      vectors: {
        vectorsOptions: {
          case: 'vectors' as const,
          value: {
            vectors: Object.fromEntries(
              vectorsOf(point).map(([name, vector]) => [
                name,
                { vector: { case: 'dense' as const, value: { data: vector as unknown as number[] } } },
              ]),
            ),
          },
        },
      },
    })),
  }
}

function clientFence({ epoch, write }: WriteVersion) {
  const range = (key: string, bounds: { lt?: number; gte?: number; lte?: number }) => ({
    conditionOneOf: { case: 'field' as const, value: { key, range: bounds } },
  })
  const must = [range('epoch', { gte: epoch, lte: epoch }), range('write', { lte: write })]
  return {
    should: [
      range('epoch', { lt: epoch }),
      { conditionOneOf: { case: 'filter' as const, value: { must } } },
      { conditionOneOf: { case: 'isEmpty' as const, value: { key: 'epoch' } } },
    ],
  }
}

function vectorsOf(point: Point): [string, Float32Array][] {
  return point.kind === 'vectors' ? [...point.vectors] : []
}
