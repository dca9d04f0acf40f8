/** The gRPC front of the same collections: upsert, get, query and the health check, with the faults of REST. */

import { createServer, type Http2Server } from 'node:http2'
import type { Socket } from 'node:net'
import {
  create,
  type DescMethodUnary,
  type DescService,
  type Message,
  type MessageShape,
} from '@bufbuild/protobuf'
import {
  Code,
  ConnectError,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import {
  type GetPointsSchema,
  type GetResponse,
  GetResponseSchema,
  HealthCheckReplySchema,
  PointsOperationResponseSchema,
  Qdrant,
  type QueryPointsSchema,
  QueryResponseSchema,
  UpdateStatus,
  type UpsertPointsSchema,
} from '@qdrant/js-client-grpc'
import { grants } from './access.ts'
import type { Fault, SeenRequest } from './faults.ts'
import { queryBodyOf, retrieveBodyOf, retrievedPoint, scoredPoint, upsertBodyOf } from './grpc-messages.ts'
import { retrieve } from './reads.ts'
import { Refusal } from './refusal.ts'
import type { RestSettings } from './rest-front.ts'
import { search } from './search.ts'
import { checkQuery, checkTimeout, checkUpsert } from './strict-mode.ts'
import { upsert, upsertOf } from './writes.ts'

type GrpcSettings = Pick<RestSettings, 'server' | 'keys' | 'faults' | 'log'>

/** Ends the request's connection. */
const cutter = createContextKey<() => void>(() => undefined)

/** The client exports one service only; the others are reached through the file that describes it. */
function points<Input extends DescMethodUnary['input'], Output extends DescMethodUnary['output']>(
  name: string,
) {
  const services: DescService[] = Qdrant.file.dependencies.flatMap((file) => file.services)
  const method = services
    .find(({ typeName }) => typeName === 'qdrant.Points')
    ?.methods.find((one) => one.name === name)
  if (method === undefined) throw new Error(`expected qdrant.Points/${name} among the client's descriptors`)
  return method as DescMethodUnary<Input, Output>
}

const upsertMethod = points<typeof UpsertPointsSchema, typeof PointsOperationResponseSchema>('Upsert')
const getMethod = points<typeof GetPointsSchema, typeof GetResponseSchema>('Get')
const queryMethod = points<typeof QueryPointsSchema, typeof QueryResponseSchema>('Query')

export function grpcFront(settings: GrpcSettings): Http2Server {
  const { server } = settings
  const seconds = (timeout: bigint | undefined) => (timeout === undefined ? undefined : Number(timeout))
  /** By the client's port: a stream doesn't give its socket away. */
  const sockets = new Map<number | undefined, Socket>()
  const handler = connectNodeAdapter({
    contextValues: (request) =>
      createContextValues().set(cutter, () => sockets.get(request.socket.remotePort)?.resetAndDestroy()),
    routes(router) {
      router.rpc(Qdrant.method.healthCheck, (message, context) =>
        serve(settings, context, message, null, () =>
          create(HealthCheckReplySchema, { title: 'qdrant - vector search engine', version: server.version }),
        ),
      )
      router.rpc(upsertMethod, (message, context) =>
        serve(settings, context, message, operationStatus, () => {
          grants(settings.keys, 'write', keyOf(context))
          const collection = server.store.get(message.collectionName)
          checkTimeout(collection, seconds(message.timeout))
          checkUpsert(collection, message.points.length)
          const result = upsert(collection, message.wait === true, upsertOf(upsertBodyOf(message)))
          return operationStatus(
            result.status === 'completed' ? UpdateStatus.Completed : UpdateStatus.Acknowledged,
            BigInt(result.operation_id),
          )
        }),
      )
      router.rpc(getMethod, (message, context) =>
        serve(settings, context, message, null, (): GetResponse => {
          grants(settings.keys, 'read', keyOf(context))
          const collection = server.store.get(message.collectionName)
          const records = retrieve(collection, retrieveBodyOf(message))
          return create(GetResponseSchema, { result: records.map(retrievedPoint) })
        }),
      )
      router.rpc(queryMethod, (message, context) =>
        serve(settings, context, message, null, () => {
          grants(settings.keys, 'read', keyOf(context))
          const collection = server.store.get(message.collectionName)
          const body = queryBodyOf(message)
          checkQuery(collection, body)
          const found = search(server.store, collection, body, server.misses)
          return create(QueryResponseSchema, { result: found.points.map(scoredPoint) })
        }),
      )
    },
  })
  const front = createServer(handler)
  front.on('connection', (socket: Socket) => {
    const { remotePort } = socket
    sockets.set(remotePort, socket)
    socket.on('close', () => sockets.delete(remotePort))
  })
  return front
}

function operationStatus(
  status: UpdateStatus,
  operationId = 0n,
): MessageShape<typeof PointsOperationResponseSchema> {
  return create(PointsOperationResponseSchema, { result: { status, operationId } })
}

function keyOf(context: HandlerContext): string | undefined {
  return (
    context.requestHeader.get('api-key') ??
    /^Bearer (.*)$/.exec(context.requestHeader.get('authorization') ?? '')?.[1]
  )
}

/** @param reported makes an answer of another status, for calls that have one */
async function serve<Output>(
  { faults, log }: GrpcSettings,
  context: HandlerContext,
  message: Message,
  reported: ((status: UpdateStatus) => Output) | null,
  work: () => Output,
): Promise<Output> {
  const endpoint = `${context.service.typeName}/${context.method.name}`
  const seen: SeenRequest = {
    protocol: 'grpc',
    endpoint,
    path: `/${endpoint}`,
    query: {},
    sizeBytes: aboutBytes(message),
    body: message,
  }
  log.add(seen)
  const fault = faults.take(seen)
  const strike = async (): Promise<Output | null> =>
    fault === null ? null : struck(fault, context, reported)
  if (fault?.moment === 'before') {
    const instead = await strike()
    if (instead !== null) return instead
  }
  if (message.$unknown !== undefined && message.$unknown.length > 0)
    throw new ConnectError('the double knows no such field', Code.InvalidArgument)
  let output: Output
  try {
    output = work()
  } catch (error) {
    if (error instanceof Refusal) throw new ConnectError(error.message, error.code)
    throw error
  }
  return (fault?.moment === 'after' ? await strike() : null) ?? output
}

/** @returns what is answered instead; null: go on */
async function struck<Output>(
  fault: Fault,
  context: HandlerContext,
  reported: ((status: UpdateStatus) => Output) | null,
): Promise<Output | null> {
  if (fault.kind === 'hold') {
    await fault.released
    return null
  }
  if (fault.kind === 'cut') context.values.get(cutter)()
  // Nobody hears what comes after the cut; a hang ends when the client or the double does.
  if (fault.kind === 'cut' || fault.kind === 'hang') return new Promise(() => undefined)
  if (fault.kind === 'answer')
    throw new ConnectError(`Fault of the double: ${fault.status}`, codeOf(fault.status), fault.headers)
  if (reported === null) return null
  return reported(fault.status === 'acknowledged' ? UpdateStatus.Acknowledged : UpdateStatus.WaitTimeout)
}

/** The code that Qdrant gives over gRPC for what is this status over REST. */
function codeOf(status: number): Code {
  const codes: Record<number, Code> = {
    401: Code.Unauthenticated,
    403: Code.PermissionDenied,
    404: Code.NotFound,
    408: Code.DeadlineExceeded,
    409: Code.AlreadyExists,
    429: Code.ResourceExhausted,
    500: Code.Internal,
    502: Code.Unavailable,
    503: Code.Unavailable,
    504: Code.DeadlineExceeded,
  }
  return codes[status] ?? (status < 500 ? Code.InvalidArgument : Code.Internal)
}

/** Four bytes a number: what the log counts by. */
function aboutBytes(message: object): number {
  if (!('points' in message) || !Array.isArray(message.points)) return 100
  let numbers = 0
  for (const { vectors } of message.points as MessageShape<typeof UpsertPointsSchema>['points']) {
    if (vectors?.vectorsOptions.case !== 'vectors') continue
    for (const { vector } of Object.values(vectors.vectorsOptions.value.vectors))
      if (vector.case === 'dense') numbers += vector.value.data.length
  }
  return 100 + numbers * 4
}
