/** What a registry has for a topic, held against the schema that freshet reads it with; and registering what is missing. */

import { FreshetError, RecordError } from '../../errors.ts'
import { type AvroType, avroResolver, avroType, messageOf } from '../../events/avro.ts'
import { lintMapping } from '../../events/mapping-lint.ts'
import { projectedFor, projectionOf } from '../../events/projection.ts'
import type { SchemaSource } from '../../events/schema-source.ts'
import type { Holds, TopicSettings } from '../../events/topic.ts'
import { rawSchema } from '../../events/value-reader.ts'
import type { CompatibilityLevel, RegistryClient, SubjectVersion } from './registry-client.ts'
import { selfContained } from './schema-references.ts'

/** How a subject is named: after the topic, after the record, or after both. */
export type SubjectStrategy = 'topic' | 'record' | 'topic-record'

/**
 * `same`: ours is registered · `compatible`: it may become the next version · `incompatible`: the level forbids it ·
 * `missing`: there is no such subject · `mapped`: the producer's schema rules, and we only read it
 */
type SubjectStatus = 'same' | 'compatible' | 'incompatible' | 'missing' | 'mapped'

export interface SubjectReport {
  topic: string
  /** Null where a mapped topic's subject would be named after a record of its producer. */
  subject: string | null
  status: SubjectStatus
  /** The level in force for the subject. */
  level: string | null
  levelRecommended: CompatibilityLevel
  /** The registry's id and version of our schema. */
  id: number | null
  version: number | null
  /** Of the newest one that is registered. */
  versionNewest: number | null
  /** Why the registry refuses ours. */
  reasons: string[]
  /** Versions whose records would go to the dead letters. */
  unreadable: { version: number; id: number; reason: string }[]
  /** What goes well today and needn't tomorrow. */
  warnings: string[]
  /** What `register` did, or would do. */
  done: 'registered' | 'would-register' | 'refused' | null
}

/**
 * Readers and writers of events change at their own pace, so either may be the newer one: FULL. Histories are read again:
 * TRANSITIVE. Questions are written by few and read by us.
 */
const LEVELS: Readonly<Record<Holds, CompatibilityLevel>> = {
  paybill: 'FULL_TRANSITIVE',
  miniprogram: 'FULL_TRANSITIVE',
  spm: 'FULL_TRANSITIVE',
  app: 'FULL_TRANSITIVE',
  search: 'FULL_TRANSITIVE',
  tabular: 'FULL_TRANSITIVE',
  tombstone: 'FULL_TRANSITIVE',
  userqa: 'BACKWARD_TRANSITIVE',
}

/** Newest versions of a subject that are looked at. */
const VERSIONS_MAX = 100

interface Version extends SubjectVersion {
  /** Or why it can't be read as Avro. */
  avro: AvroType | string
  parsed: unknown
}

/** @param schemas for topics that name a schema of their own */
export async function reportSubject(
  client: RegistryClient,
  topic: TopicSettings,
  schemas: SchemaSource,
  strategy: SubjectStrategy,
): Promise<SubjectReport> {
  const declared = declaredSchema(topic, schemas)
  const subject = subjectOf(topic, declared, strategy)
  const report: SubjectReport = {
    topic: topic.topic,
    subject,
    status: declared === undefined ? 'mapped' : 'missing',
    level: null,
    levelRecommended: LEVELS[topic.holds],
    id: null,
    version: null,
    versionNewest: null,
    reasons: [],
    unreadable: [],
    warnings: [],
    done: null,
  }
  if (subject === null) {
    report.warnings.push(
      'the record of a mapped topic is its producer’s: look at it with --subject-strategy topic',
    )
    return report
  }
  report.level = await client.level(subject)
  const versions = await allVersions(client, subject)
  if (versions === undefined) return report
  report.versionNewest = versions.at(-1)?.version ?? null
  report.unreadable = versions.flatMap((version) => {
    const reason = unreadable(topic, version)
    return reason === null ? [] : [{ version: version.version, id: version.id, reason }]
  })
  if (declared !== undefined) await compare(client, report, subject, declared, versions)
  return report
}

/**
 * Registers ours where nothing or something compatible is registered; forces nothing. A subject that is new gets the
 * recommended level first, so that no version slips in under a weaker one.
 */
export async function registerSubject(
  client: RegistryClient,
  report: SubjectReport,
  topic: TopicSettings,
  schemas: SchemaSource,
  { dryRun, keepLevel }: { dryRun: boolean; keepLevel: boolean },
): Promise<void> {
  const { subject, status } = report
  const declared = declaredSchema(topic, schemas)
  if (subject === null || declared === undefined || (status !== 'missing' && status !== 'compatible')) return
  if (dryRun) {
    report.done = 'would-register'
    return
  }
  const refused = (reason: string) => {
    report.done = 'refused'
    report.reasons = [reason]
  }
  if (status === 'missing' && !keepLevel) {
    const no = await client.setLevel(subject, report.levelRecommended)
    if (no !== null) return refused(no.refused)
    report.level = report.levelRecommended
  }
  const answer = await client.register(subject, JSON.stringify(declared))
  if ('refused' in answer) return refused(answer.refused)
  report.done = 'registered'
  report.id = answer.id
}

/** The schema by which a topic's records are read; undefined where that is for its producer to say. */
function declaredSchema(topic: TopicSettings, schemas: SchemaSource): unknown {
  return topic.fields !== null && topic.schema === null ? undefined : rawSchema(topic, schemas)
}

/** @returns null: a mapped topic's record is its producer's, and so is the name */
export function subjectOf(
  { topic }: TopicSettings,
  declared: unknown,
  strategy: SubjectStrategy,
): string | null {
  if (strategy === 'topic') return `${topic}-value`
  if (declared === undefined) return null
  const { name = '' } = avroType(declared)
  return strategy === 'record' ? name : `${topic}-${name}`
}

async function allVersions(client: RegistryClient, subject: string): Promise<Version[] | undefined> {
  const numbers = await client.versions(subject)
  if (numbers === undefined) return undefined
  const versions: Version[] = []
  for (const number of numbers.slice(-VERSIONS_MAX)) {
    const version = await client.version(subject, number)
    if (version !== undefined) versions.push(await opened(client, version))
  }
  return versions
}

async function opened(client: RegistryClient, version: SubjectVersion): Promise<Version> {
  try {
    const parsed = await selfContained(version.id, version, ({ subject, version }) =>
      client.version(subject, version),
    )
    return { ...version, parsed, avro: avroType(parsed) }
  } catch (error) {
    // What the registry itself failed at is for the caller.
    if (error instanceof FreshetError && !(error instanceof RecordError)) throw error
    return { ...version, parsed: undefined, avro: messageOf(error) }
  }
}

/** Why records of this version would go to the dead letters; null: they wouldn't. */
function unreadable(topic: TopicSettings, { avro, parsed }: Version): string | null {
  if (typeof avro === 'string') return avro
  if (topic.fields === null) return cannotRead(projectedFor(projectionOf(topic.holds), avro), avro)
  const errors = lintMapping(topic, parsed).filter(({ severity }) => severity === 'error')
  return errors.length === 0 ? null : errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
}

function cannotRead(reader: AvroType, writer: AvroType): string | null {
  try {
    avroResolver(reader, writer, writer.name ?? writer.typeName)
    return null
  } catch (error) {
    return messageOf((error as Error).cause)
  }
}

async function compare(
  client: RegistryClient,
  report: SubjectReport,
  subject: string,
  declared: unknown,
  versions: readonly Version[],
): Promise<void> {
  const text = JSON.stringify(declared)
  const ours = avroType(declared)
  const found = await client.find(subject, text)
  if (found !== undefined) {
    report.status = 'same'
    report.id = found.id
    report.version = found.version
  } else {
    const { isCompatible, reasons } = await client.compatibility(subject, text, report.level ?? 'NONE')
    report.status = isCompatible ? 'compatible' : 'incompatible'
    // Some registries say no without a reason.
    if (!isCompatible)
      report.reasons = reasons.length > 0 ? reasons : conflicts(report.level ?? 'NONE', ours, versions)
  }
  const { level, levelRecommended } = report
  if (covers(level ?? 'NONE', levelRecommended)) return
  const hidden = report.status === 'incompatible' ? [] : conflicts(levelRecommended, ours, versions)
  report.warnings.push(
    `the level is ${level}, and ${levelRecommended} is recommended`,
    ...hidden.map((conflict) => `under ${levelRecommended}: ${conflict}`),
  )
}

/** What speaks against ours as the next version, as freshet itself sees it. */
function conflicts(level: string, ours: AvroType, versions: readonly Version[]): string[] {
  const older = level.endsWith('_TRANSITIVE') ? versions : versions.slice(-1)
  return older.flatMap(({ version, avro }) => {
    if (typeof avro === 'string') return []
    const backward = guards(level, 'BACKWARD') ? cannotRead(ours, avro) : null
    const forward = guards(level, 'FORWARD') ? cannotRead(avro, ours) : null
    return [
      ...(backward === null ? [] : [`ours can't read version ${version}: ${backward}`]),
      ...(forward === null ? [] : [`version ${version} can't read ours: ${forward}`]),
    ]
  })
}

function guards(level: string, direction: 'BACKWARD' | 'FORWARD'): boolean {
  return level.startsWith(direction) || level.startsWith('FULL')
}

/** Whether a level forbids all that another one forbids. */
function covers(level: string, other: string): boolean {
  if (other.endsWith('_TRANSITIVE') && !level.endsWith('_TRANSITIVE')) return false
  return (['BACKWARD', 'FORWARD'] as const).every((side) => !guards(other, side) || guards(level, side))
}
