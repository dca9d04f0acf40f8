/** Where the server is: an address that the client can't misread, and no key that others could read on the way. */

import { isIPv4 } from 'node:net'
import { ConfigError } from '../../errors.ts'

export interface ServerAddress {
  /** `https://host:443`: scheme, host and port, the port always stated. */
  origin: string
  port: number
  /** Path before every request, without a slash at its end: '' or `/some/path`. */
  prefix: string
}

const PORTS: Record<string, number> = { 'http:': 80, 'https:': 443 }

/**
 * The client drops a path, and takes port 6333 wherever none is stated or 443 is stated for https; so both are said.
 *
 * @throws {ConfigError} `qdrant-url`, `qdrant-secret-in-clear`
 */
export function serverAddress(
  url: string,
  apiKey: string | null,
  setting: 'url' | 'grpcUrl' = 'url',
): ServerAddress {
  const parsed = URL.parse(url)
  const port = parsed === null ? undefined : PORTS[parsed.protocol]
  // Before an @, and after a ? or #, stand secrets: they are not repeated.
  if (parsed === null || port === undefined)
    throw new ConfigError(
      'qdrant-url',
      `expected http://host:${setting === 'url' ? 6333 : 6334} or https://host, got ${/[@?#]/.test(url) ? 'one with a user, a query or a fragment' : url}: set vectors.qdrant.${setting}`,
    )
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '')
    throw new ConfigError(
      'qdrant-url',
      `expected an address without user, query and fragment, got one for ${parsed.host}: put the key into vectors.qdrant.apiKey`,
    )
  if (apiKey !== null && parsed.protocol === 'http:' && !isLoopback(parsed.hostname))
    throw new ConfigError(
      'qdrant-secret-in-clear',
      `expected https where there is an API key, got ${parsed.origin}: everybody on the way could read the key; turn on TLS at the server`,
    )
  const statedPort = parsed.port === '' ? port : Number(parsed.port)
  return {
    origin: `${parsed.protocol}//${parsed.hostname}:${statedPort}`,
    port: statedPort,
    prefix: parsed.pathname.replace(/\/+$/, ''),
  }
}

/** `localhost` counts: what it resolves to is this machine's own affair. */
function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname === '[::1]') return true
  return isIPv4(hostname) && hostname.startsWith('127.')
}
