/** A schema registry by Confluent's REST API: schemas, subjects, versions and compatibility levels. */

import { ConfigError } from '../../errors.ts'
import { type RegistryAnswer, RegistryHttp, type RegistryHttpOptions } from './registry-http.ts'
import type { RegistrySettings } from './registry-settings.ts'

/** Another subject's version that a schema leans on. */
export interface SchemaReference {
  /** Full name of the type, as the schema writes it. */
  name: string
  subject: string
  version: number
}

export interface RegistrySchema {
  /** As it was registered: JSON of Avro, or text of something else. */
  text: string
  /** `AVRO`, `JSON`, `PROTOBUF`. */
  type: string
  references: readonly SchemaReference[]
}

export interface SubjectVersion extends RegistrySchema {
  id: number
  version: number
}

export type CompatibilityLevel =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE'

/** The registry said no, and why. */
export interface Refusal {
  refused: string
}

/** Ids are signed 32-bit numbers there; whatever is larger stands in no registry, and some answer such a question oddly. */
const ID_MAX = 0x7fff_ffff

const SUBJECT_UNKNOWN = 40401
const VERSION_UNKNOWN = 40402
const SCHEMA_UNKNOWN = 40403
const LEVEL_UNKNOWN = 40408

/**
 * Every method throws ConfigError `registry-unauthorized` or `registry-answer`, and UnavailableError
 * `registry-unavailable`, beside what it names.
 */
export class RegistryClient {
  private readonly http: RegistryHttp

  /** @throws {ConfigError} `registry-url` */
  constructor(settings: RegistrySettings, options: RegistryHttpOptions = {}) {
    this.http = new RegistryHttp(settings, options)
  }

  /** Whether a registry answers there, and lets us in. */
  async check(): Promise<void> {
    const answer = await this.http.ask({ method: 'GET', path: '/schemas/types' })
    if (answer.status !== 200 || !Array.isArray(answer.body)) throw noRegistry(answer)
  }

  /**
   * @param id a number, or a GUID in the form 8-4-4-4-12
   * @returns undefined when the registry has no such schema: every URL that answers says so, as one may lag behind
   */
  async schema(id: number | string): Promise<RegistrySchema | undefined> {
    if (typeof id === 'number' && !(id <= ID_MAX)) return undefined
    const path = typeof id === 'number' ? `/schemas/ids/${id}` : `/schemas/guids/${encodeURIComponent(id)}`
    const answer = await this.http.ask({ method: 'GET', path, isFinal: ({ status }) => status === 200 })
    if (answer.status === 200) return asSchema(answer)
    // A registry that doesn't know GUIDs, or dislikes this id, is one all the same; what lies at a wrong URL is none.
    if (errorCode(answer) !== SCHEMA_UNKNOWN) await this.check()
    return undefined
  }

  /** @returns rising; undefined when there is no such subject */
  async versions(subject: string): Promise<number[] | undefined> {
    const answer = await this.http.ask({ method: 'GET', path: `/subjects/${segment(subject)}/versions` })
    if (errorCode(answer) === SUBJECT_UNKNOWN) return undefined
    const { body } = answer
    if (answer.status !== 200 || !Array.isArray(body) || !body.every(Number.isInteger))
      throw noRegistry(answer)
    return (body as number[]).toSorted((a, b) => a - b)
  }

  /** @returns undefined when there is no such subject or version; deleted ones count, as records may hold them */
  async version(subject: string, version: number): Promise<SubjectVersion | undefined> {
    const path = `/subjects/${segment(subject)}/versions/${version}?deleted=true`
    const answer = await this.http.ask({ method: 'GET', path })
    if ([SUBJECT_UNKNOWN, VERSION_UNKNOWN].includes(errorCode(answer) ?? 0)) return undefined
    return asVersion(answer)
  }

  /** Where the subject has this very schema. @returns undefined when it doesn't */
  async find(subject: string, text: string): Promise<SubjectVersion | undefined> {
    const answer = await this.http.ask({
      method: 'POST',
      path: `/subjects/${segment(subject)}`,
      body: { schema: text },
    })
    if ([SUBJECT_UNKNOWN, SCHEMA_UNKNOWN].includes(errorCode(answer) ?? 0)) return undefined
    return asVersion(answer)
  }

  /**
   * Registers a version; one that is there already stays the same.
   *
   * @returns its id; or the registry's reason, when the level of the subject forbids it or the schema is invalid
   */
  async register(subject: string, text: string): Promise<{ id: number } | Refusal> {
    const path = `/subjects/${segment(subject)}/versions`
    const answer = await this.http.ask({ method: 'POST', path, body: { schema: text } })
    const { id } = fields(answer)
    if (answer.status === 200 && Number.isInteger(id)) return { id: id as number }
    return refusal(answer)
  }

  /**
   * Whether the level of the subject allows the schema as its next version.
   *
   * @param level in force: some registries, asked about a subject, ask every version whatever its level is
   * @returns the registry's reasons, where it gives any
   */
  async compatibility(
    subject: string,
    text: string,
    level: string,
  ): Promise<{ isCompatible: boolean; reasons: string[] }> {
    const versions = level.endsWith('_TRANSITIVE') ? 'versions' : 'versions/latest'
    const path = `/compatibility/subjects/${segment(subject)}/${versions}?verbose=true`
    const answer = await this.http.ask({ method: 'POST', path, body: { schema: text } })
    const { is_compatible: isCompatible, messages } = fields(answer)
    if (answer.status === 422) return { isCompatible: false, reasons: [messageIn(answer)] }
    if (answer.status !== 200 || typeof isCompatible !== 'boolean') throw noRegistry(answer)
    return { isCompatible, reasons: Array.isArray(messages) ? messages.map(String) : [] }
  }

  /** The level in force for a subject: its own, else the registry's. */
  async level(subject: string): Promise<string> {
    const own = await this.http.ask({ method: 'GET', path: `/config/${segment(subject)}` })
    const hasNone = [SUBJECT_UNKNOWN, LEVEL_UNKNOWN].includes(errorCode(own) ?? 0)
    const answer = hasNone ? await this.http.ask({ method: 'GET', path: '/config' }) : own
    const { compatibilityLevel } = fields(answer)
    if (answer.status !== 200 || typeof compatibilityLevel !== 'string') throw noRegistry(answer)
    return compatibilityLevel
  }

  /** @returns null when it is set */
  async setLevel(subject: string, compatibility: CompatibilityLevel): Promise<Refusal | null> {
    const path = `/config/${segment(subject)}`
    const answer = await this.http.ask({ method: 'PUT', path, body: { compatibility } })
    return answer.status === 200 ? null : refusal(answer)
  }

  /** Whoever still waits for an answer gets an UnavailableError. */
  close(): void {
    this.http.close()
  }
}

/** A subject as part of a path. */
const segment = encodeURIComponent

function fields(answer: RegistryAnswer): Record<string, unknown> {
  const { body } = answer
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
}

/** Of a registry's own "no"; undefined for an answer, or for a status that anything on the way may give. */
function errorCode(answer: RegistryAnswer): number | undefined {
  const { error_code: code } = fields(answer)
  return answer.status === 404 && typeof code === 'number' ? code : undefined
}

function messageIn(answer: RegistryAnswer): string {
  const { message } = fields(answer)
  return typeof message === 'string' ? message : answer.got
}

/** @throws {ConfigError} `registry-answer`, for a no that is none of a registry */
function refusal(answer: RegistryAnswer): Refusal {
  if (answer.status !== 409 && answer.status !== 422) throw noRegistry(answer)
  return { refused: messageIn(answer) }
}

function asSchema(answer: RegistryAnswer): RegistrySchema {
  const { schema, schemaType = 'AVRO', references = [] } = fields(answer)
  if (answer.status !== 200 || typeof schema !== 'string' || typeof schemaType !== 'string')
    throw noRegistry(answer)
  // Null where there are none, in some registries.
  if (references === null) return { text: schema, type: schemaType, references: [] }
  if (!Array.isArray(references) || !references.every(isReference)) throw noRegistry(answer)
  return { text: schema, type: schemaType, references }
}

function asVersion(answer: RegistryAnswer): SubjectVersion {
  const { id, version } = fields(answer)
  const schema = asSchema(answer)
  if (!Number.isInteger(id) || !Number.isInteger(version)) throw noRegistry(answer)
  return { ...schema, id: id as number, version: version as number }
}

function isReference(value: unknown): value is SchemaReference {
  const { name, subject, version } = (value ?? {}) as Record<string, unknown>
  return typeof name === 'string' && typeof subject === 'string' && Number.isInteger(version)
}

function noRegistry({ url, status, got }: RegistryAnswer): ConfigError {
  return new ConfigError(
    'registry-answer',
    `expected ${url} to answer as a schema registry does, got status ${status} with ${got}: correct events.registry.urls; the API may lie below a path, such as /apis/ccompat/v7`,
  )
}
