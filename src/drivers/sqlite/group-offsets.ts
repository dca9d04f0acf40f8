/** What consumer groups have committed: the next offset to read, by topic. */

import type { Positions } from '../../pipeline/event-source.ts'
import type { SqliteEventLog } from './event-log.ts'
import type { SqliteDatabase } from './sqlite-database.ts'

export class GroupOffsets {
  private readonly database: SqliteDatabase
  private readonly group: string

  constructor(database: SqliteDatabase, group: string) {
    this.database = database
    this.group = group
  }

  /** Writes what differs: an idle pipeline that commits twice a second must not wake the disk each time. */
  commit(positions: Positions): void {
    const committed = this.committed()
    const changed = [...positions].filter(([topic, offset]) => committed.get(topic) !== offset)
    if (changed.length === 0) return
    this.database.write(() => {
      const save = this.database.prepare(
        'INSERT OR REPLACE INTO group_offsets (group_name, topic, "offset") VALUES (?, ?, ?)',
      )
      for (const [topic, offset] of changed) save.run(this.group, topic, offset)
    })
  }

  committed(): Map<string, number> {
    const rows = this.database.read(() =>
      this.database.prepare('SELECT topic, "offset" FROM group_offsets WHERE group_name = ?').all(this.group),
    ) as unknown as [string, number][]
    return new Map(rows)
  }

  /** @returns the first offset of these topics that is not committed, or the end of the log: `keepFrom` of retention */
  firstUncommitted(topics: readonly string[], log: SqliteEventLog): number {
    const committed = this.committed()
    return topics.reduce((first, topic) => {
      const position = committed.get(topic) ?? 0
      // A topic that is read to its end holds nothing back, however long ago its last record came.
      return position >= log.topicEnd(topic) ? first : Math.min(first, position)
    }, log.endOffset())
  }
}
