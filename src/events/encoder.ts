/** What a record says, as bytes in any of the formats that the decoder reads: for producers, examples and tests. */

import { BugError } from '../errors.ts'
import { type AvroType, avroType, encodeAvro } from './avro.ts'
import type { BehaviorEvent, PaybillFields, UserRecord } from './behavior-event.ts'
import type { Plain } from './field-readers.ts'
import { TENANT_HEADER } from './ids.ts'
import { ownSchema } from './own-schemas.ts'
import { singleObjectFrame } from './single-object.ts'
import type { Holds, RecordFormat } from './topic.ts'

/** What a record says about its own making; none of it reaches a vector. */
export interface HeaderExtras {
  /** Derived or invented, not observed. */
  isSynthetic?: boolean
  ingestTimeMs?: number
  sessionId?: string
  attributes?: Readonly<Record<string, string>>
}

interface EncodedRecord {
  /** The user id in UTF-8. */
  key: Buffer
  /** null: a delete. */
  value: Buffer | null
  headers: Readonly<Record<string, string>>
}

export interface RecordEncoder {
  /** @throws {BugError} `encode-ignored` for a record that says nothing */
  encode(record: UserRecord, extras?: HeaderExtras): EncodedRecord
}

/** Frames encoded values of one schema. */
export type Framer = (payload: Buffer) => Buffer

/**
 * @param schemaId of the registry, for `avro-confluent` only
 */
export function framer(format: Exclude<RecordFormat, 'json'>, type: AvroType, schemaId?: number): Framer {
  if (format === 'avro-raw') return (payload) => payload
  if (format === 'avro-single-object') {
    const frame = singleObjectFrame(type)
    return (payload) => Buffer.concat([frame, payload])
  }
  if (schemaId === undefined)
    throw new BugError(
      'encode-schema-id',
      `avro-confluent needs the registry's id of ${type.name}, got none: pass schemaIds`,
    )
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(schemaId, 1)
  return (payload) => Buffer.concat([frame, payload])
}

/**
 * @param schemaIds registry ids by what a topic holds, for `avro-confluent`
 */
export function createRecordEncoder(
  format: RecordFormat,
  schemaIds: Partial<Record<Holds, number>> = {},
): RecordEncoder {
  const writers = new Map<Holds, (plain: Plain) => Buffer>()
  const writerOf = (holds: Holds) => {
    let writer = writers.get(holds)
    if (writer === undefined) {
      writer = createWriter(format, holds, schemaIds[holds])
      writers.set(holds, writer)
    }
    return writer
  }
  return {
    encode: (record, extras) => {
      const key = Buffer.from(record.user)
      if (record.kind === 'tabular' && record.snapshot === null)
        return { key, value: null, headers: { [TENANT_HEADER]: record.tenant } }
      return { key, value: writerOf(holdsOf(record))(toPlain(record, extras)), headers: {} }
    },
  }
}

function createWriter(format: RecordFormat, holds: Holds, schemaId: number | undefined) {
  if (format === 'json') return (plain: Plain) => Buffer.from(JSON.stringify(plain))
  const type = avroType(ownSchema(holds))
  const frame = framer(format, type, schemaId)
  return (plain: Plain) => frame(encodeAvro(type, plain))
}

/**
 * One line for `freshet ingest`, without the line break.
 *
 * @throws {BugError} `encode-ignored`
 */
export function toIngestLine(topic: string, record: UserRecord, extras?: HeaderExtras): string {
  if (record.kind === 'tabular' && record.snapshot === null)
    return JSON.stringify({ topic, key: record.user, tenant: record.tenant, value: null })
  return JSON.stringify({ topic, ...toPlain(record, extras) })
}

function holdsOf(record: UserRecord): Holds {
  if (record.kind === 'event') return record.event.modality
  if (record.kind === 'ignored')
    throw new BugError(
      'encode-ignored',
      `an ignored record (${record.reason}) must not be encoded: it says nothing`,
    )
  return record.kind
}

/** The record with the field names of `schemas/`. */
function toPlain(record: UserRecord, extras: HeaderExtras = {}): Plain {
  holdsOf(record)
  const { tenant, user } = record
  if (record.kind === 'tombstone') return { user_id: user, tenant, at: record.atMs }
  if (record.kind === 'event') {
    const { event } = record
    const header = headerOf(event.eventId, event.eventTimeMs, event.source, extras)
    return {
      header: { ...header, user_id: user, tenant },
      ...FIELDS_OF[event.modality](event.fields as never),
    }
  }
  if (record.kind !== 'tabular' || record.snapshot === null) return {}
  const { featureSet, numeric, categorical } = record.snapshot
  const header = headerOf(`${featureSet}@${record.asOfMs}`, record.asOfMs, 'freshet', extras)
  return {
    header: { ...header, user_id: user, tenant },
    as_of: record.asOfMs,
    feature_set: featureSet,
    numeric,
    categorical,
  }
}

function headerOf(eventId: string, eventTimeMs: number, source: string, extras: HeaderExtras): Plain {
  return {
    event_id: eventId,
    event_time: eventTimeMs,
    source,
    ...(extras.ingestTimeMs !== undefined && { ingest_time: extras.ingestTimeMs }),
    ...(extras.sessionId !== undefined && { session_id: extras.sessionId }),
    ...(extras.isSynthetic !== undefined && { is_synthetic: extras.isSynthetic }),
    ...(extras.attributes !== undefined && { attributes: extras.attributes }),
  }
}

type FieldsOf<M extends BehaviorEvent['modality']> = Extract<BehaviorEvent, { modality: M }>['fields']

const FIELDS_OF: { readonly [M in BehaviorEvent['modality']]: (fields: FieldsOf<M>) => Plain } = {
  paybill: paybillFields,
  miniprogram: (fields) => ({
    program_id: fields.programId,
    program_name: fields.programName,
    category: fields.category,
    service_name: fields.serviceName,
    page: fields.page,
    action: fields.action,
  }),
  spm: (fields) => ({
    spm_a: fields.spmA,
    spm_b: fields.spmB,
    spm_c: fields.spmC,
    spm_d: fields.spmD,
    page_title: fields.pageTitle,
    kind: fields.kind,
  }),
  app: (fields) => ({
    app_id: fields.appId,
    app_name: fields.appName,
    category: fields.category,
    lifecycle: fields.lifecycle,
  }),
  search: (fields) => ({ query: fields.query }),
}

function paybillFields(fields: PaybillFields): Plain {
  const { amountMinor, currency } = fields
  return {
    status: fields.status,
    direction: fields.direction,
    amount: amountMinor === null || currency === null ? null : { amount_minor: amountMinor, currency },
    merchant_name: fields.merchantName,
    category: fields.category,
    item_text: fields.itemText,
    channel: fields.channel,
    installments: fields.installments,
  }
}
