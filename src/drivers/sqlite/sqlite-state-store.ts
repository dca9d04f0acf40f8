/** `StateStore` in the data directory: one row per user and epoch, checkpoints beside them, one transaction an append. */

import { splitUserKey, type UserKey, userKey } from '../../events/ids.ts'
import type { Checkpoint, Restored, StateStore } from '../../pipeline/state-store.ts'
import { joinStates } from '../../window/join.ts'
import { decodeState, encodeState } from '../../window/state-codec.ts'
import type { UserState, WindowCaps } from '../../window/user-state.ts'
import { SpilledStates } from './spilled-states.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export interface StateStoreOptions {
  /** Read at each use: caps grow when a model with more slots comes into use. */
  caps: () => WindowCaps
  /** Bytes of one user's encoded state. */
  userBytesMax?: number
}

type CheckpointRow = [
  epoch: number,
  confirmed: number,
  day: number,
  partitionCount: number,
  positions: string,
]

export class SqliteStateStore implements StateStore {
  private readonly database: SqliteDatabase
  private readonly options: StateStoreOptions
  private readonly spilled: SpilledStates

  constructor(database: SqliteDatabase, options: StateStoreOptions) {
    this.database = database
    this.options = options
    this.spilled = new SpilledStates(database)
  }

  async restore(partition: number): Promise<Restored> {
    // O6: what was spilled is a former run's memory. Its events are read again from the checkpoint on; its hashes and
    // due times were never acknowledged. Nothing in it is worth the doubt.
    this.spilled.clear(partition)
    return this.database.read(() => {
      const rows = this.database
        .prepare(
          'SELECT epoch, confirmed, day, partition_count, positions FROM checkpoints WHERE partition = ? ORDER BY epoch DESC',
        )
        .all(partition) as unknown as CheckpointRow[]
      const states = this.database
        .prepare('SELECT max(epoch) FROM states WHERE partition = ?')
        .get(partition) as unknown as [number | null]
      const confirmed = rows.find(([, isConfirmed]) => isConfirmed === 1)
      return {
        checkpoint: confirmed === undefined ? null : toCheckpoint(confirmed),
        highestEpoch: Math.max(rows[0]?.[0] ?? 0, states[0] ?? 0),
      }
    })
  }

  release(partition: number): void {
    this.spilled.forget(partition)
  }

  read(partition: number, key: UserKey): UserState | undefined {
    return this.database.read(() => {
      // What was spilled began as what is stored, and went on from there.
      const spilled = this.spilled.read(partition, key)
      return spilled === undefined ? this.stored(partition, key) : decodeState(spilled)
    })
  }

  users(partition: number, after: UserKey | null, limit: number): UserKey[] {
    const { tenant, user } = after === null ? { tenant: '', user: '' } : splitUserKey(after)
    const rows = this.database.read(() => {
      this.spilled.flush()
      return this.database
        .prepare(
          `SELECT tenant, user FROM states WHERE partition = ?1 AND (tenant, user) > (?2, ?3)
           UNION SELECT tenant, user FROM spilled_states WHERE partition = ?1 AND (tenant, user) > (?2, ?3)
           ORDER BY tenant, user LIMIT ?4`,
        )
        .all(partition, tenant, user, limit)
    }) as unknown as [string, string][]
    return rows.map(([tenant, user]) => userKey(tenant as never, user as never))
  }

  /** @returns how many users of the partition have a state here */
  userCount(partition: number): number {
    const row = this.database.read(() =>
      this.database
        .prepare(
          `SELECT count(*) FROM (SELECT tenant, user FROM states WHERE partition = ?1
           UNION SELECT tenant, user FROM spilled_states WHERE partition = ?1)`,
        )
        .get(partition),
    ) as unknown as [number]
    return row[0]
  }

  /** @throws {UnavailableError} `disk-full` and its like: the caller must keep the state in memory */
  spill(partition: number, state: UserState): void {
    this.spilled.put(partition, userKey(state.tenant, state.user), this.encode(state))
  }

  async appendStates(partition: number, states: readonly UserState[]): Promise<void> {
    const { database } = this
    const rows = states.map((state) => ({ state, bytes: this.encode(state) }))
    database.write(() => {
      const put = database.prepare(
        `INSERT INTO states (partition, tenant, user, epoch, state) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET state = excluded.state`,
      )
      // O5: keys of older epochs go with the write that replaces them, never those of newer ones.
      const drop = database.prepare(
        'DELETE FROM states WHERE partition = ? AND tenant = ? AND user = ? AND epoch < ?',
      )
      for (const { state, bytes } of rows) {
        const { tenant, user, epoch } = state
        put.run(partition, tenant, user, epoch, bytes)
        drop.run(partition, tenant, user, epoch)
      }
    })
    for (const { state, bytes } of rows) this.settleSpilled(partition, state, bytes)
  }

  async appendCheckpoint(partition: number, checkpoint: Checkpoint): Promise<void> {
    const { epoch, confirmed, day, partitionCount, positions } = checkpoint
    this.database.write(() => {
      this.database
        .prepare(
          `INSERT OR REPLACE INTO checkpoints (partition, epoch, confirmed, day, partition_count, positions)
           VALUES (?, ?, ?, ?, ?, ?)`,
        )
        .run(partition, epoch, confirmed ? 1 : 0, day, partitionCount, JSON.stringify([...positions]))
      // O4: a claim replaces nobody's positions; only a confirmed checkpoint does.
      if (confirmed)
        this.database
          .prepare('DELETE FROM checkpoints WHERE partition = ? AND epoch < ?')
          .run(partition, epoch)
    })
  }

  async close(): Promise<void> {}

  private encode(state: UserState): Uint8Array {
    return encodeState(state, this.options.userBytesMax)
  }

  private stored(partition: number, key: UserKey): UserState | undefined {
    const { tenant, user } = splitUserKey(key)
    const rows = this.database
      .prepare('SELECT state FROM states WHERE partition = ? AND tenant = ? AND user = ? ORDER BY epoch')
      .all(partition, tenant, user) as unknown as [Uint8Array][]
    const states = rows.map(([bytes]) => decodeState(bytes))
    if (states.length === 0) return undefined
    // O1: over all epochs; one of them is the rule, and needs no joining.
    return states.reduce((joined, state) => joinStates(joined, state, this.options.caps()))
  }

  /** What was spilled may have gone further than what is appended now: its events stay, its acknowledgements don't. */
  private settleSpilled(partition: number, appended: UserState, appendedBytes: Uint8Array): void {
    const key = userKey(appended.tenant, appended.user)
    const bytes = this.spilled.read(partition, key)
    if (bytes === undefined) return
    const { acknowledged, dueMs, parked, epoch } = appended
    const joined = {
      ...joinStates(decodeState(bytes), appended, this.options.caps()),
      acknowledged,
      dueMs,
      parked,
      epoch,
    }
    const joinedBytes = this.encode(joined)
    if (Buffer.compare(joinedBytes, appendedBytes) === 0) this.spilled.drop(partition, key)
    else this.spilled.put(partition, key, joinedBytes)
  }
}

function toCheckpoint([epoch, confirmed, day, partitionCount, positions]: CheckpointRow): Checkpoint {
  return { epoch, positions: new Map(JSON.parse(positions)), confirmed: confirmed === 1, day, partitionCount }
}
