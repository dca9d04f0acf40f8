/**
 * Calls of gRPC over one kept HTTP/2 connection. Qdrant's client has one of its own: after an error of the protocol its
 * next request ends the process, it keeps a connection that has gone silent, and it can't be closed.
 */

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import type { Socket } from 'node:net'

export interface GrpcReply {
  /** Of HTTP: other than 200 where a proxy answers. */
  httpStatus: number
  /** Null: the stream ended without one. */
  grpcStatus: number | null
  /** What the server says about it; '' when all is well. */
  grpcMessage: string
  retryAfter: string | null
  /** The message, without its frame; of a proxy's answer, its body. */
  body: Buffer
}

/** Below a minute, after which many a proxy forgets a connection without a word. */
const IDLE_MS = 30_000
/** Of a reply: the server's are below 200 bytes, a proxy's page of HTML may be longer. */
const REPLY_BYTES_MAX = 65_536
const FRAME_BYTES = 5
/** MB of all that is under way; at Node's 10 two large requests at a time are one too many, and it resets their streams. */
const SESSION_MEMORY_MAX = 1_024

interface Connection {
  session: ClientHttp2Session
  /** Null until it is connected. */
  socket: Socket | null
  streams: number
  /** Nothing more is sent over it. */
  isRetired: boolean
}

export class GrpcConnection {
  private readonly origin: string
  private readonly prefix: string
  private readonly headers: Record<string, string>
  private current: Connection | null = null
  /** With those that are retired, as long as there are streams on them. */
  private readonly all = new Set<Connection>()

  /** @param prefix path before every method, without a slash at its end */
  constructor(origin: string, prefix: string, headers: Record<string, string>) {
    this.origin = origin
    this.prefix = prefix
    this.headers = headers
  }

  /**
   * @param method e.g. `qdrant.Points/Upsert`
   * @param request framed
   * @throws the signal's reason, or what Node says of a connection that failed; the outcome is unknown then
   */
  async unary(method: string, request: Buffer, signal: AbortSignal): Promise<GrpcReply> {
    const connection = this.open()
    const path = `${this.prefix}/${method}`
    try {
      signal.throwIfAborted()
      const stream = connection.session.request({ ...this.headers, ...HEADERS, ':path': path })
      connection.streams++
      stream.once('close', () => {
        connection.streams--
        this.endIfUnused(connection)
      })
      return await exchange(stream, request, signal)
    } catch (error) {
      // Whoever is silent on this connection, or takes nothing more on it, is likely to stay so: another one is made.
      this.retire(connection)
      throw error
    }
  }

  close(): void {
    for (const connection of this.all) end(connection)
    this.all.clear()
    this.current = null
  }

  private open(): Connection {
    const { current } = this
    if (current !== null && !current.session.closed && !current.session.destroyed) return current
    const session = connect(this.origin, { maxSessionMemory: SESSION_MEMORY_MAX })
    const connection: Connection = { session, socket: null, streams: 0, isRetired: false }
    this.current = connection
    this.all.add(connection)
    // Each stream learns of it by itself; without a listener the process would end.
    session.on('error', () => {})
    session.once('connect', (_, socket) => {
      connection.socket = socket
    })
    session.once('close', () => this.all.delete(connection))
    session.setTimeout(IDLE_MS, () => this.retire(connection))
    // Whoever waits for a reply has a timer that keeps the process alive.
    session.unref()
    return connection
  }

  /** Streams on it may still get their replies. */
  private retire(connection: Connection): void {
    if (this.current === connection) this.current = null
    connection.isRetired = true
    this.endIfUnused(connection)
  }

  private endIfUnused(connection: Connection): void {
    if (connection.isRetired && connection.streams === 0) end(connection)
  }
}

/** At once: a session closes when the other side has taken all that was sent, and is destroyed no sooner. */
function end({ session, socket }: Connection): void {
  session.destroy()
  socket?.destroy()
}

const HEADERS = { ':method': 'POST', 'content-type': 'application/grpc+proto', te: 'trailers' }

function exchange(stream: ClientHttp2Stream, request: Buffer, signal: AbortSignal): Promise<GrpcReply> {
  const { promise, resolve, reject } = Promise.withResolvers<GrpcReply>()
  const heads: Record<string, unknown> = {}
  const chunks: Buffer[] = []
  let bytes = 0
  let failure: unknown
  const giveUp = () => {
    reject(signal.reason)
    stream.close(constants.NGHTTP2_CANCEL)
    // Where nothing gets through, the other side hears of neither.
    stream.destroy()
  }
  signal.addEventListener('abort', giveUp, { once: true })
  stream.on('response', (headers) => Object.assign(heads, headers))
  // The status is in the trailers, or in the head where there is no message.
  stream.on('trailers', (trailers) => Object.assign(heads, trailers))
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= REPLY_BYTES_MAX) chunks.push(chunk)
  })
  stream.on('error', (error) => {
    failure = error
  })
  stream.on('close', () => {
    signal.removeEventListener('abort', giveUp)
    const reply = replyOf(heads, Buffer.concat(chunks))
    const isAnswered = reply !== null && (reply.grpcStatus !== null || reply.httpStatus !== 200)
    if (isAnswered) resolve(reply)
    else reject(failureOf(failure, stream.rstCode))
  })
  stream.end(request)
  return promise
}

/** @returns null where not even the head came */
function replyOf(heads: Record<string, unknown>, bytes: Buffer): GrpcReply | null {
  const text = (name: string) => (typeof heads[name] === 'string' ? heads[name] : null)
  const httpStatus = heads[':status']
  if (typeof httpStatus !== 'number') return null
  const grpcStatus = text('grpc-status')
  return {
    httpStatus,
    grpcStatus: grpcStatus === null ? null : Number(grpcStatus),
    grpcMessage: decoded(text('grpc-message') ?? ''),
    retryAfter: text('retry-after'),
    body: httpStatus === 200 ? bytes.subarray(FRAME_BYTES) : bytes,
  }
}

/** Percent-encoded UTF-8. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message)
  } catch {
    return message
  }
}

/** What lies behind a stream that ended before its time: of the connection rather than of the stream. */
function failureOf(failure: unknown, rstCode: number): unknown {
  const cause = failure instanceof Error && failure.cause instanceof Error ? failure.cause : failure
  const isReset = cause === undefined || rstCode === constants.NGHTTP2_REFUSED_STREAM
  return isReset ? Object.assign(new Error('the stream was reset'), { code: 'ECONNRESET', cause }) : cause
}
