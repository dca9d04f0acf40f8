/** The control topics: instructions, models and tombstones, read to their end before the first write (O1). */

import type { RegistryRecord } from '../instructions/registry.ts'
import type { ModelRecord } from '../vectors/model-registry.ts'
import type { Tombstone } from './state-store.ts'

export interface ControlLog {
  /** Records of `freshet.instructions` after the offset, in order, to the end. */
  instructions(afterOffset: number): Promise<RegistryRecord[]>
  /** Records of `freshet.models` after the offset, in order, to the end. */
  models(afterOffset: number): Promise<ModelRecord[]>
  /** Every user's latest tombstone in this partition. */
  tombstones(partition: number): Promise<Tombstone[]>
}

/** A record that could not be applied, with its provenance. */
export interface DeadLetter {
  topic: string
  partition: number
  offset: number
  appendTimeMs: number
  key: Uint8Array | null
  /** The raw bytes, as they came. */
  value: Uint8Array | null
  headers: Readonly<Record<string, string>>
  /** Code of the error, see docs/errors.md. */
  reason: string
  error: string
  attempts: number
  failedAtMs: number
}

/** Where records go that cannot be what their topic says. */
export interface DeadLetters {
  /** Resolves when durable; of one (topic, partition, offset) put twice, one is kept. */
  put(letters: readonly DeadLetter[]): Promise<void>
}
