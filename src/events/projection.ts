/** Reader schemas with only the fields that are used: what is not read need not be decoded, and that is most of it. */

import { type AvroType, avroType } from './avro.ts'
import { ownSchema } from './own-schemas.ts'
import type { Holds } from './topic.ts'
import { withWritersNames } from './writer-names.ts'

const HEADER = ['event_id', 'user_id', 'event_time', 'source', 'tenant']

/** Fields that `read-record.ts` reads, by what a topic holds. */
const USED: Readonly<Record<Holds, readonly string[]>> = {
  paybill: [
    'header',
    'status',
    'direction',
    'amount',
    'merchant_name',
    'category',
    'item_text',
    'channel',
    'installments',
  ],
  miniprogram: ['header', 'program_id', 'program_name', 'category', 'service_name', 'page', 'action'],
  spm: ['header', 'spm_a', 'spm_b', 'spm_c', 'spm_d', 'page_title', 'kind', 'is_bot_suspect'],
  app: ['header', 'app_id', 'app_name', 'category', 'lifecycle'],
  search: ['header', 'query'],
  tabular: ['header', 'as_of', 'feature_set', 'numeric', 'categorical', 'missing'],
  userqa: ['user_id', 'tenant', 'qa_id', 'instruction_text', 'answer_text', 'cutoff_time'],
  tombstone: ['user_id', 'tenant', 'at'],
}

interface RecordSchema {
  fields: { name: string; type: unknown }[]
}

/** Our schema of one kind of record, pruned. */
export interface Projection {
  schema: unknown
  type: AvroType
}

export function projectionOf(holds: Holds): Projection {
  const schema = prune(ownSchema(holds) as RecordSchema, USED[holds])
  return { schema, type: avroType(schema) }
}

/** The projection as it reads one writer: by the writer's names, where it has renamed what is ours. */
export function projectedFor(projection: Projection, writer: AvroType): AvroType {
  const schema = withWritersNames(projection.schema, writer)
  return schema === projection.schema ? projection.type : avroType(schema)
}

function prune(schema: RecordSchema, used: readonly string[]): RecordSchema {
  const fields = schema.fields
    .filter((field) => used.includes(field.name))
    .map((field) =>
      field.name === 'header' ? { ...field, type: prune(field.type as RecordSchema, HEADER) } : field,
    )
  return { ...schema, fields }
}
