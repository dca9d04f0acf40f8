/** Every error of freshet; the class says who must act, the code names a section of docs/errors.md. */

interface ErrorOptions {
  cause?: unknown
}

/** The root of all our errors. Throw one of its five kinds, never this. */
export abstract class FreshetError extends Error {
  /** Kebab-case, unique; a section of docs/errors.md has the same name. */
  readonly code: string

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
  }
}

/** The operator must act: refuse to start. */
export class ConfigError extends FreshetError {}

/** Whoever wrote the record must act: its raw bytes go to the dead letters and the stream goes on. */
export class RecordError extends FreshetError {}

/** Nobody must act yet: something outside is down or slow; wait `retryAfterMs`, then try again. */
export class UnavailableError extends FreshetError {
  /** Milliseconds to wait before the next attempt. */
  readonly retryAfterMs: number
  /** Settles when the answer comes that is under way: the next attempt need not wait longer. Never rejects; null: none is. */
  readonly answered: Promise<void> | null

  constructor(
    code: string,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number; answered?: Promise<void> } = {},
  ) {
    super(code, message, options)
    this.retryAfterMs = options.retryAfterMs ?? 1_000
    this.answered = options.answered ?? null
  }
}

/** We must act: stop before anything is written. */
export class BugError extends FreshetError {}

/** The caller of the API must act: `status` is the HTTP status, 400-499. */
export class RequestError extends FreshetError {
  readonly status: number

  constructor(code: string, message: string, options: ErrorOptions & { status?: number } = {}) {
    super(code, message, options)
    this.status = options.status ?? 400
  }
}

/**
 * States what must be true on both sides of a boundary.
 *
 * @throws {BugError} code `invariant`, when it is not
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BugError('invariant', message)
}

/**
 * What was probably meant, for the part of a message that says what to do.
 *
 * @returns the known name within a third of the length in edits; undefined when none is that near
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.floor(Math.max(3, name.length) / 3) + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
