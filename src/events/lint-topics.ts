/** Everything that does not fit between the configured topics, their mappings and the schemas that are at hand. */

import { ConfigError } from '../errors.ts'
import { lintMapping } from './mapping-lint.ts'
import type { SchemaSource } from './schema-source.ts'
import type { TopicSettings } from './topic.ts'
import { createValueReader, rawSchema } from './value-reader.ts'

export interface TopicFinding {
  /** Below `events.topics`: the index, then the key, then the field. */
  at: readonly (string | number)[]
  severity: 'error' | 'warning'
  message: string
}

/** @returns findings in the order of the topics; a mapping is checked against its writer's schema where it is named */
export function lintTopics(topics: readonly TopicSettings[], schemas: SchemaSource): TopicFinding[] {
  return topics.flatMap((topic, index) => {
    const schemaFindings = lintSchema(topic, index, schemas)
    const isReadable = schemaFindings.length === 0
    const writer = isReadable && topic.schema !== null ? rawSchema(topic, schemas) : undefined
    const fields = lintMapping(topic, writer).map(({ field, severity, message }) => ({
      at: field === '' ? [index, 'fields'] : [index, 'fields', field],
      severity,
      message,
    }))
    return [...schemaFindings, ...fields]
  })
}

/** A named schema must exist, and be readable as ours unless the topic is mapped. */
function lintSchema(topic: TopicSettings, index: number, schemas: SchemaSource): TopicFinding[] {
  try {
    createValueReader(topic, schemas)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [{ at: [index, 'schema'], severity: 'error', message: error.message }]
  }
}
