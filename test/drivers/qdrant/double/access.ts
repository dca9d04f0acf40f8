/** Who may do what: one key that may do all, one that may read, and no key where none is set. */

import type { Endpoint } from './endpoint.ts'
import { Refusal } from './refusal.ts'

export interface Keys {
  full: string | null
  readOnly: string | null
}

/** @throws {Refusal} 401 without a key or with another one, 403 for a write with the key that may read */
export function grants({ full, readOnly }: Keys, access: Endpoint['access'], key: string | undefined): void {
  if (access === 'open' || (full === null && readOnly === null)) return
  if (key === undefined)
    throw new Refusal('unauthorized', 'Must provide an API key or an Authorization bearer token')
  if (key === full) return
  if (key !== readOnly) throw new Refusal('unauthorized', 'Invalid API key or JWT')
  if (access === 'write') throw new Refusal('forbidden', 'Global manage access is required')
}
