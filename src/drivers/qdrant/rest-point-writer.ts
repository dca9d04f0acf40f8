/** Writes points over REST, in a body of our own making. */

import type { Point } from '../../vectors/vector-store.ts'
import type { PointBatch, PointWriter, WriteOutcome } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { errorOf, pointsPath, type RestClient } from './rest-client.ts'
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
    const verdict = await this.rest.put(asked, path, () => upsertBody(batch))
    if (verdict.kind === 'done') return { kind: 'written' }
    if (verdict.kind === 'error' || verdict.kind === 'exists') throw errorOf(asked, verdict)
    return verdict
  }

  /** The client belongs to whoever made it. */
  async close(): Promise<void> {}
}
