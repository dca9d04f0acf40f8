/** A worker's local copy of the changelogs of its partitions, and the states that went on from there (O6). */

import { splitUserKey, type UserKey, userKey } from '../../events/ids.ts'
import type { CopyHead, LocalState, LocalStates } from '../../pipeline/changelog.ts'
import { decodeState, encodeState } from '../../window/state-codec.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

/** Live states written together: one at a time, each would be a transaction. About 3 MiB of windows of ordinary size. */
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

export class SqliteLocalStates implements LocalStates {
  private readonly database: SqliteDatabase
  private readonly userBytesMax: number
  /** Live states that are not in the file yet. */
  private readonly buffers = new Map<number, Map<UserKey, Row>>()
  private buffered = 0

  constructor(database: SqliteDatabase, userBytesMax: number) {
    this.database = database
    this.userBytesMax = userBytesMax
  }

  head(partition: number): CopyHead | undefined {
    const row = this.database.read(() =>
      this.database.prepare('SELECT head FROM heads WHERE partition = ?').get(partition),
    ) as unknown as [string] | undefined
    return row === undefined ? undefined : headOf(row[0])
  }

  writePage(partition: number, copied: ReadonlyMap<UserKey, LocalState>, head: CopyHead): void {
    this.database.write(() => {
      for (const [user, local] of copied) this.put('copies', partition, user, this.rowOf(local))
      this.database
        .prepare('INSERT OR REPLACE INTO heads (partition, head) VALUES (?, ?)')
        .run(partition, headText(head))
    })
  }

  copied(partition: number, user: UserKey): LocalState | undefined {
    return this.get('copies', partition, user)
  }

  live(partition: number, user: UserKey): LocalState | undefined {
    const buffered = this.buffers.get(partition)?.get(user)
    return buffered === undefined ? this.get('lives', partition, user) : localOf(buffered)
  }

  liveUsers(partition: number): UserKey[] {
    this.flush()
    // Most were appended, and came back with the changelog: their copies are the very bytes.
    return this.keys(
      `SELECT tenant, user FROM lives AS live WHERE partition = ? AND NOT EXISTS (
         SELECT 1 FROM copies AS copy
         WHERE copy.partition = live.partition AND copy.tenant = live.tenant AND copy.user = live.user
           AND copy.state = live.state AND copy.epochs = live.epochs AND copy.doubted_epoch = live.doubted_epoch)`,
      [partition],
    )
  }

  writeLive(partition: number, user: UserKey, local: LocalState): void {
    // Room first: when the disk is full, the state is still the caller's.
    if (this.buffered >= BUFFERED_STATES_MAX) this.flush()
    let buffer = this.buffers.get(partition)
    if (buffer === undefined) {
      buffer = new Map()
      this.buffers.set(partition, buffer)
    }
    if (!buffer.has(user)) this.buffered++
    buffer.set(user, this.rowOf(local))
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
    this.buffered -= this.buffers.get(partition)?.size ?? 0
    this.buffers.delete(partition)
    this.database.write(() => {
      for (const table of ['heads', 'copies', 'lives'])
        this.database.prepare(`DELETE FROM ${table} WHERE partition = ?`).run(partition)
    })
  }

  /** Writes what is buffered; losing it costs reading, nothing else. */
  flush(): void {
    if (this.buffered === 0) return
    this.database.write(() => {
      for (const [partition, buffer] of this.buffers)
        for (const [user, row] of buffer) this.put('lives', partition, user, row)
    })
    this.buffers.clear()
    this.buffered = 0
  }

  private rowOf({ epochs, doubtedEpoch, state }: LocalState): Row {
    return [JSON.stringify(epochs), doubtedEpoch, encodeState(state, this.userBytesMax)]
  }

  private get(layer: Layer, partition: number, key: UserKey): LocalState | undefined {
    const { tenant, user } = splitUserKey(key)
    const sql = `SELECT epochs, doubted_epoch, state FROM ${layer} WHERE partition = ? AND tenant = ? AND user = ?`
    const row = this.database.read(() => this.database.prepare(sql).get(partition, tenant, user))
    return row === undefined ? undefined : localOf(row as unknown as Row)
  }

  private put(layer: Layer, partition: number, key: UserKey, row: Row): void {
    const { tenant, user } = splitUserKey(key)
    this.database
      .prepare(
        `INSERT INTO ${layer} (partition, tenant, user, epochs, doubted_epoch, state) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET epochs = excluded.epochs, doubted_epoch = excluded.doubted_epoch,
           state = excluded.state`,
      )
      .run(partition, tenant, user, ...row)
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
  return { state: decodeState(state), epochs: JSON.parse(epochs) as number[], doubtedEpoch }
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
