/** Whoever wants to know that a user's vectors changed. */

import type { TenantId, UserId } from '../events/ids.ts'
import type { GroupName, VectorName } from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import type { WriteVersion } from '../vectors/vector-store.ts'

/** One user's point was written and is there for readers. */
export interface UserUpdate {
  tenant: TenantId
  user: UserId
  group: GroupName
  model: ModelId
  version: WriteVersion
  /** Empty: a stub, the user has no vectors: forgotten, or without events. */
  vectorNames: readonly VectorName[]
  inputHash: string
  /** Milliseconds; null: without events. */
  lastEventMs: number | null
  /** The day as of which the window was read, days since the Unix epoch. */
  asOfDay: number
  computedAtMs: number
}

export interface UpdateSink {
  /**
   * Resolves when all are durable. After a crash the same are told again; readers know them by (epoch, write).
   *
   * @throws {UnavailableError} when it is not known whether they are
   */
  put(updates: readonly UserUpdate[]): Promise<void>
}
