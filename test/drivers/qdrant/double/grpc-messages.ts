/** Turns gRPC's messages into the bodies that REST carries, and answers back: one server stands behind both. */

import { create } from '@bufbuild/protobuf'
import {
  type GetPoints,
  type QueryPoints,
  type RetrievedPoint,
  RetrievedPointSchema,
  type ScoredPoint,
  ScoredPointSchema,
  UpdateMode,
  type UpsertPoints,
  type Value,
  ValueSchema,
} from '@qdrant/js-client-grpc'
import type { Condition, FieldCondition, Filter, Match, Range } from './filter-schema.ts'
import type { QueryBody, RetrieveBody, UpsertBody } from './point-schemas.ts'
import type { PointRecord } from './reads.ts'
import { Refusal } from './refusal.ts'
import { type Payload, type PayloadSelector, type PointId, pointId } from './request-schemas.ts'
import type { ScoredRecord } from './search.ts'

type FilterMessage = NonNullable<UpsertPoints['updateFilter']>
type ConditionMessage = FilterMessage['must'][number]
type FieldMessage = Extract<ConditionMessage['conditionOneOf'], { case: 'field' }>['value']
type IdMessage = GetPoints['ids'][number]
type VectorsMessage = NonNullable<UpsertPoints['points'][number]['vectors']>
type VectorMessage = Extract<VectorsMessage['vectorsOptions'], { case: 'vector' }>['value']

/** What Qdrant knows and freshet has no use for. */
function strange(what: string): Refusal {
  return new Refusal('bad-input', `the double knows no ${what}`)
}

export function upsertBodyOf({ points, updateFilter, updateMode }: UpsertPoints): UpsertBody {
  return {
    points: points.map(({ id, vectors, payload }) => ({
      id: idOf(id),
      vector: vectorsOf(vectors),
      payload: payloadOf(payload),
    })),
    update_filter: updateFilter === undefined ? null : filterOf(updateFilter),
    update_mode: updateMode === undefined ? null : modeOf(updateMode),
  }
}

function modeOf(mode: UpdateMode): 'upsert' | 'insert_only' | 'update_only' {
  if (mode === UpdateMode.InsertOnly) return 'insert_only'
  return mode === UpdateMode.UpdateOnly ? 'update_only' : 'upsert'
}

function idOf(id: IdMessage | undefined): PointId {
  const { case: kind, value } = id?.pointIdOptions ?? { case: undefined }
  if (kind === 'num') return Number(value)
  if (kind === 'uuid') {
    if (!pointId.safeParse(value).success) throw new Refusal('bad-input', `Unable to parse UUID: ${value}`)
    return value
  }
  throw new Refusal('bad-input', 'Empty ID is provided')
}

function vectorsOf(vectors: VectorsMessage | undefined): number[] | Record<string, number[]> {
  const { case: kind, value } = vectors?.vectorsOptions ?? { case: undefined }
  if (kind === 'vector') return vectorOf(value)
  if (kind !== 'vectors') throw new Refusal('bad-input', 'Expected some vectors')
  return Object.fromEntries(Object.entries(value.vectors).map(([name, vector]) => [name, vectorOf(vector)]))
}

function vectorOf({ vector, data }: VectorMessage): number[] {
  if (vector.case === 'dense') return vector.value.data
  if (vector.case === undefined) return data
  throw strange(`vector of kind ${vector.case}`)
}

function payloadOf(fields: { [key: string]: Value }): Payload {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, jsonOf(value)]))
}

function jsonOf({ kind }: Value): unknown {
  if (kind.case === undefined || kind.case === 'nullValue') return null
  if (kind.case === 'structValue') return payloadOf(kind.value.fields)
  if (kind.case === 'listValue') return kind.value.values.map(jsonOf)
  if (kind.case === 'integerValue') return Number(kind.value)
  return kind.value
}

/** An empty list is no list at all: gRPC can't tell them apart. */
function filterOf({ must, should, mustNot, minShould }: FilterMessage): Filter {
  const listOf = (list: readonly ConditionMessage[]) => (list.length === 0 ? null : list.map(conditionOf))
  return {
    must: listOf(must),
    should: listOf(should),
    must_not: listOf(mustNot),
    min_should: minShould && {
      conditions: minShould.conditions.map(conditionOf),
      min_count: Number(minShould.minCount),
    },
  }
}

function conditionOf({ conditionOneOf: { case: kind, value } }: ConditionMessage): Condition {
  if (kind === 'field') return fieldOf(value)
  if (kind === 'isEmpty') return { is_empty: { key: value.key } }
  if (kind === 'isNull') return { is_null: { key: value.key } }
  if (kind === 'hasId') return { has_id: value.hasId.map(idOf) }
  if (kind === 'hasVector') return { has_vector: value.hasVector }
  if (kind === 'filter') return filterOf(value)
  if (kind === 'nested' && value.filter !== undefined)
    return { nested: { key: value.key, filter: filterOf(value.filter) } }
  throw strange(`condition of kind ${kind}`)
}

function fieldOf(field: FieldMessage): FieldCondition {
  const { key, match, range, datetimeRange, valuesCount, isEmpty, isNull } = field
  const { geoBoundingBox, geoRadius, geoPolygon } = field
  if (geoBoundingBox ?? geoRadius ?? geoPolygon) throw strange('geo condition')
  const condition: FieldCondition = { key }
  if (match !== undefined) condition.match = matchOf(match)
  if (range !== undefined) condition.range = boundsOf(range, (bound: number) => bound)
  if (datetimeRange !== undefined)
    condition.range = boundsOf(datetimeRange, ({ seconds, nanos }: { seconds: bigint; nanos: number }) =>
      new Date(Number(seconds) * 1000 + Math.floor(nanos / 1_000_000)).toISOString(),
    )
  if (valuesCount !== undefined) condition.values_count = boundsOf(valuesCount, Number)
  if (isEmpty !== undefined) condition.is_empty = isEmpty
  if (isNull !== undefined) condition.is_null = isNull
  return condition
}

type Bounds<T> = { [bound in 'lt' | 'gt' | 'gte' | 'lte']?: T | undefined }

function boundsOf<From, To>({ lt, gt, gte, lte }: Bounds<From>, turned: (bound: From) => To) {
  const bound = (value: From | undefined): To | null => (value === undefined ? null : turned(value))
  return { lt: bound(lt), gt: bound(gt), gte: bound(gte), lte: bound(lte) } as Range & Bounds<To & number>
}

function matchOf({ matchValue: { case: kind, value } }: NonNullable<FieldMessage['match']>): Match {
  if (kind === 'keyword' || kind === 'boolean') return { value }
  if (kind === 'integer') return { value: Number(value) }
  if (kind === 'keywords') return { any: value.strings }
  if (kind === 'integers') return { any: value.integers.map(Number) }
  if (kind === 'exceptKeywords') return { except: value.strings }
  if (kind === 'exceptIntegers') return { except: value.integers.map(Number) }
  throw strange(`match of kind ${kind}`)
}

/** Over gRPC no payload comes unless it is asked for. */
function partsOf({ withPayload, withVectors }: Pick<GetPoints, 'withPayload' | 'withVectors'>): {
  with_payload: PayloadSelector
  with_vector: boolean | string[]
} {
  const payload = withPayload?.selectorOptions
  const vectors = withVectors?.selectorOptions
  return {
    with_payload:
      payload?.case === 'include'
        ? { include: payload.value.fields }
        : payload?.case === 'exclude'
          ? { exclude: payload.value.fields }
          : payload?.value === true,
    with_vector: vectors?.case === 'include' ? vectors.value.names : vectors?.value === true,
  }
}

export function retrieveBodyOf(message: GetPoints): RetrieveBody {
  return { ids: message.ids.map(idOf), ...partsOf(message) }
}

export function queryBodyOf(message: QueryPoints): QueryBody {
  const { query, using, filter, params, scoreThreshold, limit, offset, prefetch, lookupFrom } = message
  if (prefetch.length > 0) throw strange('prefetch')
  if (lookupFrom !== undefined) throw strange('lookup over gRPC')
  if (params?.indexedOnly === true) throw strange('indexed_only')
  return {
    query: query === undefined ? null : targetOf(query),
    using: using ?? null,
    filter: filter === undefined ? null : filterOf(filter),
    params: params && {
      hnsw_ef: params.hnswEf === undefined ? null : Number(params.hnswEf),
      exact: params.exact,
    },
    score_threshold: scoreThreshold ?? null,
    limit: limit === undefined ? null : Number(limit),
    offset: offset === undefined ? null : Number(offset),
    ...partsOf(message),
  }
}

function targetOf({ variant: { case: kind, value } }: NonNullable<QueryPoints['query']>): number[] | PointId {
  if (kind !== 'nearest') throw strange(`query of kind ${kind}`)
  const { variant } = value
  if (variant.case === 'id') return idOf(variant.value)
  if (variant.case === 'dense') return variant.value.data
  throw strange(`query vector of kind ${variant.case}`)
}

export function retrievedPoint(record: PointRecord): RetrievedPoint {
  return create(RetrievedPointSchema, fieldsOf(record))
}

export function scoredPoint(record: ScoredRecord): ScoredPoint {
  const { score, version } = record
  return create(ScoredPointSchema, { ...fieldsOf(record), score, version: BigInt(version) })
}

function fieldsOf({ id, payload, vector }: PointRecord) {
  const pointIdOptions =
    typeof id === 'number'
      ? { case: 'num' as const, value: BigInt(id) }
      : { case: 'uuid' as const, value: id }
  const vectors = Object.entries(vector ?? {}).map(([name, data]) => [
    name,
    { vector: { case: 'dense' as const, value: { data } } },
  ])
  return {
    id: { pointIdOptions },
    payload: Object.fromEntries(Object.entries(payload ?? {}).map(([key, value]) => [key, messageOf(value)])),
    ...(vector === undefined
      ? {}
      : {
          vectors: {
            vectorsOptions: { case: 'vectors' as const, value: { vectors: Object.fromEntries(vectors) } },
          },
        }),
  }
}

function messageOf(value: unknown): Value {
  if (value === null) return create(ValueSchema, { kind: { case: 'nullValue', value: 0 } })
  if (typeof value === 'string') return create(ValueSchema, { kind: { case: 'stringValue', value } })
  if (typeof value === 'boolean') return create(ValueSchema, { kind: { case: 'boolValue', value } })
  if (typeof value === 'number') {
    return Number.isInteger(value)
      ? create(ValueSchema, { kind: { case: 'integerValue', value: BigInt(value) } })
      : create(ValueSchema, { kind: { case: 'doubleValue', value } })
  }
  if (Array.isArray(value))
    return create(ValueSchema, { kind: { case: 'listValue', value: { values: value.map(messageOf) } } })
  const fields = Object.entries(value as Payload).map(([key, inner]) => [key, messageOf(inner)] as const)
  return create(ValueSchema, { kind: { case: 'structValue', value: { fields: Object.fromEntries(fields) } } })
}
