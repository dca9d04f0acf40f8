/** Records as people write them, one JSON object each, become what a producer of the topic would have sent. */

import { RecordError, RequestError } from '../errors.ts'
import { avroType, encodeAvro } from './avro.ts'
import type { UserRecord } from './behavior-event.ts'
import { coerce } from './coerce.ts'
import { framer } from './encoder.ts'
import { describe, type Plain, readTenant, readUserId } from './field-readers.ts'
import { TENANT_HEADER } from './ids.ts'
import { createMapper, isMapped, type Mapper } from './mapping.ts'
import { readRecord } from './read-record.ts'
import type { SchemaSource } from './schema-source.ts'
import type { TopicSettings } from './topic.ts'
import { rawSchema } from './value-reader.ts'

/** Ready for the source: bytes in the topic's own format, under the user's key. */
interface IngestRecord {
  topic: string
  key: Buffer
  value: Buffer | null
  headers: Readonly<Record<string, string>>
  /** What the value says, read once already; null for a delete. */
  says: UserRecord | null
}

/** Asks for the id under which the schema that a topic is written with is registered. @returns undefined: under none */
export type FindId = (topic: TopicSettings, schema: unknown) => Promise<number | undefined>

export interface IngestEncoder {
  /**
   * Finds the ids of what is to be written into topics in `avro-confluent`, once each. It throws nothing: `line` and `object`
   * say what came of it, of a topic that is written to.
   *
   * @param topics left out: all
   */
  prepare(topics?: Iterable<string>): Promise<void>
  /**
   * @param line one JSON object: `topic`, and the fields of that topic's records; or `topic`, `key`, perhaps `tenant`, and `value: null`
   * @throws {RecordError} `ingest-line`, `record-topic-unknown`, or what the decoder would say about the record
   * @throws {RequestError} `schema-not-registered`; {ConfigError | UnavailableError} what `prepare` met
   */
  line(line: string): IngestRecord
  /** The same from an object, of an HTTP body or an Avro container file. */
  object(record: unknown): IngestRecord
}

interface TopicEncoder {
  settings: TopicSettings
  mapper: Mapper | null
  write: (record: Plain) => Buffer
}

/**
 * @param schemaIds registry ids by topic, for topics in `avro-confluent`
 * @param findId for those that aren't among them
 */
export function createIngestEncoder(options: {
  topics: readonly TopicSettings[]
  schemas: SchemaSource
  schemaIds?: Readonly<Record<string, number>>
  findId?: FindId
}): IngestEncoder {
  const { schemas, findId } = options
  /** By topic: an id, or why it isn't known. */
  const ids = new Map<string, number | Error>(Object.entries(options.schemaIds ?? {}))
  const settings = new Map(options.topics.map((topic) => [topic.topic, topic]))
  const encoders = new Map<string, TopicEncoder>()
  // Built when first used: a topic of a registry's format needs an id only if somebody writes to it.
  const encoderOf = (name: string): TopicEncoder => {
    let encoder = encoders.get(name)
    if (encoder !== undefined) return encoder
    const topic = settings.get(name)
    if (topic === undefined)
      throw new RecordError(
        'record-topic-unknown',
        `topic must be one of ${[...settings.keys()].join(', ')}, got ${describe(name)}: correct the line, or add the topic to events.topics`,
      )
    encoder = createTopicEncoder(topic, schemas, ids.get(name))
    encoders.set(name, encoder)
    return encoder
  }
  const object = (given: unknown): IngestRecord => {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) throw notALine(describe(given))
    const { topic, ...record } = given as Plain
    if (typeof topic !== 'string') throw notALine(`no topic (${describe(topic)})`)
    const encoder = encoderOf(topic)
    if (record.value === null && record.key !== undefined) return deletion(encoder.settings, record)
    const says = readRecord(encoder.settings.holds, encoder.mapper === null ? record : encoder.mapper(record))
    return { topic, key: Buffer.from(says.user), value: encoder.write(record), headers: {}, says }
  }
  const findIdOf = async (topic: TopicSettings): Promise<void> => {
    if (topic.format !== 'avro-confluent' || typeof ids.get(topic.topic) === 'number') return
    try {
      const isOurs = topic.fields === null || topic.schema !== null
      const id = isOurs ? await findId?.(topic, rawSchema(topic, schemas)) : undefined
      ids.set(topic.topic, id ?? notRegistered(topic))
    } catch (error) {
      ids.set(topic.topic, error as Error)
    }
  }
  const prepare = async (names: Iterable<string> = settings.keys()) => {
    const wanted = [...new Set(names)].flatMap((name) => settings.get(name) ?? [])
    await Promise.all(wanted.map(findIdOf))
  }
  return { prepare, object, line: (line) => object(parseLine(line)) }
}

function createTopicEncoder(
  settings: TopicSettings,
  schemas: SchemaSource,
  schemaId: number | Error | undefined,
): TopicEncoder {
  const mapper = isMapped(settings) ? createMapper(settings) : null
  if (settings.format === 'json')
    return { settings, mapper, write: (record) => Buffer.from(JSON.stringify(record)) }
  const type = avroType(rawSchema(settings, schemas))
  if (settings.format === 'avro-confluent' && typeof schemaId !== 'number')
    throw schemaId ?? notRegistered(settings)
  const frame = framer(settings.format, type, typeof schemaId === 'number' ? schemaId : undefined)
  return { settings, mapper, write: (record) => frame(encodeAvro(type, coerce(type, record, ''))) }
}

/** Whoever writes there can mend it, and needs no restart of ours. */
function notRegistered({ topic, fields, schema }: TopicSettings): RequestError {
  const remedy =
    fields !== null && schema === null
      ? 'name the schema of its producers in its `schema`, as their records are no longer ours'
      : `run freshet schemas register ${topic}; without a registry, map an id to its file in events.schemas.ids`
  return new RequestError(
    'schema-not-registered',
    `expected the schema that records of ${topic} are written with to be registered, got no id of it: ${remedy}`,
    { status: 409 },
  )
}

function deletion(settings: TopicSettings, record: Plain): IngestRecord {
  if (settings.holds !== 'tabular')
    throw new RecordError(
      'record-value-missing',
      `expected the fields of a record of ${settings.topic}, got value null: only tabular records can be deleted`,
    )
  const headers = { [TENANT_HEADER]: readTenant(record.tenant) }
  return { topic: settings.topic, key: Buffer.from(readUserId(record.key)), value: null, headers, says: null }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw notALine(`no JSON (${(cause as Error).message})`, cause)
  }
}

function notALine(got: string, cause?: unknown): RecordError {
  return new RecordError(
    'ingest-line',
    `expected one JSON object with a topic and the fields of its records, got ${got}: see docs/events.md`,
    { cause },
  )
}
