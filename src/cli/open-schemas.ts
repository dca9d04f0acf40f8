/** Where writers' schemas come from, as set: the directory, and before it the registry that is asked for what it lacks. */

import type { Settings } from '../config/settings.ts'
import { RegistryClient } from '../drivers/registry/registry-client.ts'
import { RegistrySchemas } from '../drivers/registry/registry-schemas.ts'
import type { RegistrySettings } from '../drivers/registry/registry-settings.ts'
import { UnavailableError } from '../errors.ts'
import { directorySchemas, type SchemaSource } from '../events/schema-source.ts'
import { type Say, sayWhile } from './say-while.ts'

interface OpenSchemas {
  schemas: SchemaSource
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
  if (settings === null) return { schemas: directory, close: () => {} }
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
  return { schemas, close: () => schemas.close() }
}

/** @returns null: no registry is set */
export function registrySettings({ registry }: Settings['events']): RegistrySettings | null {
  const { urls, ...rest } = registry
  return urls === null ? null : { urls, ...rest }
}
