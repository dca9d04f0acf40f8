/** Writers' schemas from a registry: asked for once, kept for good, and waited for without blocking anybody else. */

import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, RecordError, UnavailableError } from '../../errors.ts'
import { messageOf } from '../../events/avro.ts'
import type { SchemaSource } from '../../events/schema-source.ts'
import type { RegistryClient, SchemaReference } from './registry-client.ts'
import { selfContained } from './schema-references.ts'

/** Milliseconds for which an id that the registry doesn't have is not asked for again: it may be registered meanwhile. Guess. */
const ABSENT_MS = 30_000
/** Milliseconds before such an id is asked for once more and believed to be unknown: replicas of a registry lag behind. Guess. */
const DOUBT_MS = 1_000
/** With so many unknown ids at a time the bytes are no schema's: they are believed at once, or poison would hold up the rest. */
const DOUBTED_MAX = 8
/** Milliseconds between questions to a registry that doesn't answer: from the first wait to the longest. */
const RETRY_MS = 500
const RETRY_MS_MAX = 5_000
/** Milliseconds that a registry may ask us to stay away, at most. */
const RETRY_AFTER_MS_MAX = 60_000

/** What is known of an id, short of its schema. */
type Lookup =
  | { kind: 'asked'; answered: Promise<void> }
  | { kind: 'absent'; untilMs: number; error: RecordError | null }
  | { kind: 'failed'; retryAtMs: number; failures: number; error: UnavailableError | ConfigError }

export interface RegistrySchemasOptions {
  client: RegistryClient
  /** Asked first, so that an id which the operator maps to a file is never looked for; fingerprints and names are its alone. */
  directory: SchemaSource
  /** Schemas that are held, and ids of which something else is known; the least recently used go first. */
  cacheSize: number
  nowMs?: () => number
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

export class RegistrySchemas implements SchemaSource {
  private readonly options: RegistrySchemasOptions
  private readonly nowMs: () => number
  private readonly sleep: (ms: number, signal: AbortSignal) => Promise<unknown>
  private readonly known = new Map<number | string, unknown>()
  private readonly lookups = new Map<number | string, Lookup>()
  private readonly closing = new AbortController()

  constructor(options: RegistrySchemasOptions) {
    this.options = options
    this.nowMs = options.nowMs ?? Date.now
    this.sleep = options.sleep ?? ((ms, signal) => delay(ms, undefined, { signal }).catch(() => {}))
  }

  /**
   * @throws {UnavailableError} `schema-asked`: the answer is under way; `schema-unanswered`: there is none now
   * @throws {RecordError} `record-schema-unknown`, when the registry has it and it can't be had as an Avro schema
   */
  byId(id: number | string): unknown {
    const mapped = this.options.directory.byId(id)
    if (mapped !== undefined) return mapped
    const key = typeof id === 'string' ? id.toLowerCase() : id
    const schema = this.known.get(key)
    if (schema !== undefined) {
      this.remember(this.known, key, schema)
      return schema
    }
    const lookup = this.lookups.get(key)
    const nowMs = this.nowMs()
    if (lookup?.kind === 'asked') throw asked(key, lookup.answered)
    if (lookup?.kind === 'absent' && nowMs < lookup.untilMs) {
      if (lookup.error !== null) throw lookup.error
      return undefined
    }
    if (lookup?.kind === 'failed' && nowMs < lookup.retryAtMs)
      throw unanswered(key, lookup.error, lookup.retryAtMs - nowMs)
    const answered = this.look(key, lookup?.kind === 'failed' ? lookup.failures : 0)
    this.remember(this.lookups, key, { kind: 'asked', answered })
    throw asked(key, answered)
  }

  byFingerprint(hex: string): unknown {
    return this.options.directory.byFingerprint(hex)
  }

  byName(name: string): unknown {
    return this.options.directory.byName(name)
  }

  /** Ends what is under way. */
  close(): void {
    this.closing.abort()
    this.options.client.close()
  }

  /** Never rejects: what went wrong is thrown to whoever asks for this id. */
  private async look(key: number | string, failures: number): Promise<void> {
    let lookup: Lookup
    try {
      const schema = await this.fetched(key)
      if (schema !== undefined) {
        this.lookups.delete(key)
        this.remember(this.known, key, schema)
        return
      }
      lookup = { kind: 'absent', untilMs: this.nowMs() + ABSENT_MS, error: null }
    } catch (error) {
      lookup = this.wentWrong(key, failures, error)
    }
    this.remember(this.lookups, key, lookup)
  }

  private async fetched(key: number | string): Promise<unknown> {
    const { client } = this.options
    let schema = await client.schema(key)
    if (schema === undefined && this.absentCount() < DOUBTED_MAX) {
      await this.sleep(DOUBT_MS, this.closing.signal)
      schema = await client.schema(key)
    }
    if (schema === undefined) return undefined
    return selfContained(key, schema, ({ subject, version }: SchemaReference) =>
      client.version(subject, version),
    )
  }

  private wentWrong(key: number | string, failures: number, error: unknown): Lookup {
    const nowMs = this.nowMs()
    // A secret that was changed while we run is mended over there as well as here, and nothing is lost till then.
    if (!(error instanceof UnavailableError || error instanceof ConfigError))
      return { kind: 'absent', untilMs: nowMs + ABSENT_MS, error: recordError(key, error) }
    const waitMs = Math.max(
      Math.min(RETRY_MS * 2 ** failures, RETRY_MS_MAX),
      error instanceof UnavailableError ? Math.min(error.retryAfterMs, RETRY_AFTER_MS_MAX) : 0,
    )
    return { kind: 'failed', retryAtMs: nowMs + waitMs, failures: failures + 1, error }
  }

  private absentCount(): number {
    const nowMs = this.nowMs()
    let count = 0
    for (const lookup of this.lookups.values())
      if (lookup.kind === 'absent' && nowMs < lookup.untilMs) count++
    return count
  }

  /** As the most recently used; beyond the limit the least recently used goes. */
  private remember<Value>(map: Map<number | string, Value>, key: number | string, value: Value): void {
    map.delete(key)
    map.set(key, value)
    if (map.size > this.options.cacheSize) map.delete(map.keys().next().value!)
  }
}

/** A schema so odd that taking it apart fails must not pause a partition for ever. */
function recordError(id: number | string, error: unknown): RecordError {
  if (error instanceof RecordError) return error
  return new RecordError(
    'record-schema-unknown',
    `expected an Avro schema under id ${id} of the registry, got one that can't be read (${messageOf(error)}): map the id to a file in events.schemas.ids`,
    { cause: error },
  )
}

function asked(id: number | string, answered: Promise<void>): UnavailableError {
  return new UnavailableError(
    'schema-asked',
    `the schema of id ${id} must be known, got no answer of the registry yet: it is under way`,
    // The end of all attempts settles it; the time only bounds a wait that nothing would end.
    { answered, retryAfterMs: RETRY_AFTER_MS_MAX },
  )
}

function unanswered(
  id: number | string,
  cause: UnavailableError | ConfigError,
  retryAfterMs: number,
): UnavailableError {
  return new UnavailableError(
    'schema-unanswered',
    `the schema of id ${id} must be known, got from the registry: ${cause.code}: ${messageOf(cause)}`,
    { cause, retryAfterMs },
  )
}
