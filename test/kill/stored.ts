/** What a data directory holds once nobody runs: every user's state and vectors, to be compared. */

import assert from 'node:assert/strict'
import { openDataDirectory } from '../../src/drivers/sqlite/data-directory.ts'
import { SqliteEventLog } from '../../src/drivers/sqlite/event-log.ts'
import { SqliteStateStore } from '../../src/drivers/sqlite/sqlite-state-store.ts'
import { SqliteVectorStore } from '../../src/drivers/sqlite/sqlite-vector-store.ts'
import { TEXT_MODALITIES, type TextModality } from '../../src/events/behavior-event.ts'
import { type UserKey, userKey } from '../../src/events/ids.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { UserState } from '../../src/window/user-state.ts'

export interface Stored {
  users: Map<UserKey, { windows: Record<TextModality, string[]>; vectors: Map<string, Float32Array> }>
  /** Event ids in the log, one for each record. */
  logRecords: number
}

/** fp32 in another batch differs by rounding. */
const TOLERANCE = 1e-5
const UNLIMITED = Object.fromEntries(TEXT_MODALITIES.map((name) => [name, 1e6])) as Record<
  TextModality,
  number
>

export async function readStored(path: string): Promise<Stored> {
  const directory = openDataDirectory({ path, access: 'read', nowMs: Date.now() })
  const vectors = new SqliteVectorStore(directory.vectors, systemClock)
  try {
    const log = new SqliteEventLog(directory.main, {
      clock: systemClock,
      tombstoneOf: () => null,
      tombstoneTopic: '',
    })
    const users: Stored['users'] = new Map()
    const [info] = await vectors.collections()
    for (const state of states(new SqliteStateStore(directory.main, { caps: () => UNLIMITED }))) {
      const key = userKey(state.tenant, state.user)
      const windows = {} as Record<TextModality, string[]>
      for (const name of TEXT_MODALITIES) windows[name] = state.windows[name].map(({ eventId }) => eventId)
      const point = (await vectors.get(info!.name, [pointId(key)])).get(pointId(key))?.point
      users.set(key, { windows, vectors: new Map(point?.kind === 'vectors' ? point.vectors : []) })
    }
    return { users, logRecords: log.endOffset() }
  } finally {
    await vectors.close()
    directory.close()
  }
}

function* states(store: SqliteStateStore): Generator<UserState> {
  let after: UserKey | null = null
  for (;;) {
    const page: UserKey[] = store.users(0, after, 500)
    for (const key of page) yield store.read(0, key)!
    if (page.length < 500) return
    after = page.at(-1)!
  }
}

/** The same users with the same windows, and each vector within the tolerance. */
export function assertSame(actual: Stored, expected: Stored): void {
  assert.deepEqual([...actual.users.keys()].sort(), [...expected.users.keys()].sort())
  for (const [key, { windows, vectors }] of expected.users) {
    const found = actual.users.get(key)!
    assert.deepEqual(found.windows, windows, `windows of ${key}`)
    assert.deepEqual([...found.vectors.keys()].sort(), [...vectors.keys()].sort(), `vectors of ${key}`)
    for (const [name, vector] of vectors) {
      const other = found.vectors.get(name)!
      const apart = vector.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0)
      assert.ok(apart <= TOLERANCE, `${name} of ${key} is ${apart} apart`)
    }
  }
}
