/** The service over HTTP: what the command line asks when a running process holds the data directory. */

import { BugError, ConfigError, RequestError, UnavailableError } from '../errors.ts'
import type { Group, Instruction, InstructionId } from '../instructions/instruction.ts'
import { RECORDS_MAX } from './requests.ts'
import type {
  EmbedAnswer,
  ExplainAnswer,
  ForgetStatus,
  FreshetService,
  IngestResult,
  LetterSummary,
  NearestAnswer,
  NearestRequest,
  NewInstruction,
  RawRecord,
  RecallAnswer,
  RecallRequest,
  StatusAnswer,
  UserAnswer,
  UserRef,
  VerifyResult,
} from './service.ts'

export interface RemoteOptions {
  /** Where it answers, for example `http://127.0.0.1:7710`. */
  url: string
  adminSecret: string | null
  /** Milliseconds to wait for one answer. A verification of many users takes minutes. */
  timeoutMs?: number
}

interface Call {
  query?: Readonly<Record<string, string | number | boolean | undefined>>
  body?: unknown
  /** Statuses beside 2xx whose body is an answer. */
  also?: readonly number[]
}

/** Answers come typed as the server documents them: both ends are of one version, and the server checks what it sends. */
export class RemoteService implements FreshetService {
  private readonly options: RemoteOptions

  constructor(options: RemoteOptions) {
    this.options = options
  }

  /** Sent in as many requests as it takes; when one fails, those before it are durable. */
  async ingest(records: readonly unknown[]): Promise<IngestResult> {
    const result: IngestResult = { accepted: 0, rejected: [] }
    for (let start = 0; start < records.length; start += RECORDS_MAX) {
      const body = records.slice(start, start + RECORDS_MAX)
      const { accepted, rejected } = await this.call<IngestResult>('POST', '/v1/events', { body })
      result.accepted += accepted
      for (const refused of rejected) result.rejected.push({ ...refused, index: start + refused.index })
    }
    return result
  }

  async ingestRaw({ topic, key, value }: RawRecord): Promise<IngestResult> {
    try {
      return await this.call('POST', '/v1/events', { query: { topic, key }, body: value })
    } catch (error) {
      // A single record that is refused is an error over HTTP.
      if (!(error instanceof RequestError) || error.status !== 400) throw error
      return { accepted: 0, rejected: [{ index: 0, code: error.code, message: error.message }] }
    }
  }

  nearest({ from, ...request }: NearestRequest): Promise<NearestAnswer> {
    return this.call('POST', '/v1/nearest', { body: { ...request, ...from } })
  }

  recall(request: RecallRequest): Promise<RecallAnswer> {
    return this.call('POST', '/v1/recall', { body: request })
  }

  embedTexts(texts: readonly string[]): Promise<EmbedAnswer> {
    return this.call('POST', '/v1/embed', { body: { texts } })
  }

  async user(ref: UserRef, { vectors }: { vectors?: boolean } = {}): Promise<UserAnswer> {
    return this.call('GET', userPath(ref), { query: { tenant: ref.tenant, vectors } })
  }

  async explain(ref: UserRef): Promise<ExplainAnswer> {
    return this.call('GET', `${userPath(ref)}/explain`, { query: { tenant: ref.tenant } })
  }

  verify(options: { users?: UserRef[]; sample?: number }): Promise<VerifyResult> {
    return this.call('POST', '/v1/verify', { body: options })
  }

  async forget(ref: UserRef): Promise<ForgetStatus> {
    return this.call('DELETE', userPath(ref), { query: { tenant: ref.tenant } })
  }

  async forgetStatus(ref: UserRef): Promise<ForgetStatus> {
    return this.call('GET', `${userPath(ref)}/forget`, { query: { tenant: ref.tenant } })
  }

  instructions(): ReturnType<FreshetService['instructions']> {
    return this.call('GET', '/v1/instructions')
  }

  addInstruction(instruction: NewInstruction): Promise<Instruction> {
    return this.call('POST', '/v1/instructions', { body: instruction })
  }

  async retireInstruction(id: InstructionId): Promise<Instruction> {
    return this.call('DELETE', `/v1/instructions/${segment(id)}`)
  }

  async setGroup({ name, ...group }: Group): Promise<Group> {
    return this.call('PUT', `/v1/groups/${segment(name)}`, { body: group })
  }

  async parked({ limit }: { limit: number }): ReturnType<FreshetService['parked']> {
    const { users } = await this.call<{ users: Awaited<ReturnType<FreshetService['parked']>> }>(
      'GET',
      '/v1/parked',
      {
        query: { limit },
      },
    )
    return users
  }

  async retryParked(users?: readonly UserRef[]): Promise<number> {
    const { retried } = await this.call<{ retried: number }>('POST', '/v1/parked/retry', { body: { users } })
    return retried
  }

  async deadLetters(query: { limit: number; after?: string; reason?: string }): Promise<LetterSummary[]> {
    const { letters } = await this.call<{ letters: LetterSummary[] }>('GET', '/v1/dead-letters', { query })
    return letters
  }

  deadLetter(id: string): ReturnType<FreshetService['deadLetter']> {
    return this.call('GET', `/v1/dead-letters/${segment(id)}`)
  }

  async retryDeadLetters(body: { ids?: readonly string[]; reason?: string }): Promise<number> {
    const { retried } = await this.call<{ retried: number }>('POST', '/v1/dead-letters/retry', { body })
    return retried
  }

  async purgeDeadLetters(body: { ids?: readonly string[]; reason?: string }): Promise<number> {
    const { purged } = await this.call<{ purged: number }>('POST', '/v1/dead-letters/purge', { body })
    return purged
  }

  status(): Promise<StatusAnswer> {
    return this.call('GET', '/status')
  }

  async ready(): Promise<{ ready: boolean; why: string | null }> {
    const { ready, why } = await this.call<{ ready: boolean; why: string | null }>('GET', '/ready', {
      also: [503],
    })
    return { ready, why }
  }

  private async call<Answer>(
    method: string,
    path: string,
    { query = {}, body, also }: Call = {},
  ): Promise<Answer> {
    const url = new URL(path, this.options.url)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const response = await this.fetch(url, method, body)
    const text = await this.read(response)
    let answer: unknown
    try {
      answer = JSON.parse(text)
    } catch {
      throw this.notFreshet(response.status)
    }
    if (response.ok || also?.includes(response.status) === true) return answer as Answer
    throw this.asError(response, answer)
  }

  private async fetch(url: URL, method: string, body: unknown): Promise<Response> {
    const { adminSecret, timeoutMs = 630_000 } = this.options
    const headers: Record<string, string> = {}
    const isRaw = body instanceof Uint8Array
    if (body !== undefined) headers['content-type'] = isRaw ? 'application/octet-stream' : 'application/json'
    if (adminSecret !== null) headers.authorization = `Bearer ${adminSecret}`
    try {
      return await fetch(url, {
        method,
        headers,
        // A secret must not follow a redirect to somebody else.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
        ...(body === undefined ? {} : { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
      })
    } catch (cause) {
      throw this.unreachable(cause)
    }
  }

  private async read(response: Response): Promise<string> {
    try {
      return await response.text()
    } catch (cause) {
      throw this.unreachable(cause)
    }
  }

  /** The server's error, of the class that says the same about who must act. */
  private asError(response: Response, answer: unknown): Error {
    const { code, message } = (answer ?? {}) as { code?: unknown; message?: unknown }
    if (typeof code !== 'string' || typeof message !== 'string') return this.notFreshet(response.status)
    const { status } = response
    if (status === 503) {
      const retryAfterMs = Number(response.headers.get('retry-after') ?? 1) * 1000
      return new UnavailableError(code, message, { retryAfterMs })
    }
    return status < 500 ? new RequestError(code, message, { status }) : new BugError(code, message)
  }

  private unreachable(cause: unknown): UnavailableError {
    const { message, cause: below } = cause as Error
    const why = below instanceof Error ? below.message : message
    return new UnavailableError(
      'server-unreachable',
      `expected an answer from ${this.options.url}, got none (${why}): see whether freshet runs there`,
      { cause },
    )
  }

  private notFreshet(status: number): ConfigError {
    return new ConfigError(
      'server-not-freshet',
      `expected freshet at ${this.options.url}, got an answer of status ${status} that is none of its: check the URL`,
    )
  }
}

function userPath({ user }: UserRef): string {
  return `/v1/users/${segment(user)}`
}

/** @throws {RequestError} `id-in-path`, for the few ids that no URL can hold */
function segment(id: string): string {
  if (id !== '.' && id !== '..' && id !== '' && id.isWellFormed()) return encodeURIComponent(id)
  throw new RequestError(
    'id-in-path',
    `expected an id that a URL can hold, got ${JSON.stringify(id)}: stop the running freshet and use the command line on its data directory`,
  )
}
