/** The control topics of a standalone freshet: instructions, groups and models as logs, tombstones by user. */

import type { TenantId, UserId } from '../../events/ids.ts'
import type { Group, Instruction, RetiredText } from '../../instructions/instruction.ts'
import type { RegistryRecord } from '../../instructions/registry.ts'
import type { ControlLog } from '../../pipeline/control-log.ts'
import type { Tombstone } from '../../pipeline/state-store.ts'
import type { ModelRecord } from '../../vectors/model-registry.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export class SqliteControlLog implements ControlLog {
  private readonly database: SqliteDatabase
  private readonly watchers = new Set<() => void>()

  constructor(database: SqliteDatabase) {
    this.database = database
  }

  async instructions(afterOffset: number): Promise<RegistryRecord[]> {
    const rows = this.database.read(() =>
      this.database
        .prepare('SELECT "offset", kind, record FROM instructions WHERE "offset" > ? ORDER BY "offset"')
        .all(afterOffset),
    ) as unknown as [number, string, string][]
    return rows.map(([offset, kind, text]) => {
      const record: unknown = JSON.parse(text)
      if (kind === 'group') return { offset, kind, group: record as Group }
      if (kind === 'retired-text') return { offset, kind, retired: record as RetiredText }
      return { offset, kind: 'instruction', instruction: record as Instruction }
    })
  }

  async models(afterOffset: number): Promise<ModelRecord[]> {
    const rows = this.database.read(() =>
      this.database
        .prepare('SELECT "offset", record FROM models WHERE "offset" > ? ORDER BY "offset"')
        .all(afterOffset),
    ) as unknown as [number, string][]
    return rows.map(([offset, record]) => ({
      ...(JSON.parse(record) as Omit<ModelRecord, 'offset'>),
      offset,
    }))
  }

  /**
   * Tombstones come in through the event log, in whose transactions they are kept by user, too: what was appended is
   * read here at once, and the tombstone topic goes on with a position of its own like any source topic (O1).
   */
  async tombstones(partition: number): Promise<Tombstone[]> {
    if (partition !== 0) return []
    const rows = this.database.read(() =>
      this.database.prepare('SELECT tenant, user, at_ms FROM tombstones').all(),
    ) as unknown as [TenantId, UserId, number][]
    return rows.map(([tenant, user, atMs]) => ({ tenant, user, atMs }))
  }

  /** @throws {UnavailableError} `disk-full` and its like: nothing is written */
  async appendInstruction(instruction: Instruction): Promise<RegistryRecord> {
    const offset = this.append('instructions', ['instruction', JSON.stringify(instruction)])
    return { offset, kind: 'instruction', instruction }
  }

  /** @throws {UnavailableError} `disk-full` and its like: nothing is written */
  async appendRetiredText(retired: RetiredText): Promise<RegistryRecord> {
    const offset = this.append('instructions', ['retired-text', JSON.stringify(retired)])
    return { offset, kind: 'retired-text', retired }
  }

  /** @throws {UnavailableError} `disk-full` and its like: nothing is written */
  async appendGroup(group: Group): Promise<RegistryRecord> {
    const offset = this.append('instructions', ['group', JSON.stringify(group)])
    return { offset, kind: 'group', group }
  }

  /** @throws {UnavailableError} `disk-full` and its like: nothing is written */
  async appendModel(record: Omit<ModelRecord, 'offset'>): Promise<ModelRecord> {
    const offset = this.append('models', [JSON.stringify(record)])
    return { ...record, offset }
  }

  /** Calls after each append of this process. @returns a function that ends it */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher)
    return () => this.watchers.delete(watcher)
  }

  private append(table: 'instructions' | 'models', values: readonly string[]): number {
    const { database } = this
    return database.write(() => {
      const [last] = database.prepare(`SELECT max("offset") FROM ${table}`).get() as unknown as [
        number | null,
      ]
      const offset = (last ?? -1) + 1
      const places = values.map(() => '?').join(', ')
      database.prepare(`INSERT INTO ${table} VALUES (?, ${places})`).run(offset, ...values)
      database.afterCommit(() => {
        for (const watcher of this.watchers) watcher()
      })
      return offset
    })
  }
}
