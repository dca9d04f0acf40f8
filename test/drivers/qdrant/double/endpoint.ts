/** What an endpoint of the double is: where it answers, what it reads strictly, and what it does. */

import type { z } from 'zod'
import type { CollectionStore } from './collection-store.ts'
import type { Misses } from './search.ts'

/** What endpoints work on. */
export interface Server {
  store: CollectionStore
  version: string
  misses: Misses
}

export interface Call<Path, Query, Body> {
  server: Server
  path: Path
  query: Query
  body: Body
}

/** An endpoint whose types have done their work. */
export interface Endpoint {
  method: 'DELETE' | 'GET' | 'PATCH' | 'POST' | 'PUT'
  /** As the published document writes it: `/collections/{collection_name}`. */
  template: string
  path: z.ZodType
  query: z.ZodType
  /** Null: it takes none. */
  body: z.ZodType | null
  /** `open` needs no key, `read` any, `write` one that may change things. */
  access: 'open' | 'read' | 'write'
  /** True: the answer is sent as it is, without the envelope of `result`, `status` and `time`. */
  bare: boolean
  answer(call: Call<unknown, unknown, unknown>): unknown
}

interface Definition<Path, Query, Body> {
  path: z.ZodType<Path>
  query: z.ZodType<Query>
  body?: z.ZodType<Body>
  access: Endpoint['access']
  bare?: boolean
  answer(call: Call<Path, Query, Body>): unknown
}

/** @param at method and path: `PUT /collections/{collection_name}` */
export function endpoint<Path, Query, Body>(at: string, definition: Definition<Path, Query, Body>): Endpoint {
  const [method, template] = at.split(' ') as [Endpoint['method'], string]
  const { path, query, body, access, bare, answer } = definition
  return {
    method,
    template,
    path,
    query,
    body: body ?? null,
    access,
    bare: bare ?? false,
    answer: (call) => answer(call as Call<Path, Query, Body>),
  }
}
