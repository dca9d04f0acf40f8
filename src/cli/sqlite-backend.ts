/** The backend of a standalone freshet: log, control records and dead letters lie in its data directory, one partition of each. */

import type { MainDirectory } from '../drivers/sqlite/data-directory.ts'
import type { SqliteEventLog } from '../drivers/sqlite/event-log.ts'
import { OfVectors } from '../drivers/sqlite/of-vectors.ts'
import type { SqliteControlLog } from '../drivers/sqlite/sqlite-control-log.ts'
import type { SqliteStateStore } from '../drivers/sqlite/sqlite-state-store.ts'
import type { Letters } from '../pipeline/letters.ts'
import type { Backend } from './backend.ts'

const ONLY = 0

interface SqliteBackendParts {
  directory: MainDirectory
  log: SqliteEventLog
  controlLog: SqliteControlLog
  store: SqliteStateStore
  letters: Letters
}

export function sqliteBackend(parts: SqliteBackendParts): Backend {
  const { directory, log, controlLog, store, letters } = parts
  return {
    place: directory.path,
    letters,
    append: async (records) => {
      await log.append(records)
    },
    appendInstruction: (instruction) => controlLog.appendInstruction(instruction),
    appendGroup: (group) => controlLog.appendGroup(group),
    appendModel: (record) => controlLog.appendModel(record),
    partitionOf: () => ONLY,
    tombstone: async (tenant, user) =>
      (await controlLog.tombstones(ONLY)).find((one) => one.tenant === tenant && one.user === user),
    endOf: (topic) => log.topicEnd(topic),
    storedUsers: (partition) => store.userCount(partition),
    history: () => historyOf(log),
    isWhole: async () => log.firstOffset() === 0,
    announce: (url) => directory.announce(url),
    keepHorizon: (horizonDays) => new OfVectors(directory.main).keepHorizon(horizonDays),
  }
}

async function* historyOf(log: SqliteEventLog) {
  for (let from = 0; ; ) {
    const { records, next } = log.readFrom(from)
    yield records
    if (next === from) return
    from = next
    // Others have their turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
