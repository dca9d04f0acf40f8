/** Pages of an answer: the cursor that pins them to one model's vectors, and what a page asks of the store. */

import { createHash } from 'node:crypto'
import { RequestError } from '../errors.ts'
import { NAME_PATTERN, type VectorName } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import { checkK } from '../vectors/checks.ts'
import { DEPTH_MAX, K_MAX } from '../vectors/vector-store.ts'
import type { NearestRequest } from './service.ts'

/** Characters of a cursor: the longest names give about 190. */
export const CURSOR_LENGTH_MAX = 256

/** Where a page begins, and in which vectors: those that the first page was answered from. */
export interface PageCursor {
  model: ModelId
  vectorName: VectorName
  /** Hits of the pages before. */
  offset: number
}

/** What `after` says, for the caller an opaque word; it holds no secret and grants nothing. */
export function writeCursor({ model, vectorName, offset }: PageCursor, request: NearestRequest): string {
  return encoded([model, vectorName, offset, questionOf(request)])
}

/**
 * @throws {RequestError} `page-cursor`, when it is not what an answer gave; `page-of-other-question`, when the answer
 *   was to another request
 */
export function readCursor(after: string, request: NearestRequest): PageCursor {
  const [model, vectorName, offset, question] = decoded(after)
  if (question !== questionOf(request))
    throw new RequestError(
      'page-of-other-question',
      'expected the request that the page before has answered, with another k and after at most, got another: repeat its instruction, users (or text, or vector), filter, threshold and exact, or leave after out',
    )
  return { model: model as ModelId, vectorName: vectorName as VectorName, offset: offset as number }
}

export interface PageSize {
  /** Hits that the page shows: fewer than `k` where the depth ends. */
  shown: number
  /** Hits to ask of the store: one more than is shown, where it may be asked, says whether anything follows. */
  asked: number
}

/** @throws {RequestError} `search-k`, `search-depth` */
export function pageSize(k: number, offset: number): PageSize {
  checkK(k)
  if (offset >= DEPTH_MAX)
    throw new RequestError(
      'search-depth',
      `expected a page among the first ${DEPTH_MAX} neighbours, got one behind them: filter, or raise the score threshold`,
    )
  const left = DEPTH_MAX - offset
  return { shown: Math.min(k, left), asked: Math.min(k + 1, K_MAX, left) }
}

/** Everything that decides which hits come in which order. */
function questionOf(request: NearestRequest): string {
  const { instruction, from, filter = {}, scoreThreshold = null, exact = false } = request
  const { tenantId, segment, lastEventSinceMs, lastEventBeforeMs } = filter
  const start =
    'users' in from
      ? from.users.map(({ tenant, user }) => [tenant, user])
      : 'text' in from
        ? from.text
        : [from.model, ...from.vector]
  const parts = [
    Object.keys(from).sort(),
    start,
    instruction,
    [tenantId, segment, lastEventSinceMs, lastEventBeforeMs],
    scoreThreshold,
    exact,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16)
}

function encoded(parts: readonly unknown[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

function decoded(after: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(after, 'base64url').toString())
    // Written again it must be the same: the decoder passes over what is no base64url.
    if (Array.isArray(parts) && isCursor(parts) && encoded(parts) === after) return parts
  } catch {
    // Said below, as for any other word that is no cursor.
  }
  throw new RequestError(
    'page-cursor',
    'expected after to be the next of an answer, unchanged, got another text: copy it whole, or leave it out for the first page',
  )
}

function isCursor(parts: readonly unknown[]): boolean {
  const [model, vectorName, offset, question] = parts
  const isName = typeof model === 'string' && NAME_PATTERN.test(model)
  const isVector = typeof vectorName === 'string' && /^[a-z0-9-]{1,40}@[0-9a-f]{8}$/.test(vectorName)
  const isPlace = Number.isSafeInteger(offset) && (offset as number) > 0
  return parts.length === 4 && isName && isVector && isPlace && typeof question === 'string'
}
