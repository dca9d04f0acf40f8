/** Filters as Qdrant's REST knows them; what freshet has no use for (geo, full text, slices) is refused. */

import { z } from 'zod'
import { count, pointId, positive } from './request-schemas.ts'

const value = z.union([z.string(), z.int(), z.boolean()])
const anyOf = z.union([z.array(z.string()), z.array(z.int())])

const match = z.union([
  z.strictObject({ value }),
  z.strictObject({ any: anyOf }),
  z.strictObject({ except: anyOf }),
])

const numberBound = z.number().nullish()
const timeBound = z.string().meta({ format: 'date-time' }).nullish()
const range = z.union([
  z.strictObject({ lt: numberBound, gt: numberBound, gte: numberBound, lte: numberBound }),
  z.strictObject({ lt: timeBound, gt: timeBound, gte: timeBound, lte: timeBound }),
])

const countBound = count.nullish()

const fieldCondition = z.strictObject({
  key: z.string(),
  match: match.nullish(),
  range: range.nullish(),
  values_count: z
    .strictObject({ lt: countBound, gt: countBound, gte: countBound, lte: countBound })
    .nullish(),
  is_empty: z.boolean().nullish(),
  is_null: z.boolean().nullish(),
})

const field = z.strictObject({ key: z.string() })

export type FieldCondition = z.infer<typeof fieldCondition>
export type Match = z.infer<typeof match>
export type Range = z.infer<typeof range>

export type Condition =
  | FieldCondition
  | { is_empty: z.infer<typeof field> }
  | { is_null: z.infer<typeof field> }
  | { has_id: z.infer<typeof pointId>[] }
  | { has_vector: string }
  | { nested: { key: string; filter: Filter } }
  | Filter

export interface Filter {
  must?: Condition | Condition[] | null | undefined
  should?: Condition | Condition[] | null | undefined
  must_not?: Condition | Condition[] | null | undefined
  min_should?: { conditions: Condition[]; min_count: number } | null | undefined
}

const condition: z.ZodType<Condition> = z.lazy(() =>
  z.union([
    fieldCondition,
    z.strictObject({ is_empty: field }),
    z.strictObject({ is_null: field }),
    z.strictObject({ has_id: z.array(pointId) }),
    z.strictObject({ has_vector: z.string() }),
    z.strictObject({ nested: z.strictObject({ key: z.string(), filter }) }),
    filter,
  ]),
)

const conditions = z.union([condition, z.array(condition)]).nullish()

export const filter: z.ZodType<Filter> = z.lazy(() =>
  z.strictObject({
    must: conditions,
    should: conditions,
    must_not: conditions,
    min_should: z.strictObject({ conditions: z.array(condition), min_count: positive }).nullish(),
  }),
)
