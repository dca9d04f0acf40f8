/** Writes points over REST, in a body of our own making. */

import type { Point } from '../../vectors/vector-store.ts'
import { outcomeOf, type PointBatch, type PointWriter, type WriteOutcome } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { pointsPath, type RestClient } from './rest-client.ts'
import { SpareBuffers } from './spare-buffers.ts'
import { pointBytesMax, upsertBody } from './upsert-body.ts'

/** Two writes under way have four slices each; one takes less than a megabyte, but for vectors of thousands of numbers. */
const SPARE_MAX = 8

export class RestPointWriter implements PointWriter {
  private readonly rest: RestClient
  private readonly ordering: QdrantSettings['writeOrdering']
  private readonly buffers = new SpareBuffers(SPARE_MAX)

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
    const used: Buffer[] = []
    const take = (bytes: number) => {
      const buffer = this.buffers.take(bytes)
      used.push(buffer)
      return buffer
    }
    const verdict = await this.rest.put(asked, path, () => upsertBody(batch, take))
    // Only then has the server read all of it; after any other answer the socket may still be sending.
    if (verdict.kind === 'done') for (const buffer of used) this.buffers.give(buffer)
    return outcomeOf(asked, verdict)
  }

  /** The client belongs to whoever made it. */
  async close(): Promise<void> {}
}
