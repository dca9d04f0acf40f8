/**
 * What members of a consumer group tell each other while they join: in the form of Kafka's own consumers, so that its
 * tools can show who reads what, with our claims in the part that is left to each kind of consumer.
 */

import type { Claim } from './sticky-assigner.ts'
import { WireReader, WireWriter } from './wire.ts'

/** All members must offer it; a new one goes beside this one until the last old worker is gone. */
export const PROTOCOL_NAME = 'freshet-sticky'

/** Of Kafka's form; newer ones add fields behind ours. */
const FORM = 0
/** Of the claims in it: one of another form is no claim. */
const CLAIM_FORM = 1

export interface MemberMetadata {
  topics: readonly string[]
  claim: Claim | null
}

export function writeMetadata({ topics, claim }: MemberMetadata): Buffer {
  const writer = new WireWriter().int16(FORM)
  writer.array(topics, (topic) => writer.string(topic))
  const data = claim === null ? Buffer.alloc(0) : writeClaim(claim)
  return Buffer.from(writer.int32(data.length).bytes(data).written())
}

/** @returns no topics, and no claim, where the bytes are none of ours or of Kafka's */
export function readMetadata(bytes: Buffer): MemberMetadata {
  try {
    const reader = new WireReader(bytes)
    reader.int16()
    const topics = reader.array(() => reader.string() ?? '')
    const data = reader.remaining > 0 ? reader.nullableBytes() : null
    return { topics, claim: data === null ? null : readClaim(data) }
  } catch {
    // Of a member that speaks differently: it gets partitions like a new one, and says what it makes of them.
    return { topics: [], claim: null }
  }
}

export function writeAssignment(topics: readonly string[], partitions: readonly number[]): Buffer {
  const writer = new WireWriter().int16(FORM)
  writer.array(partitions.length === 0 ? [] : topics, (topic) =>
    writer.string(topic).array(partitions, (partition) => writer.int32(partition)),
  )
  return Buffer.from(writer.int32(0).written())
}

/** @returns the partition numbers: those of any topic, because they are the same for all */
export function readAssignment(bytes: Buffer): number[] {
  // A member that the leader passed over gets no bytes at all.
  if (bytes.length === 0) return []
  const reader = new WireReader(bytes)
  reader.int16()
  const numbers = new Set<number>()
  reader.array(() => {
    reader.string()
    for (const partition of reader.array(() => reader.int32())) numbers.add(partition)
  })
  return [...numbers].sort((a, b) => a - b)
}

function writeClaim({ generation, partitions }: Claim): Buffer {
  const writer = new WireWriter().int8(CLAIM_FORM).int32(generation)
  return Buffer.from(writer.array(partitions, (partition) => writer.int32(partition)).written())
}

function readClaim(bytes: Buffer): Claim | null {
  try {
    const reader = new WireReader(bytes)
    if (reader.int8() !== CLAIM_FORM) return null
    return { generation: reader.int32(), partitions: reader.array(() => reader.int32()) }
  } catch {
    return null
  }
}
