/** Requests over gRPC, their answers told as REST would tell them: one table says what each of them means. */

import { ConfigError } from '../../errors.ts'
import type { Clock } from '../../pipeline/clock.ts'
import { type Answer, type Asked, errorOf, type Verdict } from './answers.ts'
import { Attempts } from './attempts.ts'
import { GrpcConnection, type GrpcReply } from './grpc-connection.ts'
import { readFields } from './protobuf.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { serverAddress } from './server-address.ts'

/** Qdrant gives these codes for these statuses of REST; those of gRPC itself are put where they belong. */
const HTTP_STATUS: Record<number, number> = {
  1: 503, // cancelled
  3: 400, // invalid argument
  4: 408, // deadline exceeded
  5: 404, // not found
  6: 409, // already exists
  7: 403, // permission denied
  8: 429, // resource exhausted
  10: 503, // aborted
  11: 413, // out of range: a message above the limit
  12: 405, // unimplemented
  14: 503, // unavailable
  16: 401, // unauthenticated
}
const FAILED_PRECONDITION = 9
const LOCKED = /^Storage locked/

/** What REST calls them; the others are as little done. */
const UPDATE_STATUS = ['unknown', 'acknowledged', 'completed', 'clock_rejected', 'wait_timeout']

/** A message without fields, framed. */
const NOTHING = Buffer.alloc(5)

type GrpcSettings = Pick<QdrantSettings, 'apiKey' | 'timeoutMs'> & { grpcUrl: string }

export class GrpcClient {
  private readonly connection: GrpcConnection
  private readonly attempts: Attempts
  private readonly timeoutMs: number
  private readonly address: string

  /** @throws {ConfigError} `qdrant-url`, `qdrant-secret-in-clear` */
  constructor({ grpcUrl, apiKey, timeoutMs }: GrpcSettings, clock: Clock) {
    const { origin, prefix } = serverAddress(grpcUrl, apiKey, 'grpcUrl')
    this.address = `${origin}${prefix}`
    this.connection = new GrpcConnection(origin, prefix, apiKey === null ? {} : { 'api-key': apiKey })
    this.attempts = new Attempts(clock, this.address)
    this.timeoutMs = timeoutMs
  }

  /** @param message framed @throws {UnavailableError} `vectors-closed` */
  upsert(asked: Asked, message: Buffer): Promise<Verdict> {
    return this.attempts.judged(asked, this.timeoutMs, async (signal) =>
      answerOf(await this.connection.unary('qdrant.Points/Upsert', message, signal), updateOf),
    )
  }

  /**
   * No key is needed for it.
   *
   * @returns the server's version
   * @throws {ConfigError} `qdrant-url`: nobody speaks Qdrant's gRPC there
   * @throws {UnavailableError} `qdrant-unavailable`, `vectors-closed`
   */
  async version(): Promise<string> {
    const asked = { what: 'greet the server over gRPC', collection: null }
    const answer = await this.attempts.answer(this.timeoutMs, async (signal) =>
      answerOf(await this.connection.unary('qdrant.Qdrant/HealthCheck', NOTHING, signal), versionOf),
    )
    const verdict = this.attempts.judge(answer, asked)
    if (verdict.kind === 'done') return String(verdict.result)
    throw isStranger(answer) ? notGrpc(answer, this.address) : errorOf(asked, verdict)
  }

  async close(): Promise<void> {
    this.attempts.close()
    this.connection.close()
  }
}

/** @param read the result in a message; undefined where there is none */
function answerOf(reply: GrpcReply, read: (message: Buffer) => unknown): Answer {
  const { httpStatus, grpcStatus, grpcMessage, retryAfter, body } = reply
  if (grpcStatus === null) return { kind: 'http', status: httpStatus, body: body.toString(), retryAfter }
  if (grpcStatus !== 0)
    return { kind: 'http', status: statusOf(grpcStatus, grpcMessage), body: grpcMessage, retryAfter }
  const result = read(body)
  return { kind: 'http', status: 200, body: result === undefined ? 'nothing' : { result }, retryAfter }
}

function statusOf(grpcStatus: number, message: string): number {
  if (grpcStatus === FAILED_PRECONDITION) return LOCKED.test(message) ? 403 : 500
  return HTTP_STATUS[grpcStatus] ?? 500
}

/** Field 1 of the reply holds the operation's id (1) and status (2). */
function updateOf(message: Buffer): object | undefined {
  const update = readFields(message)?.get(1)
  const fields = update instanceof Buffer ? readFields(update) : undefined
  if (fields === undefined) return undefined
  const status = fields.get(2)
  return { operation_id: fields.get(1) ?? null, status: UPDATE_STATUS[Number(status ?? 0)] ?? status }
}

function versionOf(message: Buffer): string | undefined {
  const version = readFields(message)?.get(2)
  return version instanceof Buffer ? version.toString() : undefined
}

/** Another protocol altogether, such as REST's port speaks. */
function isStranger(answer: Answer): boolean {
  if (answer.kind === 'network') return /^(ERR_HTTP2_ERROR|EPROTO|ERR_SSL_.*)$/.test(answer.code ?? '')
  return answer.kind === 'http' && [200, 400, 404, 405, 415].includes(answer.status)
}

function notGrpc(answer: Answer, address: string): ConfigError {
  const got = answer.kind === 'http' ? `status ${answer.status}` : 'another protocol'
  return new ConfigError(
    'qdrant-url',
    `expected Qdrant's gRPC at ${address}, got ${got}: set vectors.qdrant.grpcUrl to its gRPC port (6334), or to null`,
  )
}
