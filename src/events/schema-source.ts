/** Where writers' schemas come from: a port for registries, and the directory that serves where there is none. */

import { ConfigError } from '../errors.ts'
import { avroType, messageOf } from './avro.ts'
import { OWN_SCHEMA_DIRECTORY, readSchemaFiles } from './own-schemas.ts'
import { fingerprint } from './single-object.ts'

/**
 * Finds writers' schemas, as parsed JSON. A source that has to ask a server starts to, and throws until it knows.
 *
 * Every method returns undefined when nobody knows such a schema, and throws UnavailableError when nobody can tell now.
 */
export interface SchemaSource {
  /** @param id a Confluent registry's: a number, or a GUID in the form 8-4-4-4-12 */
  byId(id: number | string): unknown
  /** @param hex the 8 bytes of CRC-64-AVRO as a single-object frame holds them, as 16 hex digits */
  byFingerprint(hex: string): unknown
  /** @param name of a file without `.avsc`, relative to its directory */
  byName(name: string): unknown
}

/**
 * The schemas that freshet ships and, where a directory is given, its `.avsc` files; a file hides one of ours of the
 * same name.
 *
 * @param ids registry id or GUID -> file name, with or without `.avsc`
 * @throws {ConfigError} `schemas-unreadable`, `schemas-invalid`, `schemas-id-without-file`
 */
export function directorySchemas(
  directory: string | null,
  ids: Readonly<Record<string, string>> = {},
): SchemaSource {
  const byName = new Map([
    ...readAll(OWN_SCHEMA_DIRECTORY),
    ...(directory === null ? [] : readAll(directory)),
  ])
  const byFingerprint = new Map<string, unknown>()
  // Ours again, so that hiding one by name does not make what it wrote unreadable.
  for (const [name, schema] of [...readAll(OWN_SCHEMA_DIRECTORY), ...byName])
    byFingerprint.set(fingerprintHex(name, schema), schema)
  const byId = new Map<string, unknown>()
  for (const [id, file] of Object.entries(ids)) {
    const schema = byName.get(file.replace(/\.avsc$/, ''))
    if (schema === undefined)
      throw new ConfigError(
        'schemas-id-without-file',
        `events.schemas.ids.${id} must name a schema file, got ${file}, which is neither in ${directory ?? '(no directory)'} nor among freshet's own: add the file, or correct the name`,
      )
    byId.set(id.toLowerCase(), schema)
  }
  return {
    byId: (id) => byId.get(String(id)),
    byFingerprint: (hex) => byFingerprint.get(hex),
    byName: (name) => byName.get(name.replace(/\.avsc$/, '')),
  }
}

function readAll(directory: string): Map<string, unknown> {
  try {
    return readSchemaFiles(directory)
  } catch (cause) {
    throw new ConfigError(
      'schemas-unreadable',
      `the schema directory must hold .avsc files in JSON, got: ${messageOf(cause)}: correct events.schemas.directory, or the file`,
      { cause },
    )
  }
}

function fingerprintHex(name: string, schema: unknown): string {
  try {
    return fingerprint(avroType(schema)).toString('hex')
  } catch (cause) {
    throw new ConfigError(
      'schemas-invalid',
      `${name}.avsc must be an Avro schema, got: ${messageOf(cause)}: correct the file`,
      { cause },
    )
  }
}
