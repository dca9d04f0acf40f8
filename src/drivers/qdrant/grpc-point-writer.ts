/** Writes points over gRPC. */

import type { Point } from '../../vectors/vector-store.ts'
import type { GrpcClient } from './grpc-client.ts'
import { messageBytesMax, pointBytesMax, upsertMessage } from './grpc-upsert.ts'
import { outcomeOf, type PointBatch, type PointWriter, type WriteOutcome } from './point-writer.ts'
import type { QdrantSettings } from './qdrant-settings.ts'
import { SpareBuffers } from './spare-buffers.ts'

/** As many as writes are under way, as a rule; each may have the size of a request. */
const SPARE_MAX = 2

export class GrpcPointWriter implements PointWriter {
  private readonly grpc: GrpcClient
  private readonly ordering: QdrantSettings['writeOrdering']
  private readonly buffers = new SpareBuffers(SPARE_MAX)

  constructor(grpc: GrpcClient, ordering: QdrantSettings['writeOrdering']) {
    this.grpc = grpc
    this.ordering = ordering
  }

  sizeBytes(point: Point): number {
    return pointBytesMax(point)
  }

  async write(batch: PointBatch): Promise<WriteOutcome> {
    // REST refuses such a point; here the server would never know, and store another text.
    if (batch.points.some(hasHalfCharacter)) return { kind: 'refused', reason: 'half a character in a text' }
    const asked = { what: 'write points', collection: batch.collection }
    const buffer = this.buffers.take(messageBytesMax(batch))
    const verdict = await this.grpc.upsert(asked, upsertMessage(batch, this.ordering, buffer))
    // Only then has the server read all of it; after any other answer the socket may still be sending.
    if (verdict.kind === 'done') this.buffers.give(buffer)
    return outcomeOf(asked, verdict)
  }

  close(): Promise<void> {
    return this.grpc.close()
  }
}

function hasHalfCharacter(point: Point): boolean {
  const { userId, tenantId } = point.kind === 'stub' ? point : point.payload
  const segment = point.kind === 'stub' ? null : point.payload.segment
  return ![userId, tenantId, segment ?? ''].every((text) => text.isWellFormed())
}
