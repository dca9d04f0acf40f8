/** Under which id a registry has the schema that we write with. */

import type { TopicSettings } from '../../events/topic.ts'
import type { RegistryClient } from './registry-client.ts'
import { type SubjectStrategy, subjectOf } from './subject-report.ts'

const STRATEGIES: readonly SubjectStrategy[] = ['topic', 'topic-record', 'record']

/**
 * Looks under the topic's subject first, then under those that are named after the record, as some registries are kept so.
 *
 * @returns undefined: it is registered under none of them
 * @throws {ConfigError} `registry-unauthorized`, `registry-answer`; {UnavailableError} `registry-unavailable`
 */
export async function registeredId(
  client: RegistryClient,
  topic: TopicSettings,
  schema: unknown,
): Promise<number | undefined> {
  const text = JSON.stringify(schema)
  for (const strategy of STRATEGIES) {
    const found = await client.find(subjectOf(topic, schema, strategy)!, text)
    if (found !== undefined) return found.id
  }
  return undefined
}
