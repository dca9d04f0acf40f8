/** Judges a point by a filter, with the rules of a real server for missing, null and listed values. */

import type { Condition, FieldCondition, Filter, Match, Range } from './filter-schema.ts'
import { valuesAt } from './payload-path.ts'
import { Refusal } from './refusal.ts'
import type { Payload, PointId } from './request-schemas.ts'

/** What a filter can see of a point; inside `nested` there is only a payload. */
export interface Judged {
  id: PointId | null
  payload: Payload
  hasVector(name: string): boolean
}

const listed = (conditions: Condition | Condition[]): Condition[] =>
  Array.isArray(conditions) ? conditions : [conditions]

export function passes(point: Judged, filter: Filter): boolean {
  const holds = (condition: Condition): boolean => judge(point, condition)
  const { must, should, must_not: mustNot, min_should: minShould } = filter
  // An empty `should` is passed by everybody, as an empty `must` is.
  const any = should == null ? [] : listed(should)
  if (any.length > 0 && !any.some(holds)) return false
  if (minShould != null && minShould.conditions.filter(holds).length < minShould.min_count) return false
  if (must != null && !listed(must).every(holds)) return false
  return mustNot == null || !listed(mustNot).some(holds)
}

function judge(point: Judged, condition: Condition): boolean {
  if ('key' in condition) return judgeField(point.payload, condition)
  if ('is_empty' in condition) return isEmpty(valuesAt(point.payload, condition.is_empty.key))
  if ('is_null' in condition) return valuesAt(point.payload, condition.is_null.key).includes(null)
  if ('has_id' in condition) return point.id !== null && condition.has_id.map(sameId).includes(point.id)
  if ('has_vector' in condition) return point.hasVector(condition.has_vector)
  if ('nested' in condition) {
    const { key, filter } = condition.nested
    const every = key.endsWith('[]') ? key : `${key}[]`
    return valuesAt(point.payload, every).some(
      (value) =>
        typeof value === 'object' &&
        value !== null &&
        !Array.isArray(value) &&
        passes({ id: null, payload: value as Payload, hasVector: () => false }, filter),
    )
  }
  return passes(point, condition)
}

/** UUIDs are kept in lower case, as they are given back. */
export function sameId(id: PointId): PointId {
  return typeof id === 'string' ? id.toLowerCase() : id
}

/** Absent, null and `[]`, but not `[null]`. */
function isEmpty(values: readonly unknown[]): boolean {
  return values.every((value) => value === null || (Array.isArray(value) && value.length === 0))
}

const isOrHoldsNull = (value: unknown): boolean =>
  value === null || (Array.isArray(value) && value.includes(null))

function judgeField(payload: Payload, condition: FieldCondition): boolean {
  const { values_count: valuesCount, is_empty: empty, is_null: nil, match, range } = condition
  if (![valuesCount, empty, nil, match, range].some((test) => test != null))
    throw new Refusal('invalid', 'JSON body: [filter: At least one field condition must be specified]')
  const values = valuesAt(payload, condition.key)
  if (valuesCount != null) {
    const counts = values.length === 0 ? [0] : values.map(countOf)
    return counts.some((count) => within(count, valuesCount))
  }
  if (empty != null) return isEmpty(values) === empty
  // A field that isn't there is neither null nor anything else: `is_null: false` holds for it.
  if (nil != null) return values.length === 0 ? !nil : values.some((value) => isOrHoldsNull(value) === nil)
  const items = values.flatMap((value) => (Array.isArray(value) ? value : [value]))
  return items.some(
    (item) => (match != null && matches(item, match)) || (range != null && inRange(item, range)),
  )
}

function countOf(value: unknown): number {
  if (value === null) return 0
  return Array.isArray(value) ? value.length : 1
}

function matches(item: unknown, match: Match): boolean {
  if ('value' in match) return item === match.value
  if ('any' in match) return (match.any as unknown[]).includes(item)
  return item !== null && !(match.except as unknown[]).includes(item)
}

type Bounds<T> = { [bound in 'lt' | 'gt' | 'lte' | 'gte']?: T | null | undefined }

function within(value: number, { lt, gt, lte, gte }: Bounds<number>): boolean {
  return (
    (lt == null || value < lt) &&
    (gt == null || value > gt) &&
    (lte == null || value <= lte) &&
    (gte == null || value >= gte)
  )
}

/** Numbers are compared with numbers and times with times; anything else is out of range. */
function inRange(item: unknown, range: Range): boolean {
  const times = Object.values(range).some((bound) => typeof bound === 'string')
  if (!times) return typeof item === 'number' && within(item, range as Bounds<number>)
  const time = typeof item === 'string' ? timeMs(item) : null
  if (time === null) return false
  const bounds: Bounds<number> = {}
  for (const [bound, text] of Object.entries(range)) {
    if (text == null) continue
    const atMs = timeMs(String(text))
    if (atMs === null)
      throw new Refusal(
        'malformed',
        `Format error in JSON body: '${text}' does not match accepted datetime format (RFC3339). Example: 2014-01-01T00:00:00Z`,
      )
    bounds[bound as keyof Bounds<number>] = atMs
  }
  return within(time, bounds)
}

const TIME = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/i

/** Milliseconds, with their fraction: a server compares microseconds. Without a zone it is UTC. */
export function timeMs(text: string): number | null {
  if (!TIME.test(text)) return null
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/i.test(text) && text.length > 10
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? ''
  const whole = text
    .replace(/\.\d+/, '')
    .replace(' ', 'T')
    .replace(/([+-]\d{2})(\d{2})$/, '$1:$2')
  const ms = Date.parse(zoned || text.length === 10 ? whole : `${whole}Z`)
  return Number.isNaN(ms) ? null : ms + Number(`0.${fraction || '0'}`) * 1000
}
