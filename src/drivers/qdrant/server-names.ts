/** Names on the server: with the prefix of this environment, and none that a URL would take for a path. */

import { ConfigError } from '../../errors.ts'
import type { VectorName } from '../../instructions/instruction.ts'
import type { AliasName, CollectionName } from '../../vectors/vector-store.ts'

declare const brand: unique symbol
/** A collection's or an alias' name as the server knows it. */
export type ServerName = string & { readonly [brand]: 'ServerName' }

/** The client escapes no dots: a vector name `..` to delete would collapse into the collection itself. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the server refuses the first of them, a log would choke on the others
const FORBIDDEN = /[<>:"/\\|?*\u0000-\u001f\u007f]/
const COLLECTION_BYTES_MAX = 255
const VECTOR_BYTES_MAX = 200

/** @throws {ConfigError} `qdrant-name` */
export function serverName(prefix: string, name: CollectionName | AliasName): ServerName {
  return checked(`${prefix}${name}`, COLLECTION_BYTES_MAX, 'collection') as ServerName
}

/** @returns what a server's name is called here; null where it isn't of this environment */
export function localName(prefix: string, name: string): CollectionName | null {
  return name.startsWith(`${prefix}freshet_`) ? (name.slice(prefix.length) as CollectionName) : null
}

/** @throws {ConfigError} `qdrant-name` */
export function checkVectorName(name: VectorName): void {
  checked(name, VECTOR_BYTES_MAX, 'vector')
}

function checked(name: string, bytesMax: number, what: string): string {
  const isPath = name === '' || name === '.' || name === '..'
  if (isPath || FORBIDDEN.test(name) || Buffer.byteLength(name) > bytesMax)
    throw new ConfigError(
      'qdrant-name',
      `expected a ${what} name of 1 to ${bytesMax} bytes that is no path and holds none of < > : " / \\ | ? *, got ${JSON.stringify(name)}: rename the instruction, the group or the model that it is made of`,
    )
  return name
}
