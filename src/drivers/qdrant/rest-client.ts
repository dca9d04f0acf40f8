/** Requests over REST: through the client for what is rare, past it for points, where it costs too much. */

import type { Readable } from 'node:stream'
import { QdrantClient } from '@qdrant/js-client-rest'
import { Agent, type Dispatcher } from 'undici'
import type { Clock } from '../../pipeline/clock.ts'
import { type Answer, type Asked, errorOf, refusedRequest, type Verdict } from './answers.ts'
import { type Attempt, Attempts, codeOf } from './attempts.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { serverAddress } from './server-address.ts'
import type { ServerName } from './server-names.ts'

/** Below the 5 s after which a server with its own settings closes: a request on a dead connection is lost time. */
const KEEP_ALIVE_MS = 4_000

/** It waits for no queue, so who is silent for so long isn't there; whoever starts freshet sits before it. */
const GREETING_MS_MAX = 10_000

/** With gzip the server answers in many small segments, and each waits 40 ms for the last one's receipt. */
const HEADERS = { 'accept-encoding': 'identity' }

type OpenApiClient = ReturnType<QdrantClient['api']>
type Call<T> = (api: OpenApiClient, init: RequestInit) => Promise<{ data: { result?: T | null } }>

export class RestClient {
  private readonly agent: Agent
  private readonly api: OpenApiClient
  private readonly origin: string
  private readonly prefix: string
  /** For the sentences of errors: the port, which is easily taken for another, always said. */
  readonly address: string
  private readonly headers: Record<string, string>
  private readonly timeoutMs: number
  private readonly attempts: Attempts

  /** @throws {ConfigError} `qdrant-url`, `qdrant-secret-in-clear` */
  constructor(
    {
      url,
      apiKey,
      timeoutMs,
      connectionsMax,
    }: Pick<QdrantSettings, 'url' | 'apiKey' | 'timeoutMs' | 'connectionsMax'>,
    clock: Clock,
  ) {
    const { origin, port, prefix } = serverAddress(url, apiKey)
    this.origin = origin
    this.prefix = prefix
    this.address = `${origin}${prefix}`
    this.timeoutMs = timeoutMs
    this.attempts = new Attempts(clock, this.address)
    // The key goes as a header of ours: the client warns on the console about its own.
    this.headers = apiKey === null ? HEADERS : { ...HEADERS, 'api-key': apiKey }
    this.agent = new Agent({
      connections: connectionsMax,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connect: { timeout: timeoutMs },
      // A request has one limit as a whole, in `Attempts`.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    const client = new QdrantClient({
      url: origin,
      port,
      ...(prefix === '' ? {} : { prefix }),
      timeout: Number.POSITIVE_INFINITY,
      headers: this.headers,
      checkCompatibility: false,
    })
    this.api = client.api()
  }

  /** @returns what the server answered @throws what `judge` makes of any other answer */
  async result<T>(asked: Asked, call: Call<T>, timeoutMs = this.timeoutMs): Promise<T> {
    const verdict = await this.ask(asked, call, timeoutMs)
    if (verdict.kind === 'done') return verdict.result as T
    throw errorOf(asked, verdict)
  }

  /** Asks through the client. @throws {UnavailableError} `vectors-closed` */
  ask<T>(asked: Asked, call: Call<T>, timeoutMs = this.timeoutMs): Promise<Verdict> {
    return this.attempts.judged(asked, timeoutMs, this.throughClient(call))
  }

  /** Past the client: a body of our own making, slice by slice. @param body called once an attempt */
  put(asked: Asked, path: string, body: () => AsyncIterable<Uint8Array>): Promise<Verdict> {
    // undici takes any iterable, its types only streams.
    return this.send(asked, 'PUT', path, body as () => never)
  }

  /** Past the client: it looks at every number of an answer for one beyond 2^53, and takes twice the time or more. */
  async post<T>(asked: Asked, path: string, body: object): Promise<T> {
    const verdict = await this.send(asked, 'POST', path, () => JSON.stringify(body))
    if (verdict.kind === 'done') return verdict.result as T
    throw errorOf(asked, verdict)
  }

  private send(
    asked: Asked,
    method: 'POST' | 'PUT',
    path: string,
    body: () => string | Readable,
  ): Promise<Verdict> {
    return this.attempts.judged(asked, this.timeoutMs, async (signal) => {
      const response = await this.agent.request({
        origin: this.origin,
        path: `${this.prefix}${path}`,
        method,
        headers: { ...this.headers, accept: 'application/json', 'content-type': 'application/json' },
        body: body(),
        signal,
      })
      const { 'retry-after': retryAfter } = response.headers
      const text = await response.body.text()
      return {
        kind: 'http',
        status: response.statusCode,
        body: parsed(text),
        retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
      }
    })
  }

  /** @returns what is said at `/`, a 404 included: it is for whoever asks to see whether that is a Qdrant server */
  async greeting(asked: Asked): Promise<unknown> {
    const answer = await this.attempts.answer(
      Math.min(this.timeoutMs, GREETING_MS_MAX),
      this.throughClient((api, init) => api.root({}, init)),
    )
    if (answer.kind === 'http' && (answer.status === 200 || answer.status === 404)) return answer.body
    const verdict = this.attempts.judge(answer, asked)
    throw verdict.kind === 'done' ? refusedRequest(asked, 'no greeting') : errorOf(asked, verdict)
  }

  async close(): Promise<void> {
    this.attempts.close()
    await this.agent.destroy()
  }

  private throughClient(
    call: (api: OpenApiClient, init: RequestInit) => Promise<{ data: unknown }>,
  ): Attempt {
    return async (signal) => {
      const seen: Seen = { status: null, retryAfter: null }
      const dispatcher = this.agent.compose(noteHead(seen))
      // The types of the dispatcher are those of the undici inside Node, which is another than ours.
      const init = { signal, dispatcher, redirect: 'manual' } as unknown as RequestInit
      try {
        const { data } = await call(this.api, init)
        return { kind: 'http', status: 200, body: data, retryAfter: null }
      } catch (error) {
        return answerOf(error, seen)
      }
    }
  }
}

/** The path of a request on points; a parameter that is null stays with the server's own. */
export function pointsPath(
  collection: ServerName,
  end: '' | '/query',
  parameters: Record<string, string | number | boolean | null>,
): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== null)
  const query = given.length === 0 ? '' : `?${given.map(([name, value]) => `${name}=${value}`).join('&')}`
  return `/collections/${encodeURIComponent(collection)}/points${end}${query}`
}

interface Seen {
  status: number | null
  retryAfter: string | null
}

/** The client keeps one character of the header, and throws on a date: so it is read where it goes by. */
function noteHead(seen: Seen): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
      onRequestUpgrade: (controller, status, headers, socket) =>
        handler.onRequestUpgrade?.(controller, status, headers, socket),
      onResponseStart: (controller, status, headers, message) => {
        const { 'retry-after': value } = headers
        seen.status = status
        seen.retryAfter = typeof value === 'string' ? value : null
        handler.onResponseStart?.(controller, status, headers, message)
      },
      onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
      onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
      onResponseError: (controller, error) => handler.onResponseError?.(controller, error),
    })
}

/** What the client throws: its errors of HTTP carry a status, the others are undici's, a cause or two deep. */
function answerOf(error: unknown, { status, retryAfter }: Seen): Answer {
  if (typeof error === 'object' && error !== null && 'status' in error && typeof error.status === 'number') {
    const body = 'data' in error ? error.data : null
    return { kind: 'http', status: error.status, body, retryAfter }
  }
  // Its own error for this status has lost the server's words.
  if (status === 429) return { kind: 'http', status, body: 'too many requests', retryAfter }
  return { kind: 'network', code: codeOf(error), cause: error }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
