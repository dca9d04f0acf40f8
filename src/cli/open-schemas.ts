/** Where writers' schemas come from, as set: the directory, and before it the registry that is asked for what it lacks. */

import type { Settings } from '../config/settings.ts'
import { registeredId } from '../drivers/registry/registered-id.ts'
import { RegistryClient } from '../drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../drivers/registry/registry-schemas.ts'
import type { RegistrySettings } from '../drivers/registry/registry-settings.ts'
import { UnavailableError } from '../errors.ts'
import type { FindId } from '../events/ingest.ts'
import { directorySchemas, type SchemaSource } from '../events/schema-source.ts'
import type { TopicSettings } from '../events/topic.ts'
import { type Say, sayWhile } from './say-while.ts'

export interface OpenSchemas {
  schemas: SchemaSource
  /** For what we write into topics in `avro-confluent`. */
  findId: FindId
  /** Ends what is under way. */
  close(): void
}

/**
 * A registry is asked at once, so that a wrong address or secret stops the start; one that is only down doesn't.
 *
 * @param say told of one that is silent or down
 * @throws {ConfigError} of the directory's files; `registry-answer`, `registry-unauthorized`
 */
export async function openSchemas({ events }: Settings, say: Say): Promise<OpenSchemas> {
  const directory = directorySchemas(events.schemas.directory, events.schemas.ids)
  const settings = registrySettings(events)
  const ofFiles: FindId = async (topic) => idOfFile(events.schemas.ids, topic)
  if (settings === null) return { schemas: directory, findId: ofFiles, close: () => {} }
  // The source tries again by itself, and says so in between.
  const client = new RegistryClient(settings, { roundsMax: 1 })
  try {
    const where = `the schema registry (${settings.urls.join(', ')}, ${settings.timeoutMs} ms for an answer)`
    await sayWhile(
      () => say('schemas', `${where} is silent: it is waited for`),
      () => client.check(),
    )
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error
    say('schemas', `${error.message}; records whose schema it has wait until it answers`)
  }
  const schemas = new RegistrySchemas({ client, directory, cacheSize: settings.cacheSize })
  const findId: FindId = async (topic, schema) =>
    idOfFile(events.schemas.ids, topic) ?? registeredId(client, topic, schema)
  return { schemas, findId, close: () => schemas.close() }
}

/** What the operator says holds, as it does for reading; of several ids the newest. GUIDs are no ids for a frame of ours. */
function idOfFile(
  ids: Settings['events']['schemas']['ids'],
  { schema, holds }: TopicSettings,
): number | undefined {
  const nameOf = (file: string) => file.replace(/\.avsc$/, '')
  const own = Object.entries(ids).filter(([, file]) => nameOf(file) === nameOf(schema ?? holds))
  return own
    .map(([id]) => Number(id))
    .filter(Number.isInteger)
    .sort((a, b) => a - b)
    .at(-1)
}

/** @returns null: no registry is set */
export function registrySettings({ registry }: Settings['events']): RegistrySettings | null {
  const { urls, ...rest } = registry
  return urls === null ? null : { urls, ...rest }
}
