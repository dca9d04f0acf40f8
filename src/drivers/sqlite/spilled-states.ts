/** States that memory had no room for, until they are acknowledged or the process ends. */

import { splitUserKey, type UserKey } from '../../events/ids.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** Written together: one at a time, each would cost a wait for the disk. About 3 MiB of windows of ordinary size. */
const BUFFERED_STATES_MAX = 256

/**
 * Eviction counts on it: a state that is spilled and then gone would be a lost event. So a write that fails is the
 * caller's to know. It need not survive the process, though: the log has it all.
 */
export class SpilledStates {
  private readonly database: SqliteDatabase
  private readonly buffers = new Map<number, Map<UserKey, Uint8Array>>()
  private buffered = 0
  /** Whether there may be rows: nearly always there are none, and then nothing is asked of the disk. */
  private hasRows = true

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  read(partition: number, key: UserKey): Uint8Array | undefined {
    const buffered = this.buffers.get(partition)?.get(key)
    if (buffered !== undefined || !this.hasRows) return buffered
    const { tenant, user } = splitUserKey(key)
    const row = this.database
      .prepare('SELECT state FROM spilled_states WHERE partition = ? AND tenant = ? AND user = ?')
      .get(partition, tenant, user) as unknown as [Uint8Array] | undefined
    return row?.[0]
  }

  put(partition: number, key: UserKey, state: Uint8Array): void {
    // Room first: when the disk is full, the state is still the caller's.
    if (this.buffered >= BUFFERED_STATES_MAX) this.flush()
    let buffer = this.buffers.get(partition)
    if (buffer === undefined) {
      buffer = new Map()
      this.buffers.set(partition, buffer)
    }
    if (!buffer.has(key)) this.buffered++
    buffer.set(key, state)
  }

  drop(partition: number, key: UserKey): void {
    if (this.buffers.get(partition)?.delete(key) === true) this.buffered--
    if (!this.hasRows) return
    const { tenant, user } = splitUserKey(key)
    this.database.write(() =>
      this.database
        .prepare('DELETE FROM spilled_states WHERE partition = ? AND tenant = ? AND user = ?')
        .run(partition, tenant, user),
    )
  }

  /** Writes what is buffered. */
  flush(): void {
    if (this.buffered === 0) return
    this.database.write(() => {
      const put = this.database.prepare(
        'INSERT OR REPLACE INTO spilled_states (partition, tenant, user, state) VALUES (?, ?, ?, ?)',
      )
      for (const [partition, buffer] of this.buffers)
        for (const [key, state] of buffer) {
          const { tenant, user } = splitUserKey(key)
          put.run(partition, tenant, user, state)
        }
    })
    this.hasRows = true
    this.buffers.clear()
    this.buffered = 0
  }

  /** Forgets what is in memory; rows stay until `clear`. */
  forget(partition: number): void {
    this.buffered -= this.buffers.get(partition)?.size ?? 0
    this.buffers.delete(partition)
  }

  clear(partition: number): void {
    this.forget(partition)
    if (!this.hasRows) return
    this.database.write(() => {
      this.database.prepare('DELETE FROM spilled_states WHERE partition = ?').run(partition)
      const left = this.database.prepare('SELECT count(*) FROM spilled_states').get() as unknown as [number]
      this.hasRows = left[0] > 0
    })
  }
}
