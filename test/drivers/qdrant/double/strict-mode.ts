/** Strict mode: which requests a collection refuses because they could cost too much. */

import type { Collection } from './collection.ts'
import type { IndexSchema, StrictMode } from './collection-schemas.ts'
import type { Condition, FieldCondition, Filter } from './filter-schema.ts'
import type { QueryBody } from './point-schemas.ts'
import { Refusal } from './refusal.ts'

const LIMIT_DEFAULT = 10

/** Null where it is off. */
function strictModeOf({ strictMode }: Collection): StrictMode | null {
  return strictMode?.enabled === true ? (strictMode as StrictMode) : null
}

function refuse(error: string, remedy: string): Refusal {
  return new Refusal('bad-request', `${error}. Help: ${remedy}`)
}

function checkLimit(value: number | null | undefined, limit: number | null | undefined, name: string): void {
  if (value == null || limit == null || value <= limit) return
  throw refuse(
    `Limit exceeded ${value} > ${limit} for "${name}"`,
    `Reduce the "${name}" parameter to or below ${limit}.`,
  )
}

export function checkTimeout(collection: Collection, timeout: number | undefined): void {
  checkLimit(timeout, strictModeOf(collection)?.max_timeout, 'timeout')
}

/** `update_filter` is looked at by nobody: it only reads the few points of the request. */
export function checkUpsert(collection: Collection, points: number): void {
  checkLimit(points, strictModeOf(collection)?.upsert_max_batchsize, 'upsert limit')
}

export function checkIndex(collection: Collection): void {
  const limit = strictModeOf(collection)?.max_payload_index_count
  if (limit == null || collection.indexes.size < limit) return
  throw refuse(
    `Collection already has the maximum number of payload indices (${limit})`,
    'Please delete an existing index before creating a new one.',
  )
}

export function checkDeletion(collection: Collection, filter: Filter): void {
  const strict = strictModeOf(collection)
  if (strict !== null) checkFilter(collection, strict, filter, strict.unindexed_filtering_update)
}

/** Counting is exact unless it is told otherwise, and then counts as a search that compares everything. */
export function checkCount(collection: Collection, filter: Filter | null, exact: boolean): void {
  checkSelection(collection, filter, null)
  checkExact(strictModeOf(collection), exact)
}

function checkExact(strict: StrictMode | null, exact: boolean): void {
  if (exact && strict?.search_allow_exact === false)
    throw refuse('Exact search disabled!', 'Set exact=false.')
}

/** Scroll gives its limit as it came, count has none. */
export function checkSelection(collection: Collection, filter: Filter | null, limit: number | null): void {
  const strict = strictModeOf(collection)
  if (strict === null) return
  checkLimit(limit, strict.max_query_limit, 'limit')
  if (filter !== null) checkFilter(collection, strict, filter, strict.unindexed_filtering_retrieve)
}

export function checkQuery(collection: Collection, { filter, limit, params }: QueryBody): void {
  const strict = strictModeOf(collection)
  if (strict === null) return
  checkSelection(collection, filter ?? null, limit ?? LIMIT_DEFAULT)
  checkLimit(params?.quantization?.oversampling, strict.search_max_oversampling, 'oversampling')
  checkLimit(params?.hnsw_ef, strict.search_max_hnsw_ef, 'hnsw_ef')
  checkExact(strict, params?.exact === true)
}

export function checkQueryBatch(collection: Collection, searches: number): void {
  checkLimit(searches, strictModeOf(collection)?.search_max_batchsize, 'search batch size')
}

function checkFilter(
  collection: Collection,
  strict: StrictMode,
  filter: Filter,
  unindexed: boolean | null | undefined,
): void {
  const conditions = flat(filter)
  for (const condition of unindexed === false ? conditions : []) {
    const needed = neededIndexes(condition)
    const key = keyOf(condition)
    if (key === null || needed.length === 0) continue
    const index = collection.indexes.get(key)
    if (index !== undefined && capabilities(index).some((one) => needed.includes(one))) continue
    throw refuse(
      `Index required but not found for "${key}" of one of the following types: [${typesOf(needed)}]`,
      'Create an index for this key or use a different filter.',
    )
  }
  const { filter_max_conditions: conditionsMax, condition_max_size: sizeMax } = strict
  if (conditionsMax != null && conditions.length > conditionsMax)
    throw refuse(
      `Filter condition limit reached (${conditions.length} > ${conditionsMax})`,
      'Reduce the amount of conditions of your filter.',
    )
  const size = Math.max(0, ...conditions.map(sizeOf))
  if (sizeMax != null && size > sizeMax)
    throw refuse(`Condition size limit reached (${size} > ${sizeMax})`, 'Reduce the size of your condition.')
}

/** Every condition that is no filter itself. */
function flat(filter: Filter): Exclude<Condition, Filter>[] {
  const groups = [filter.must, filter.should, filter.must_not, filter.min_should?.conditions]
  return groups
    .flatMap((group) => group ?? [])
    .flatMap((condition) => {
      if ('nested' in condition)
        return flat(condition.nested.filter).map((inner) => within(condition.nested.key, inner))
      return isFilter(condition) ? flat(condition) : [condition]
    })
}

function isFilter(condition: Condition): condition is Filter {
  return !['key', 'is_empty', 'is_null', 'has_id', 'has_vector', 'nested'].some((name) => name in condition)
}

function within(key: string, condition: Exclude<Condition, Filter>): Exclude<Condition, Filter> {
  const path = (inner: string): string => `${key.replace(/\[\]$/, '')}[].${inner}`
  if ('key' in condition) return { ...condition, key: path(condition.key) }
  return condition
}

function keyOf(condition: Exclude<Condition, Filter>): string | null {
  if ('key' in condition) return condition.key
  if ('is_empty' in condition) return condition.is_empty.key
  return 'is_null' in condition ? condition.is_null.key : null
}

type Capability =
  | 'bool'
  | 'datetime'
  | 'float'
  | 'geo'
  | 'integer-match'
  | 'integer-range'
  | 'keyword'
  | 'text'
  | 'uuid'

const EVERY: readonly Capability[] = [
  'bool',
  'datetime',
  'float',
  'geo',
  'integer-match',
  'integer-range',
  'keyword',
  'text',
  'uuid',
]

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i

/** Any one of them will do. */
function neededIndexes(condition: Exclude<Condition, Filter>): Capability[] {
  if ('is_empty' in condition && !('key' in condition)) return [...EVERY]
  if ('is_null' in condition && !('key' in condition)) return [...EVERY]
  if (!('key' in condition)) return []
  const { match, range, values_count: valuesCount, is_empty: empty, is_null: nil } = condition
  const needed: Capability[] = []
  if (match != null) needed.push(...neededForMatch(match))
  if (range != null) {
    const times = Object.values(range).some((bound) => typeof bound === 'string')
    needed.push(...(times ? (['datetime'] as const) : (['float', 'integer-range'] as const)))
  }
  if (valuesCount != null || empty != null || nil != null) needed.push(...EVERY)
  return needed
}

function neededForMatch(match: NonNullable<FieldCondition['match']>): Capability[] {
  const values = 'value' in match ? [match.value] : 'any' in match ? match.any : match.except
  const [first] = values
  if (first === undefined) return []
  if (typeof first === 'boolean') return ['bool']
  if (typeof first === 'number') return ['integer-match']
  return values.every((value) => UUID.test(String(value))) ? ['uuid', 'keyword'] : ['keyword']
}

function capabilities(index: IndexSchema | IndexSchema['type']): Capability[] {
  if (index === 'integer') return ['integer-match', 'integer-range']
  if (typeof index === 'string') return [index]
  if (index.type !== 'integer') return [index.type]
  const { lookup, range } = index
  return [
    ...(lookup === false ? [] : (['integer-match'] as const)),
    ...(range === false ? [] : (['integer-range'] as const)),
  ]
}

/** As the server says them: sorted, once each. */
function typesOf(needed: readonly Capability[]): string {
  const named = needed.flatMap((one) => {
    const type = one.replace(/-(match|range)$/, '')
    // Their variants stand in the list by themselves.
    if (needed.length !== EVERY.length) return [type]
    if (one === 'keyword') return [type, 'keyword (with prefix: true)']
    return one === 'text' ? [type, 'text (with phrase_matching: true)'] : [type]
  })
  return [...new Set(named.sort())].join(', ')
}

function sizeOf(condition: Exclude<Condition, Filter>): number {
  if ('has_id' in condition) return condition.has_id.length
  if (!('key' in condition) || condition.match == null || 'value' in condition.match) return 0
  return 'any' in condition.match ? condition.match.any.length : condition.match.except.length
}
