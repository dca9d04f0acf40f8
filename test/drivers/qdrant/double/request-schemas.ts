/** The words that every request is made of: ids, counts, selectors, and the parameters of a URL. */

import { z } from 'zod'

export const count = z.int().min(0)
export const positive = z.int().min(1)
export const pointId = z.union([count, z.guid()])
export const payload = z.record(z.string(), z.unknown())
export const numbers = z.array(z.number())
export const memory = z.enum(['cold', 'cached', 'pinned'])

export type PointId = z.infer<typeof pointId>
export type Payload = z.infer<typeof payload>

const selector = z.union([
  z.boolean(),
  z.array(z.string()),
  z.strictObject({ include: z.array(z.string()) }),
  z.strictObject({ exclude: z.array(z.string()) }),
])

/** Which parts of a point come back. */
export const parts = {
  with_payload: selector.nullish(),
  with_vector: z.union([z.boolean(), z.array(z.string())]).optional(),
}

export type PayloadSelector = z.infer<typeof selector>
export type Parts = { [part in keyof typeof parts]?: z.infer<(typeof parts)[part]> }

const timeout = positive.optional()

export const noParameters = z.strictObject({})
export const timeoutParameters = z.strictObject({ timeout })
export const writeParameters = z.strictObject({
  wait: z.boolean().optional(),
  ordering: z.enum(['weak', 'medium', 'strong']).optional(),
  timeout,
})
export const readParameters = z.strictObject({
  consistency: z.union([positive, z.enum(['majority', 'quorum', 'all'])]).optional(),
  timeout,
})

export const noPath = z.strictObject({})
export const collectionPath = z.strictObject({ collection_name: z.string() })
export const vectorNamePath = z.strictObject({ collection_name: z.string(), vector_name: z.string() })
export const fieldPath = z.strictObject({ collection_name: z.string(), field_name: z.string() })
