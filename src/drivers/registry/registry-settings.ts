/** What a schema registry needs to be told. */

export interface RegistrySettings {
  /** Base URLs of one registry, tried in turn; with a path where the API lies below one. `https` checks the certificate. */
  urls: readonly string[]
  /** For basic authentication, or null. */
  username: string | null
  password: string | null
  /** Milliseconds that one URL has for one answer. */
  timeoutMs: number
  /** Schemas that are held in memory, and as many ids of which something else is known. */
  cacheSize: number
}
