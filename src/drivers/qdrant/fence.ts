/** The one condition on every write (V1), as a filter of the server. */

import type { Schemas } from '@qdrant/js-client-rest'
import type { WriteVersion } from '../../vectors/vector-store.ts'

/**
 * A point is replaced only if its epoch is lower, or equal with `write` not greater, or absent; a new id always lands.
 * `is_empty` is for points that somebody else wrote: a range never matches what is not there.
 *
 * Goes with whole-point upserts only: the client's `updateVectors` drops it without a word.
 */
export function fence({ epoch, write }: WriteVersion): Schemas['Filter'] {
  return {
    should: [
      { key: 'epoch', range: { lt: epoch } },
      {
        must: [
          { key: 'epoch', range: { gte: epoch, lte: epoch } },
          { key: 'write', range: { lte: write } },
        ],
      },
      { is_empty: { key: 'epoch' } },
    ],
  }
}
