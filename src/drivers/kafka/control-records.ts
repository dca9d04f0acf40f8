/** Records of the control topics as values of the schemas that freshet ships: registry changes and model versions. */

import { ConfigError, FreshetError } from '../../errors.ts'
import { type AvroCodec, avroCodec } from '../../events/own-schemas.ts'
import type { SourceRecord } from '../../events/source-record.ts'
import { type Group, type Instruction, type RetiredText, textHash } from '../../instructions/instruction.ts'
import type { RegistryRecord } from '../../instructions/registry.ts'
import type { ModelId } from '../../model/embedding-model.ts'
import type { ModelRecord } from '../../vectors/model-registry.ts'

/** What a model record is about, beside what it leaves active and existing. */
export interface ModelDescription {
  modelId: ModelId
  stage: 'candidate' | 'shadow' | 'active' | 'retired'
  parentModelId: ModelId | null
  artifactUri: string | null
  /** Content hash of the bundle. */
  artifactSha256: string
  dimensions: number
}

interface AvroInstruction {
  id: string
  text: string | null
  text_sha256: string
  lang: string
  group: string
  status: string
  max_staleness_ms: number
  owner: string | null
  previous: { text: string | null; retire_at: number } | null
}

interface AvroRetiredText {
  id: string
  text: string | null
  retire_at: number
}

interface AvroGroup {
  name: string
  min_refresh_ms: number
  paused: boolean
}

interface AvroChange {
  change: Readonly<Record<string, unknown>>
  updated_at: number
}

interface AvroModel {
  model_id: string
  stage: string
  parent_model_id: string | null
  artifact_uri: string | null
  artifact_sha256: string
  dimensions: number
  active_model_id: string
  also_model_id: string | null
  existing_model_ids: readonly string[]
  rebuild: boolean
  metrics: Readonly<Record<string, number>>
  trained_from: number | null
  trained_to: number | null
  emitted_at: number
}

interface Codecs {
  changes: AvroCodec<AvroChange>
  models: AvroCodec<AvroModel>
}

/** Kinds of record in one union are told apart by their names. */
const INSTRUCTION = 'dev.freshet.v1.Instruction'
const RETIRED_TEXT = 'dev.freshet.v1.RetiredText'
const GROUP = 'dev.freshet.v1.Group'

/** Made when first used: parsing schemas costs milliseconds. */
let made: Codecs | undefined

function codecs(): Codecs {
  made ??= { changes: avroCodec<AvroChange>('instruction'), models: avroCodec<AvroModel>('model-version') }
  return made
}

export function encodeInstruction(instruction: Instruction, updatedAtMs: number): Buffer {
  const { id, text, lang, group, status, maxStalenessMs, owner, previous } = instruction
  const change: AvroInstruction = {
    id,
    text,
    text_sha256: textHash(text),
    lang,
    group,
    status: status.toUpperCase(),
    max_staleness_ms: maxStalenessMs,
    owner,
    previous: previous && { text: previous.text, retire_at: previous.retireAtMs },
  }
  return codecs().changes.encode({ change: { [INSTRUCTION]: change }, updated_at: updatedAtMs })
}

export function encodeRetiredText({ id, text, retireAtMs }: RetiredText, updatedAtMs: number): Buffer {
  const change: AvroRetiredText = { id, text, retire_at: retireAtMs }
  return codecs().changes.encode({ change: { [RETIRED_TEXT]: change }, updated_at: updatedAtMs })
}

export function encodeGroup({ name, minRefreshMs, paused }: Group, updatedAtMs: number): Buffer {
  const change: AvroGroup = { name, min_refresh_ms: minRefreshMs, paused }
  return codecs().changes.encode({ change: { [GROUP]: change }, updated_at: updatedAtMs })
}

export function encodeModel(
  { active, also, existing, rebuild = false }: Omit<ModelRecord, 'offset'>,
  about: ModelDescription,
  emittedAtMs: number,
): Buffer {
  return codecs().models.encode({
    model_id: about.modelId,
    stage: about.stage.toUpperCase(),
    parent_model_id: about.parentModelId,
    artifact_uri: about.artifactUri,
    artifact_sha256: about.artifactSha256,
    dimensions: about.dimensions,
    active_model_id: active,
    also_model_id: also,
    existing_model_ids: existing,
    rebuild,
    metrics: {},
    trained_from: null,
    trained_to: null,
    emitted_at: emittedAtMs,
  })
}

/** @throws {ConfigError} `control-record-unreadable` */
export function decodeRegistryRecord(record: SourceRecord): RegistryRecord {
  const { change } = read(record, (value) => codecs().changes.decode(value))
  const { offset } = record
  if (GROUP in change) {
    const { name, min_refresh_ms, paused } = change[GROUP] as AvroGroup
    return {
      offset,
      kind: 'group',
      group: { name: name as Group['name'], minRefreshMs: min_refresh_ms, paused },
    }
  }
  if (RETIRED_TEXT in change) {
    const { id, text, retire_at } = change[RETIRED_TEXT] as AvroRetiredText
    return {
      offset,
      kind: 'retired-text',
      retired: { id: id as RetiredText['id'], text, retireAtMs: retire_at },
    }
  }
  const { id, text, lang, group, status, max_staleness_ms, owner, previous } = change[
    INSTRUCTION
  ] as AvroInstruction
  return {
    offset,
    kind: 'instruction',
    instruction: {
      id: id as Instruction['id'],
      text,
      lang,
      group: group as Instruction['group'],
      status: known(record, status, ['shadow', 'active', 'retired']),
      maxStalenessMs: max_staleness_ms,
      owner,
      previous: previous && { text: previous.text, retireAtMs: previous.retire_at },
    },
  }
}

/** @throws {ConfigError} `control-record-unreadable` */
export function decodeModelRecord(record: SourceRecord): ModelRecord {
  const model = read(record, (value) => codecs().models.decode(value))
  return {
    offset: record.offset,
    active: model.active_model_id as ModelId,
    also: model.also_model_id as ModelId | null,
    existing: model.existing_model_ids as readonly ModelId[],
    ...(model.rebuild ? { rebuild: true } : {}),
  }
}

function read<Value>(record: SourceRecord, decode: (value: Uint8Array) => Value): Value {
  if (record.value === null) throw unreadable(record, 'a record without a value')
  try {
    return decode(record.value)
  } catch (cause) {
    if (!(cause instanceof FreshetError)) throw cause
    throw unreadable(record, cause.message, cause)
  }
}

/** What a newer freshet calls otherwise must not pass for something that we know. */
function known<Name extends string>(record: SourceRecord, symbol: string, names: readonly Name[]): Name {
  const name = names.find((candidate) => candidate.toUpperCase() === symbol)
  if (name === undefined) throw unreadable(record, `the status ${symbol}`)
  return name
}

function unreadable({ topic, offset }: SourceRecord, found: string, cause?: unknown): ConfigError {
  return new ConfigError(
    'control-record-unreadable',
    `expected record ${offset} of ${topic} to be one of freshet's, got ${found}: run the freshet that wrote it, or a newer one; nobody but freshet may write there`,
    { cause },
  )
}
