/** Bodies of the endpoints that write, read and search points. */

import { z } from 'zod'
import { filter } from './filter-schema.ts'
import { count, numbers, parts, payload, pointId, positive } from './request-schemas.ts'

const vectors = z.union([numbers, z.record(z.string(), numbers)])

const guard = {
  update_filter: filter.nullish(),
  update_mode: z.enum(['upsert', 'insert_only', 'update_only']).nullish(),
}

const pointList = z.strictObject({
  points: z.array(z.strictObject({ id: pointId, vector: vectors, payload: payload.nullish() })),
  ...guard,
})

const pointColumns = z.strictObject({
  batch: z.strictObject({
    ids: z.array(pointId),
    vectors: z.union([z.array(numbers), z.record(z.string(), z.array(numbers))]),
    payloads: z.array(payload.nullable()).nullish(),
  }),
  ...guard,
})

export const upsertBody = z.union([pointList, pointColumns])
export type UpsertBody = z.infer<typeof upsertBody>
export type UpsertColumns = z.infer<typeof pointColumns>

export const deleteBody = z.union([z.strictObject({ points: z.array(pointId) }), z.strictObject({ filter })])
export type DeleteBody = z.infer<typeof deleteBody>

export const retrieveBody = z.strictObject({ ids: z.array(pointId), ...parts })
export type RetrieveBody = z.infer<typeof retrieveBody>

export const scrollBody = z.strictObject({
  offset: pointId.nullish(),
  limit: positive.nullish(),
  filter: filter.nullish(),
  ...parts,
})
export type ScrollBody = z.infer<typeof scrollBody>

export const countBody = z.strictObject({ filter: filter.nullish(), exact: z.boolean().optional() })
export type CountBody = z.infer<typeof countBody>

const target = z.union([numbers, pointId])

export const queryBody = z.strictObject({
  query: z.union([target, z.strictObject({ nearest: target })]).nullish(),
  using: z.string().nullish(),
  filter: filter.nullish(),
  params: z
    .strictObject({
      hnsw_ef: positive.nullish(),
      exact: z.boolean().optional(),
      quantization: z
        .strictObject({
          ignore: z.boolean().optional(),
          rescore: z.boolean().nullish(),
          oversampling: z.number().min(1).nullish(),
        })
        .nullish(),
    })
    .nullish(),
  score_threshold: z.number().nullish(),
  limit: positive.nullish(),
  offset: count.nullish(),
  lookup_from: z.strictObject({ collection: z.string(), vector: z.string().nullish() }).nullish(),
  with_payload: parts.with_payload,
  with_vector: parts.with_vector.nullable(),
})
export type QueryBody = z.infer<typeof queryBody>

export const queryBatchBody = z.strictObject({ searches: z.array(queryBody) })
