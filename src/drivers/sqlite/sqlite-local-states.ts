/** A worker's local copy of the changelogs of its partitions, and the states that went on from there (O6). */

import { splitUserKey, type UserKey, userKey } from '../../events/ids.ts'
import type { CopyHead, LocalState, LocalStates } from '../../pipeline/changelog.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** States written together: one at a time, each would be a transaction. About 3 MiB of windows of ordinary size. */
const BUFFERED_STATES_MAX = 256

type Layer = 'copies' | 'lives'

const layerTable = (layer: Layer): string => `
CREATE TABLE ${layer} (
  state_row INTEGER PRIMARY KEY,
  partition INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  user TEXT NOT NULL,
  epochs TEXT NOT NULL,
  doubted_epoch INTEGER NOT NULL,
  state BLOB NOT NULL,
  UNIQUE (partition, tenant, user)
);`

/** Steps of a worker's states.db. The file may be lost: the changelog has all of it that counts. */
export const LOCAL_STATES_MIGRATIONS: readonly string[] = [
  `CREATE TABLE heads (partition INTEGER PRIMARY KEY, head TEXT NOT NULL);${layerTable('copies')}${layerTable('lives')}`,
]

type Row = [epochs: string, doubtedEpoch: number, state: Uint8Array]

/** What is not in the file yet, of one partition: it gets there together, or not at all. */
interface PartitionBuffer {
  copies: Map<UserKey, LocalState>
  /** null: it is to go. */
  lives: Map<UserKey, LocalState | null>
  head: CopyHead | undefined
}

export class SqliteLocalStates implements LocalStates {
  private readonly database: SqliteDatabase
  private readonly buffers = new Map<number, PartitionBuffer>()
  private buffered = 0

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  head(partition: number): CopyHead | undefined {
    const buffered = this.buffers.get(partition)?.head
    if (buffered !== undefined) return buffered
    const row = this.database.read(() =>
      this.database.prepare('SELECT head FROM heads WHERE partition = ?').get(partition),
    ) as unknown as [string] | undefined
    return row === undefined ? undefined : headOf(row[0])
  }

  writePage(partition: number, copied: ReadonlyMap<UserKey, LocalState>, head: CopyHead): void {
    const buffer = this.bufferWithRoom(partition)
    for (const [user, local] of copied) {
      const live = this.live(partition, user)
      if (live !== undefined && Buffer.compare(live.state, local.state) === 0)
        this.put(buffer.lives, user, null)
      this.put(buffer.copies, user, local)
    }
    buffer.head = head
  }

  copied(partition: number, user: UserKey): LocalState | undefined {
    return this.buffers.get(partition)?.copies.get(user) ?? this.get('copies', partition, user)
  }

  live(partition: number, user: UserKey): LocalState | undefined {
    const buffered = this.buffers.get(partition)?.lives.get(user)
    if (buffered !== undefined) return buffered ?? undefined
    return this.get('lives', partition, user)
  }

  liveUsers(partition: number): UserKey[] {
    this.flush()
    return this.keys('SELECT tenant, user FROM lives WHERE partition = ?', [partition])
  }

  writeLive(partition: number, user: UserKey, local: LocalState): void {
    this.put(this.bufferWithRoom(partition).lives, user, local)
  }

  users(partition: number, after: UserKey | null, limit: number): UserKey[] {
    this.flush()
    const { tenant, user } = after === null ? { tenant: '', user: '' } : splitUserKey(after)
    return this.keys(
      `SELECT tenant, user FROM copies WHERE partition = ?1 AND (tenant, user) > (?2, ?3)
       UNION SELECT tenant, user FROM lives WHERE partition = ?1 AND (tenant, user) > (?2, ?3)
       ORDER BY tenant, user LIMIT ?4`,
      [partition, tenant, user, limit],
    )
  }

  /** Users of the larger layer: of those who are only in the other one there are few. */
  userCount(partition: number): number {
    const counts = (['copies', 'lives'] as const).map((layer) => {
      const sql = `SELECT count(*) FROM ${layer} WHERE partition = ?`
      const [count] = this.database.read(() => this.database.prepare(sql).get(partition)) as unknown as [
        number,
      ]
      return count
    })
    return Math.max(...counts)
  }

  clear(partition: number): void {
    const { copies, lives } = this.buffers.get(partition) ?? {}
    this.buffered -= (copies?.size ?? 0) + (lives?.size ?? 0)
    this.buffers.delete(partition)
    this.database.write(() => {
      for (const table of ['heads', 'copies', 'lives'])
        this.database.prepare(`DELETE FROM ${table} WHERE partition = ?`).run(partition)
    })
  }

  /** Writes what is buffered; losing it costs reading, nothing else. */
  flush(): void {
    if (this.buffers.size === 0) return
    this.database.write(() => {
      for (const [partition, { copies, lives, head }] of this.buffers) {
        for (const [user, local] of copies) this.write('copies', partition, user, local)
        for (const [user, local] of lives)
          if (local === null) this.remove(partition, user)
          else this.write('lives', partition, user, local)
        if (head !== undefined)
          this.database
            .prepare('INSERT OR REPLACE INTO heads (partition, head) VALUES (?, ?)')
            .run(partition, headText(head))
      }
    })
    this.buffers.clear()
    this.buffered = 0
  }

  /** Room first: when the disk is full, what would be written is still the caller's. */
  private bufferWithRoom(partition: number): PartitionBuffer {
    if (this.buffered >= BUFFERED_STATES_MAX) this.flush()
    const buffer = this.buffers.get(partition) ?? { copies: new Map(), lives: new Map(), head: undefined }
    this.buffers.set(partition, buffer)
    return buffer
  }

  private put<Of>(map: Map<UserKey, Of>, user: UserKey, of: Of): void {
    if (!map.has(user)) this.buffered++
    map.set(user, of)
  }

  private get(layer: Layer, partition: number, key: UserKey): LocalState | undefined {
    const { tenant, user } = splitUserKey(key)
    const sql = `SELECT epochs, doubted_epoch, state FROM ${layer} WHERE partition = ? AND tenant = ? AND user = ?`
    const row = this.database.read(() => this.database.prepare(sql).get(partition, tenant, user))
    return row === undefined ? undefined : localOf(row as unknown as Row)
  }

  private remove(partition: number, key: UserKey): void {
    const { tenant, user } = splitUserKey(key)
    this.database
      .prepare('DELETE FROM lives WHERE partition = ? AND tenant = ? AND user = ?')
      .run(partition, tenant, user)
  }

  private write(layer: Layer, partition: number, key: UserKey, local: LocalState): void {
    const { epochs, doubtedEpoch, state } = local
    const { tenant, user } = splitUserKey(key)
    this.database
      .prepare(
        `INSERT INTO ${layer} (partition, tenant, user, epochs, doubted_epoch, state) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET epochs = excluded.epochs, doubted_epoch = excluded.doubted_epoch,
           state = excluded.state`,
      )
      .run(partition, tenant, user, JSON.stringify(epochs), doubtedEpoch, state)
  }

  private keys(sql: string, values: (string | number)[]): UserKey[] {
    const rows = this.database.read(() => this.database.prepare(sql).all(...values)) as unknown as [
      never,
      never,
    ][]
    return rows.map(([tenant, user]) => userKey(tenant, user))
  }
}

function localOf([epochs, doubtedEpoch, state]: Row): LocalState {
  return { state, epochs: JSON.parse(epochs) as number[], doubtedEpoch }
}

function headText(head: CopyHead): string {
  const checkpoints = head.checkpoints.map((one) => ({ ...one, positions: [...one.positions] }))
  return JSON.stringify({ ...head, checkpoints })
}

function headOf(text: string): CopyHead {
  const head = JSON.parse(text) as CopyHead & {
    checkpoints: { positions: [string, number][] }[]
  }
  return {
    ...head,
    checkpoints: head.checkpoints.map((one) => ({ ...one, positions: new Map(one.positions) })),
  }
}
