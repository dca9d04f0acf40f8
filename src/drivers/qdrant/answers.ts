/** What each answer of the server means, and so who must act: one table, applied to reads and writes alike. */

import { ConfigError, type FreshetError, UnavailableError } from '../../errors.ts'

/** What came back for one request. */
export type Answer =
  | { kind: 'http'; status: number; body: unknown; retryAfter: string | null }
  | { kind: 'timeout'; afterMs: number }
  | { kind: 'network'; code: string | null; cause: unknown }

/** What was asked, for the sentences of errors. */
export interface Asked {
  /** E.g. `write points`. */
  what: string
  /** The collection as the server knows it; null where the request names none. */
  collection: string | null
  /** Of the server; added by whoever holds the connection. */
  address?: string
}

/** Everything but `error` says something that only whoever asked can judge. */
export type Verdict =
  | { kind: 'done'; result: unknown }
  /** The body is over a limit; nothing was written. */
  | { kind: 'too-large'; reason: string }
  /** The server closed while the body was sent: it is over a limit, or the server is going down. */
  | { kind: 'cut-off'; error: UnavailableError }
  /** Something in the request is wrong; nothing was written. */
  | { kind: 'refused'; reason: string }
  /** What was to be created is there. */
  | { kind: 'exists' }
  | { kind: 'error'; error: FreshetError }

/** A server that asks for longer is asked again after this all the same: who waits holds its partitions back. */
const RETRY_AFTER_MS_MAX = 60_000
const RETRY_AFTER_MS_DEFAULT = 1_000
/** Whoever says 0 is asked again soon, not at once and for ever. */
const RETRY_AFTER_MS_MIN = 100

/** Connections that died under the request: a kept one that the server had closed already, most of the time. */
const DROPPED = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'])

/** A connection that died under the request; asking again at once is safe, for every request may be repeated. */
export function isDropped(answer: Answer): boolean {
  return answer.kind === 'network' && answer.code !== null && DROPPED.has(answer.code)
}

/** @param nowMs for a `Retry-After` that is a date */
export function judge(answer: Answer, asked: Asked, nowMs: number): Verdict {
  if (answer.kind === 'timeout')
    return unknown(asked, `an answer within ${answer.afterMs} ms, got none`, answer, nowMs)
  if (answer.kind === 'network') {
    const expected = `an answer, got ${answer.code ?? messageOf(answer.cause)}`
    const error = unavailable(asked, expected, RETRY_AFTER_MS_DEFAULT, {
      remedy:
        'look whether it is up and whether this is its address, http or https; a freshet that runs asks again by itself',
      cause: answer.cause,
    })
    return answer.code === 'EPIPE' ? { kind: 'cut-off', error } : failed(error)
  }
  const { status } = answer
  const reason = reasonOf(answer.body)
  if (status >= 200 && status < 300) return judgeSuccess(answer, asked, nowMs)
  if (status === 413 || (status === 400 && TOO_LARGE.test(reason))) return { kind: 'too-large', reason }
  if (status === 429 && TOO_MANY_AT_ONCE.test(reason)) return { kind: 'too-large', reason }
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    return unknown(asked, `an answer, got ${status}: ${reason}`, answer, nowMs)
  if (status === 401 || status === 403) return judgeAccess(status, reason, asked, answer, nowMs)
  if (status === 404) return judgeMissing(reason, asked, answer, nowMs)
  if (status === 409) return { kind: 'exists' }
  if (status === 400 && VECTOR_NAME.test(reason)) return failed(vectorNameUnknown(asked, reason))
  if (status === 400 && DIMENSION.test(reason)) return failed(vectorDimension(asked, reason))
  if (status === 400 || status === 422) return { kind: 'refused', reason }
  if (status >= 300 && status < 400) return failed(redirected(asked, status))
  return failed(refusedRequest(asked, `${status}: ${reason}`))
}

const TOO_LARGE = /JSON payload .*(larger than allowed|exceeded limit)|Limit exceeded .* "upsert limit"/s
const TOO_MANY_AT_ONCE = /larger than rate limiter capacity/
const VECTOR_NAME = /Not existing vector name error/
const DIMENSION = /Vector dimension error/
const COLLECTION_MISSING = /Collection `.*` doesn't exist/s
const LOCKED = /^Storage locked/
const READ_ONLY = /Global manage access is required|Write access to collection .* is required/

/**
 * Only `completed` is done: `acknowledged`, `wait_timeout` and `clock_rejected` come with 200 as well, and may never be
 * applied. The id of an operation is left out where no shard took one, so that it tells nothing; what also has a status
 * is a collection's description.
 */
function judgeSuccess(answer: Answer & { kind: 'http' }, asked: Asked, nowMs: number): Verdict {
  const { body } = answer
  if (typeof body !== 'object' || body === null || !('result' in body))
    return unknown(asked, `Qdrant's answer, got ${reasonOf(body)}`, answer, nowMs)
  const { result } = body
  const isUpdate =
    typeof result === 'object' && result !== null && 'status' in result && !('optimizer_status' in result)
  if (isUpdate && result.status !== 'completed')
    return unknown(asked, `status completed, got ${result.status}`, answer, nowMs)
  return { kind: 'done', result }
}

function judgeAccess(status: number, reason: string, asked: Asked, answer: Answer, nowMs: number): Verdict {
  if (LOCKED.test(reason)) return unknown(asked, `a server that takes writes, got ${reason}`, answer, nowMs)
  if (status === 401) return failed(keyRefused(asked, reason))
  return failed(rightMissing(asked, reason))
}

/** A 404 in other words than the server's own is a proxy's, with no server behind it for now. */
function judgeMissing(reason: string, asked: Asked, answer: Answer, nowMs: number): Verdict {
  if (COLLECTION_MISSING.test(reason)) return failed(collectionMissing(asked, reason))
  if (/^Not found: /.test(reason)) return { kind: 'refused', reason }
  return unknown(asked, `an answer, got 404: ${reason}`, answer, nowMs)
}

function failed(error: FreshetError): Verdict {
  return { kind: 'error', error }
}

function unknown(asked: Asked, expected: string, answer: Answer, nowMs: number): Verdict {
  const header = answer.kind === 'http' ? answer.retryAfter : null
  return failed(unavailable(asked, expected, retryAfterMs(header, nowMs) ?? RETRY_AFTER_MS_DEFAULT))
}

/**
 * Of `Retry-After`, in whichever of its two forms. The client takes the first character of it.
 *
 * @returns milliseconds, 100 to a minute; undefined where there is none that can be read
 */
export function retryAfterMs(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  const text = header.trim()
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs
  if (Number.isNaN(ms)) return undefined
  return Math.min(Math.max(Math.ceil(ms), RETRY_AFTER_MS_MIN), RETRY_AFTER_MS_MAX)
}

/** The server's own words: in `status.error`, or the whole body as a text. */
export function reasonOf(body: unknown): string {
  const own = (body as { status?: { error?: unknown } } | null | undefined)?.status?.error
  const text = typeof own === 'string' ? own : typeof body === 'string' ? body : JSON.stringify(body)
  const line = (text ?? 'nothing').replace(/\s+/g, ' ').trim()
  return line.length <= REASON_LENGTH_MAX ? line || 'nothing' : `${line.slice(0, REASON_LENGTH_MAX)} …`
}

/** A proxy's page of HTML helps nobody; the server's own sentences are far shorter. */
const REASON_LENGTH_MAX = 500

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

const on = ({ what, collection }: Asked) =>
  collection === null ? what : `${what} of collection ${collection}`

/** The outcome of a request is not known, or it was not taken. */
export function unavailable(
  asked: Asked,
  expected: string,
  afterMs: number,
  {
    remedy = 'a freshet that runs asks again by itself; look at the server if this goes on',
    cause,
  }: { remedy?: string; cause?: unknown } = {},
): UnavailableError {
  const at = asked.address === undefined ? '' : ` at ${asked.address}`
  return new UnavailableError('qdrant-unavailable', `${on(asked)}${at}: expected ${expected}: ${remedy}`, {
    retryAfterMs: afterMs,
    cause,
  })
}

export function collectionMissing({ collection }: Asked, reason: string): ConfigError {
  return new ConfigError(
    'collection-missing',
    `expected a collection ${collection}, got ${reason}: it is created when its model or group comes into use`,
  )
}

function vectorNameUnknown({ collection }: Asked, reason: string): ConfigError {
  return new ConfigError(
    'vector-name-unknown',
    `expected a vector name of collection ${collection}, got ${reason}: create it before it is written`,
  )
}

function vectorDimension({ collection }: Asked, reason: string): ConfigError {
  return new ConfigError(
    'vector-dimension',
    `expected vectors of the dimensions of collection ${collection}, got ${reason}: the model is another than the collection's`,
  )
}

function keyRefused(asked: Asked, reason: string): ConfigError {
  return new ConfigError(
    'qdrant-key',
    `${on(asked)}: expected a key that the server takes, got 401: ${reason}: set vectors.qdrant.apiKey (FRESHET_VECTORS__QDRANT__API_KEY, or ..._FILE) and start again`,
  )
}

function rightMissing(asked: Asked, reason: string): ConfigError {
  if (READ_ONLY.test(reason))
    return new ConfigError(
      'qdrant-key-read-only',
      `${on(asked)}: expected a key that may write, got 403: ${reason}: set vectors.qdrant.apiKey to one that may`,
    )
  return new ConfigError(
    'qdrant-key-rights',
    `${on(asked)}: expected a key with the right to do so, got 403: ${reason}: the updater needs prw on its collections, rw to change them, and global m for new ones and aliases; for what is missing, freshet collections apply with such a key does as well`,
  )
}

function redirected(asked: Asked, status: number): ConfigError {
  return new ConfigError(
    'qdrant-url',
    `${on(asked)}: expected the server, got a redirect (${status}): set vectors.qdrant.url to where it leads, for a key is sent nowhere else`,
  )
}

/** What an answer that isn't `done` is where nothing else was to be expected. */
export function errorOf(asked: Asked, verdict: Exclude<Verdict, { kind: 'done' }>): FreshetError {
  if (verdict.kind === 'error' || verdict.kind === 'cut-off') return verdict.error
  return refusedRequest(asked, verdict.kind === 'exists' ? 'that it exists already' : verdict.reason)
}

/** A request that is wrong as a whole: sending it again, or in parts, helps nobody. */
export function refusedRequest(asked: Asked, reason: string): ConfigError {
  return new ConfigError(
    'qdrant-refused',
    `${on(asked)}: expected it to be taken, got ${reason}: compare the server's version, strict mode and limits with docs/qdrant.md`,
  )
}
