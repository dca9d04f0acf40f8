/** Holds the double against Qdrant's published OpenAPI document: what it accepts, and what it answers. */

import { z } from 'zod'
import type { Endpoint } from './endpoint.ts'
import { endpoints } from './endpoints.ts'
import { ALICE, BOB } from './facts.ts'
import { broken, type Rooted, type Schema, uncovered } from './openapi-schema.ts'
import { startQdrantDouble } from './qdrant-double.ts'

interface Content {
  content?: Record<string, { schema?: Schema }>
  required?: boolean
}

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[]
  requestBody?: Content
  responses: Record<string, Content>
}

export interface OpenapiDocument {
  paths: Record<string, Record<string, Operation>>
}

/** @returns what differs: nothing, when the double is as strict as the document and answers as it says */
export async function differences(document: OpenapiDocument): Promise<string[]> {
  const requests = endpoints.flatMap((endpoint) => requestDifferences(endpoint, document))
  return [...requests, ...(await answerDifferences(document))]
}

const nameOf = ({ method, template }: Endpoint): string => `${method} ${template}`

function operationOf({ method, template }: Endpoint, document: OpenapiDocument): Operation | null {
  return document.paths[template]?.[method.toLowerCase()] ?? null
}

/** What the double accepts and the document doesn't, endpoint by endpoint. */
export function requestDifferences(endpoint: Endpoint, document: OpenapiDocument): string[] {
  const at = nameOf(endpoint)
  const operation = operationOf(endpoint, document)
  if (operation === null) return [`${at}: not in the document`]
  const complaints = [
    ...parameterDifferences(endpoint.path, operation, 'path', at, document),
    ...parameterDifferences(endpoint.query, operation, 'query', at, document),
  ]
  const theirs = operation.requestBody?.content?.['application/json']?.schema
  if (endpoint.body === null)
    return theirs === undefined || operation.requestBody?.required !== true
      ? complaints
      : [...complaints, `${at}: a body is required there`]
  if (theirs === undefined) return [...complaints, `${at}: no body there`]
  return [
    ...complaints,
    ...uncovered(asJson(endpoint.body), { schema: theirs, root: document }, `${at} body`),
  ]
}

function asJson(schema: z.ZodType): Rooted {
  const root = z.toJSONSchema(schema, { io: 'input' }) as Schema
  return { schema: root, root }
}

/** Parameters are an object to us and a list to the document. */
function parameterDifferences(
  schema: z.ZodType,
  operation: Operation,
  where: 'path' | 'query',
  at: string,
  document: OpenapiDocument,
): string[] {
  const theirs = (operation.parameters ?? []).filter((parameter) => parameter.in === where)
  const object: Schema = {
    type: 'object',
    properties: Object.fromEntries(theirs.map((parameter) => [parameter.name, parameter.schema])),
    required: theirs.filter(({ required }) => required === true).map(({ name }) => name),
  }
  return uncovered(asJson(schema), { schema: object, root: document }, `${at} ${where}`)
}

const POINTS = [
  { id: ALICE, vector: { v: [1, 0], w: [0.5] }, payload: { epoch: 1, segment: 'gold', none: null } },
  { id: BOB, vector: { v: [3, 4] }, payload: { epoch: 2 } },
  { id: 7, vector: {}, payload: {} },
]

const HNSW = { m: 8, ef_construct: 64, on_disk: true }

/** Calls that reach every endpoint, in an order in which each succeeds: method, path, body. */
const CALLS: readonly [Endpoint['method'], string, unknown?][] = [
  ['GET', '/'],
  ['GET', '/healthz'],
  ['GET', '/livez'],
  ['GET', '/readyz'],
  ['GET', '/collections'],
  [
    'PUT',
    '/collections/c?timeout=5',
    {
      vectors: { v: { size: 2, distance: 'Cosine', datatype: 'float16', on_disk: true, hnsw_config: HNSW } },
      shard_number: 1,
      replication_factor: 1,
      write_consistency_factor: 1,
      on_disk_payload: true,
      hnsw_config: HNSW,
      optimizers_config: { indexing_threshold: 10_000, deleted_threshold: 0.2 },
      quantization_config: { scalar: { type: 'int8', quantile: 0.99, always_ram: true } },
      strict_mode_config: { enabled: true, unindexed_filtering_retrieve: false },
      metadata: { model: 'm' },
    },
  ],
  ['PUT', '/collections/c/vectors/w?wait=true', { dense: { size: 1, distance: 'Dot', datatype: 'float32' } }],
  [
    'PUT',
    '/collections/c/index?wait=true',
    { field_name: 'epoch', field_schema: { type: 'integer', range: true } },
  ],
  ['PUT', '/collections/c/index', { field_name: 'segment', field_schema: 'keyword' }],
  ['PATCH', '/collections/c', { vectors: { w: { on_disk: true } }, metadata: { more: [1] } }],
  [
    'PUT',
    '/collections/c/points?wait=true&ordering=weak&timeout=5',
    {
      points: POINTS,
      update_filter: { should: [{ key: 'epoch', range: { lte: 2 } }] },
      update_mode: 'upsert',
    },
  ],
  ['PUT', '/collections/c/points', { batch: { ids: [8], vectors: { v: [[0, 1]] }, payloads: [null] } }],
  ['GET', '/collections/c'],
  ['GET', '/collections/c/exists'],
  [
    'POST',
    '/collections/aliases',
    { actions: [{ create_alias: { collection_name: 'c', alias_name: 'a' } }] },
  ],
  ['GET', '/aliases'],
  ['GET', '/collections/c/aliases'],
  ['POST', '/collections/c/points', { ids: [ALICE, 7], with_payload: true, with_vector: true }],
  ['POST', '/collections/c/points/scroll?consistency=majority', { limit: 1, with_vector: ['v'] }],
  ['POST', '/collections/c/points/scroll', { filter: { must: [{ has_vector: 'v' }] } }],
  ['POST', '/collections/c/points/count', { exact: true }],
  [
    'POST',
    '/collections/c/points/query',
    { query: [1, 0], using: 'v', with_payload: true, with_vector: true },
  ],
  ['POST', '/collections/c/points/query', { query: ALICE, using: 'v', score_threshold: 0.1 }],
  ['POST', '/collections/c/points/query/batch', { searches: [{ query: [1, 0], using: 'v', limit: 2 }] }],
  ['POST', '/collections/c/points/delete?wait=true', { points: [7] }],
  ['POST', '/collections/c/points/delete', { filter: { must: [{ has_id: [8] }] } }],
  ['DELETE', '/collections/c/index/epoch?wait=true'],
  ['DELETE', '/collections/c/vectors/w?wait=true'],
  ['DELETE', '/collections/c'],
]

/** Calls that are refused, each in another way. */
const REFUSED: readonly [Endpoint['method'], string, unknown?][] = [
  ['GET', '/collections/c'],
  ['PUT', '/collections/c', { vectorz: {} }],
  ['POST', '/collections/c/points/query', { limit: 0 }],
]

async function answerDifferences(document: OpenapiDocument): Promise<string[]> {
  const double = await startQdrantDouble()
  const complaints: string[] = []
  const seen = new Set<string>()
  try {
    for (const [method, path, body] of [...CALLS, ...REFUSED]) {
      const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
      const answer = await fetch(`${double.url}${path}`, init)
      const text = await answer.text()
      const at = double.log.requests.at(-1)!.endpoint
      if (answer.ok) seen.add(at)
      complaints.push(...answerBroken(at, answer, text, document))
    }
  } finally {
    await double.close()
  }
  const silent = endpoints.map(nameOf).filter((name) => !seen.has(name))
  return [...complaints, ...silent.map((name) => `${name}: no call of the sample succeeds`)]
}

function answerBroken(at: string, answer: Response, text: string, document: OpenapiDocument): string[] {
  const endpoint = endpoints.find((one) => nameOf(one) === at)
  const operation = endpoint === undefined ? null : operationOf(endpoint, document)
  if (operation === null) return [`${at}: not in the document`]
  const response = operation.responses[answer.ok ? '200' : '4XX']
  const [type = 'none'] = (answer.headers.get('content-type') ?? '').split(';')
  const schema = response?.content?.[type]?.schema
  if (schema === undefined) return [`${at} answer ${answer.status}: no ${type} there`]
  const value: unknown = type === 'application/json' ? JSON.parse(text) : text
  return broken(value, { schema, root: document }, `${at} answer ${answer.status}`)
}
