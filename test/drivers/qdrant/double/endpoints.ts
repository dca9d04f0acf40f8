/** Every endpoint that freshet's driver calls, and no other: one that is missing here is one that we don't use. */

import { type Collection, checkVectorName } from './collection.ts'
import { collectionInfo } from './collection-info.ts'
import {
  aliasesBody,
  createCollectionBody,
  indexBody,
  updateCollectionBody,
  vectorNameBody,
} from './collection-schemas.ts'
import { type Call, type Endpoint, endpoint } from './endpoint.ts'
import { pathSteps } from './payload-path.ts'
import {
  countBody,
  deleteBody,
  queryBatchBody,
  queryBody,
  retrieveBody,
  scrollBody,
  upsertBody,
} from './point-schemas.ts'
import { retrieve, scroll, selected } from './reads.ts'
import { Refusal } from './refusal.ts'
import {
  collectionPath,
  fieldPath,
  noParameters,
  noPath,
  readParameters,
  timeoutParameters,
  vectorNamePath,
  writeParameters,
} from './request-schemas.ts'
import { search } from './search.ts'
import {
  checkCount,
  checkDeletion,
  checkIndex,
  checkQuery,
  checkQueryBatch,
  checkSelection,
  checkTimeout,
  checkUpsert,
} from './strict-mode.ts'
import { deletePoints, upsert, upsertOf } from './writes.ts'

const open = { path: noPath, query: noParameters, access: 'open', bare: true } as const
const list = { path: noPath, query: noParameters, access: 'read' } as const
const look = { path: collectionPath, query: noParameters, access: 'read' } as const
const read = { path: collectionPath, query: readParameters, access: 'read' } as const
const write = { path: collectionPath, query: writeParameters, access: 'write' } as const
const change = { path: collectionPath, query: timeoutParameters, access: 'write' } as const

const aliasList = (aliases: Iterable<[string, string]>) => ({
  aliases: Array.from(aliases, ([alias_name, collection_name]) => ({ alias_name, collection_name })),
})

const invalidPath = (why: string): Refusal => new Refusal('invalid', `path parameters: [vector_name: ${why}]`)

const service: Endpoint[] = [
  endpoint('GET /', {
    ...open,
    answer: ({ server }) => ({
      title: 'qdrant - vector search engine',
      version: server.version,
      commit: '74f3e85b94',
    }),
  }),
  endpoint('GET /healthz', { ...open, answer: () => 'healthz check passed' }),
  endpoint('GET /livez', { ...open, answer: () => 'healthz check passed' }),
  endpoint('GET /readyz', { ...open, answer: () => 'all shards are ready' }),
]

const collections: Endpoint[] = [
  endpoint('GET /collections', {
    ...list,
    answer: ({ server }) => ({
      collections: [...server.store.collections.keys()].sort().map((name) => ({ name })),
    }),
  }),
  endpoint('GET /collections/{collection_name}', {
    ...look,
    answer: ({ server, path }) => collectionInfo(server.store.get(path.collection_name)),
  }),
  endpoint('GET /collections/{collection_name}/exists', {
    ...look,
    answer: ({ server, path }) => ({ exists: server.store.has(path.collection_name) }),
  }),
  endpoint('PUT /collections/{collection_name}', {
    ...change,
    body: createCollectionBody,
    answer({ server, path, body }) {
      server.store.create(path.collection_name, body)
      return true
    },
  }),
  endpoint('PATCH /collections/{collection_name}', {
    ...change,
    body: updateCollectionBody,
    answer({ server, path, body }) {
      server.store.get(path.collection_name).update(body)
      return true
    },
  }),
  endpoint('DELETE /collections/{collection_name}', {
    ...change,
    answer: ({ server, path }) => server.store.drop(path.collection_name),
  }),
  endpoint('PUT /collections/{collection_name}/vectors/{vector_name}', {
    ...write,
    path: vectorNamePath,
    body: vectorNameBody,
    answer({ server, path, query, body }) {
      checkVectorName(path.vector_name, invalidPath)
      const collection = server.store.get(path.collection_name)
      collection.addVectorName(path.vector_name, body)
      return collection.write(query.wait === true, () => undefined)
    },
  }),
  endpoint('DELETE /collections/{collection_name}/vectors/{vector_name}', {
    ...write,
    path: vectorNamePath,
    answer({ server, path, query }) {
      checkVectorName(path.vector_name, invalidPath)
      const collection = server.store.get(path.collection_name)
      collection.dropVectorName(path.vector_name)
      return collection.write(query.wait === true, () => undefined)
    },
  }),
  endpoint('PUT /collections/{collection_name}/index', {
    ...write,
    body: indexBody,
    answer({ server, path, query, body }) {
      const collection = server.store.get(path.collection_name)
      pathSteps(body.field_name)
      checkIndex(collection)
      const schema = body.field_schema
      if (schema == null)
        throw new Refusal(
          'bad-request',
          "Can't auto-detect field type, please specify `field_schema` in the request",
        )
      collection.indexes.set(body.field_name, schema)
      return collection.write(query.wait === true, () => undefined)
    },
  }),
  endpoint('DELETE /collections/{collection_name}/index/{field_name}', {
    ...write,
    path: fieldPath,
    answer({ server, path, query }) {
      const collection = server.store.get(path.collection_name)
      collection.indexes.delete(path.field_name)
      return collection.write(query.wait === true, () => undefined)
    },
  }),
]

const aliases: Endpoint[] = [
  endpoint('POST /collections/aliases', {
    path: noPath,
    query: timeoutParameters,
    access: 'write',
    body: aliasesBody,
    answer({ server, body }) {
      server.store.changeAliases(body.actions)
      return true
    },
  }),
  endpoint('GET /aliases', { ...list, answer: ({ server }) => aliasList(server.store.aliases) }),
  endpoint('GET /collections/{collection_name}/aliases', {
    ...look,
    // By the name as it is given: of an alias, or of what isn't there, there are none.
    answer: ({ server, path }) =>
      aliasList([...server.store.aliases].filter(([, target]) => target === path.collection_name)),
  }),
]

type PointsCall = Call<{ collection_name: string }, { timeout?: number | undefined }, unknown>

/** The collection that a request on points is about, once its strict mode lets the request pass. */
function asked(call: PointsCall, check: (collection: Collection) => void = () => undefined): Collection {
  const collection = call.server.store.get(call.path.collection_name)
  check(collection)
  checkTimeout(collection, call.query.timeout)
  return collection
}

const points: Endpoint[] = [
  endpoint('PUT /collections/{collection_name}/points', {
    ...write,
    body: upsertBody,
    answer(call) {
      const request = upsertOf(call.body)
      const collection = asked(call, (one) => checkUpsert(one, request.points.length))
      return upsert(collection, call.query.wait === true, request)
    },
  }),
  endpoint('POST /collections/{collection_name}/points/delete', {
    ...write,
    body: deleteBody,
    answer(call) {
      const { body } = call
      const collection = asked(call, (one) => 'filter' in body && checkDeletion(one, body.filter))
      return deletePoints(collection, call.query.wait === true, body)
    },
  }),
  endpoint('POST /collections/{collection_name}/points', {
    ...read,
    body: retrieveBody,
    answer: (call) => retrieve(asked(call), call.body),
  }),
  endpoint('POST /collections/{collection_name}/points/scroll', {
    ...read,
    body: scrollBody,
    answer(call) {
      const { filter, limit } = call.body
      return scroll(
        asked(call, (one) => checkSelection(one, filter ?? null, limit ?? null)),
        call.body,
      )
    },
  }),
  endpoint('POST /collections/{collection_name}/points/count', {
    ...read,
    body: countBody,
    answer(call) {
      const { filter = null, exact = true } = call.body
      const collection = asked(call, (one) => checkCount(one, filter, exact))
      return { count: selected(collection, filter).length }
    },
  }),
  endpoint('POST /collections/{collection_name}/points/query', {
    ...read,
    body: queryBody,
    answer(call) {
      const collection = asked(call, (one) => checkQuery(one, call.body))
      return search(call.server.store, collection, call.body, call.server.misses)
    },
  }),
  endpoint('POST /collections/{collection_name}/points/query/batch', {
    ...read,
    body: queryBatchBody,
    answer(call) {
      const { searches } = call.body
      const collection = asked(call, (one) => {
        checkQueryBatch(one, searches.length)
        for (const body of searches) checkQuery(one, body)
      })
      return searches.map((one) => search(call.server.store, collection, one, call.server.misses))
    },
  }),
]

export const endpoints: readonly Endpoint[] = [...service, ...collections, ...aliases, ...points]
