/** Requests to a registry: several URLs, time-outs, bounded attempts, and answers of bounded size. */

import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, UnavailableError } from '../../errors.ts'
import type { RegistrySettings } from './registry-settings.ts'

/** Bytes of one answer: schemas take kilobytes, a megabyte is a mistake already. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024
/** Milliseconds before the second round over the URLs; doubled for each further one. */
const BACKOFF_MS = 200
/** A registry that wants to be left alone for longer is not waited for here: the caller is told how long. */
const WAIT_MS_MAX = 10_000

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'

export interface RegistryAnswer {
  /** The URL that gave it. */
  url: string
  status: number
  /** The body as JSON; undefined where it is none, or too large. */
  body: unknown
  /** What the body was, for a message. */
  got: string
}

export interface RegistryHttpOptions {
  /** How often all URLs are tried. */
  roundsMax?: number
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

interface Request {
  method: 'GET' | 'POST' | 'PUT'
  path: string
  body?: unknown
  /** Answers for which no other URL need be asked; left out: all. The last answer counts where none is final. */
  isFinal?: (answer: RegistryAnswer) => boolean
}

/** Why one URL gave no answer. */
interface Failure {
  text: string
  cause: unknown
  retryAfterMs: number | null
}

export class RegistryHttp {
  private readonly urls: readonly string[]
  private readonly timeoutMs: number
  private readonly roundsMax: number
  private readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
  private readonly headers: Record<string, string>
  private readonly closing = new AbortController()
  /** The URL that answered last is asked first. */
  private first = 0

  /** @throws {ConfigError} `registry-url` */
  constructor(settings: RegistrySettings, { roundsMax = 3, sleep }: RegistryHttpOptions = {}) {
    this.urls = settings.urls.map(baseUrl)
    if (this.urls.length === 0) throw badUrl('no URL')
    this.timeoutMs = settings.timeoutMs
    this.roundsMax = roundsMax
    this.sleep = sleep ?? ((ms, signal) => delay(ms, undefined, { signal }).catch(() => {}))
    const { username, password } = settings
    this.headers = { accept: `${MEDIA_TYPE}, application/json` }
    if (username !== null || password !== null) {
      const pair = Buffer.from(`${username ?? ''}:${password ?? ''}`).toString('base64')
      this.headers.authorization = `Basic ${pair}`
    }
  }

  /**
   * One answer of any status but those that say that the registry can't answer now.
   *
   * @throws {ConfigError} `registry-unauthorized`
   * @throws {UnavailableError} `registry-unavailable`: no URL answered, or with 408, 429 or 5xx
   */
  async ask(request: Request): Promise<RegistryAnswer> {
    let failures: Failure[] = []
    for (let round = 1; ; round++) {
      failures = []
      let last: RegistryAnswer | undefined
      for (let i = 0; i < this.urls.length; i++) {
        const at = (this.first + i) % this.urls.length
        const tried = await this.tryOne(this.urls[at]!, request)
        if ('text' in tried) {
          failures.push(tried)
          continue
        }
        last = tried
        if (request.isFinal?.(tried) ?? true) {
          this.first = at
          return tried
        }
      }
      if (last !== undefined) return last
      const waitMs = Math.max(BACKOFF_MS * 2 ** (round - 1), ...failures.map((f) => f.retryAfterMs ?? 0))
      if (round >= this.roundsMax || waitMs > WAIT_MS_MAX || this.closing.signal.aborted)
        throw unavailable(failures)
      await this.sleep(waitMs, this.closing.signal)
    }
  }

  /** Nothing is waited for any more. */
  close(): void {
    this.closing.abort()
  }

  private async tryOne(url: string, { method, path, body }: Request): Promise<RegistryAnswer | Failure> {
    const headers = body === undefined ? this.headers : { ...this.headers, 'content-type': MEDIA_TYPE }
    try {
      const response = await fetch(url + path, {
        method,
        headers,
        // A secret must not follow a redirect to somebody else.
        redirect: 'error',
        signal: AbortSignal.any([AbortSignal.timeout(this.timeoutMs), this.closing.signal]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return await this.judged(url, response)
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      return { text: `${url}: ${reasonOf(cause, this.timeoutMs)}`, cause, retryAfterMs: null }
    }
  }

  private async judged(url: string, response: Response): Promise<RegistryAnswer | Failure> {
    const { status } = response
    const text = await readBounded(response)
    if (status === 401 || status === 403)
      throw new ConfigError(
        'registry-unauthorized',
        `expected ${url} to let us in, got status ${status}: correct events.registry.username and password, or their rights there`,
      )
    if (status === 408 || status === 429 || status >= 500)
      return {
        text: `${url}: status ${status}`,
        cause: undefined,
        retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
      }
    if (text === null) return { url, status, body: undefined, got: `more than ${ANSWER_BYTES_MAX} bytes` }
    try {
      return { url, status, body: JSON.parse(text), got: text.slice(0, 200) }
    } catch {
      return { url, status, body: undefined, got: text === '' ? 'nothing' : text.slice(0, 200) }
    }
  }
}

/** @throws {ConfigError} `registry-url` */
function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw badUrl(JSON.stringify(text))
  // Those would be printed with every error.
  if (url.username !== '' || url.password !== '') throw badUrl('one with a user name or password in it')
  if (url.search !== '' || url.hash !== '') throw badUrl('one with ? or # in it')
  return url.href.replace(/\/+$/, '')
}

function badUrl(got: string): ConfigError {
  return new ConfigError(
    'registry-url',
    `events.registry.urls must hold http or https URLs such as https://registry.example:8081, got ${got}: correct it; names and secrets go into events.registry.username and password`,
  )
}

function unavailable(failures: readonly Failure[]): UnavailableError {
  const waits = failures.flatMap((failure) => failure.retryAfterMs ?? [])
  return new UnavailableError(
    'registry-unavailable',
    `expected an answer of the schema registry, got none (${failures.map(({ text }) => text).join('; ')}): see whether it runs, and events.registry.urls`,
    {
      cause: failures.find(({ cause }) => cause !== undefined)?.cause,
      ...(waits.length > 0 && { retryAfterMs: Math.max(...waits) }),
    },
  )
}

/** @returns null when there are too many bytes */
async function readBounded(response: Response): Promise<string | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    // Leaving the loop cancels the rest.
    if (bytes > ANSWER_BYTES_MAX) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Seconds, or a date. @returns null where nothing of that kind is said */
function retryAfterMs(header: string | null): number | null {
  if (header === null) return null
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : null
}

/** `fetch` says "fetch failed" and hides why; several addresses of one name hide it once more. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer in ${timeoutMs} ms`
  const { cause } = error
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0], timeoutMs)
  return cause instanceof Error && cause.message !== '' ? reasonOf(cause, timeoutMs) : error.message
}
