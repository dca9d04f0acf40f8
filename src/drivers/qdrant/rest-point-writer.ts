/** Writes points over REST, in a body of our own making. */

import type { Point } from '../../vectors/vector-store.ts'
import { outcomeOf, type PointBatch, type PointWriter, type WriteOutcome } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { pointsPath, type RestClient } from './rest-client.ts'
import { pointBytesMax, upsertBody } from './upsert-body.ts'

export class RestPointWriter implements PointWriter {
  private readonly rest: RestClient
  private readonly ordering: QdrantSettings['writeOrdering']

  constructor(rest: RestClient, ordering: QdrantSettings['writeOrdering']) {
    this.rest = rest
    this.ordering = ordering
  }

  sizeBytes(point: Point): number {
    return pointBytesMax(point)
  }

  async write(batch: PointBatch): Promise<WriteOutcome> {
    const { collection } = batch
    const asked = { what: 'write points', collection }
    const path = pointsPath(collection, '', { wait: true, ordering: this.ordering })
    return outcomeOf(asked, await this.rest.put(asked, path, () => upsertBody(batch)))
  }

  /** The client belongs to whoever made it. */
  async close(): Promise<void> {}
}
