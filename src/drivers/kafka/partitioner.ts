/** Which partition a key belongs to, as Kafka's own clients choose it: murmur2, seed and mask included. */

import { ConfigError } from '../../errors.ts'
import type { SourceRecord } from '../../events/source-record.ts'

const SEED = 0x9747b28c
const MULTIPLIER = 0x5bd1e995
const ROTATION = 24

/** @see org.apache.kafka.common.utils.Utils.murmur2 */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = SEED ^ length
  let at = 0
  for (; at + 4 <= length; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, MULTIPLIER)
    word ^= word >>> ROTATION
    word = Math.imul(word, MULTIPLIER)
    hash = Math.imul(hash, MULTIPLIER) ^ word
  }
  const rest = length - at
  if (rest >= 3) hash ^= bytes[at + 2]! << 16
  if (rest >= 2) hash ^= bytes[at + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, MULTIPLIER)
  hash ^= hash >>> 13
  hash = Math.imul(hash, MULTIPLIER)
  hash ^= hash >>> 15
  return hash
}

export function partitionOf(key: Uint8Array, partitionCount: number): number {
  return (murmur2(key) & 0x7fffffff) % partitionCount
}

/**
 * A record in another partition than its key's was written by a producer that counts differently: the user's other
 * events lie elsewhere, and another worker keeps their state. Records without a key have no place; they are judged later.
 *
 * @throws {ConfigError} `topic-partitioner`
 */
export function checkPartition(
  { topic, partition, offset, key }: SourceRecord,
  partitionCount: number,
): void {
  if (key === null || partitionOf(key, partitionCount) === partition) return
  throw new ConfigError(
    'topic-partitioner',
    `expected record ${offset} of ${topic} in partition ${partitionOf(key, partitionCount)}, where murmur2 puts its key, got it in ${partition}: ` +
      'let its producer use murmur2 (librdkafka: partitioner=murmur2_random), and write the topic anew, or set its partitioner to other in events.topics and run freshet topics apply: then it is read through a copy that lies right',
  )
}
