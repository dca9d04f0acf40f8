/** State over a changelog and its copy in a file: the contract of every store of states, and what the copy spares. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { SqliteDatabase } from '../../../src/drivers/sqlite/sqlite-database.ts'
import {
  LOCAL_STATES_MIGRATIONS,
  SqliteLocalStates,
} from '../../../src/drivers/sqlite/sqlite-local-states.ts'
import { userKey } from '../../../src/events/ids.ts'
import type { Changelog, ChangelogRecord, PositionedRecord } from '../../../src/pipeline/changelog.ts'
import { ChangelogStateStore } from '../../../src/pipeline/changelog-state-store.ts'
import { type RestoringMessage, restoring } from '../../../src/pipeline/channels.ts'
import { emptyState } from '../../../src/window/apply.ts'
import type { UserState, WindowCaps } from '../../../src/window/user-state.ts'
import { type StateStoreUnderTest, stateStoreContract } from '../../pipeline/state-store-contract.ts'
import { tempDirectory } from './temp-directory.ts'

const CAPS: WindowCaps = { paybill: 8, miniprogram: 8, spm: 8, app: 8, search: 8 }
const USER_BYTES_MAX = 512 * 1024
const PAGE = 2

/** What is durable, and how much of it was read. */
class MemoryChangelog implements Changelog {
  private readonly partitions = new Map<number, PositionedRecord[]>()
  /** Positions from which pages began. */
  readonly reads: number[] = []
  id = 'first'
  private readonly page: number

  constructor(page = PAGE) {
    this.page = page
  }

  async topicId(): Promise<string> {
    return this.id
  }

  async *read(partition: number, from: number) {
    const records = this.of(partition)
    const end = records.length
    for (let at = from; at < end; at += this.page) {
      this.reads.push(at)
      const next = Math.min(at + this.page, end)
      yield { records: records.slice(at, next), next, end }
    }
  }

  async append(partition: number, appended: readonly ChangelogRecord[]): Promise<void> {
    const records = this.of(partition)
    for (const record of appended) records.push({ position: records.length, record: structuredClone(record) })
  }

  private of(partition: number): PositionedRecord[] {
    const records = this.partitions.get(partition) ?? []
    this.partitions.set(partition, records)
    return records
  }
}

function openAt(path: string, changelog: Changelog, caps = () => CAPS): StateStoreUnderTest {
  const file = join(path, 'states.db')
  const database = new SqliteDatabase({ path: file, migrations: LOCAL_STATES_MIGRATIONS, isCache: true })
  const store = new ChangelogStateStore(changelog, new SqliteLocalStates(database, USER_BYTES_MAX), caps)
  return {
    store,
    // Closed without the store's own farewell: what it only meant to write is gone, as at kill -9.
    crash: async () => {
      database.close()
      return openAt(path, changelog, caps)
    },
    dispose: async () => database.close(),
  }
}

function stateOf(user: string, epoch: number): UserState {
  const state = emptyState('default' as never, user as never)
  state.epoch = epoch
  state.acknowledged.set('main/m', { inputHash: `of ${epoch}`, epoch })
  return state
}

const hashOf = ({ store }: StateStoreUnderTest, user: string) =>
  store.read(0, userKey('default' as never, user as never))?.acknowledged.get('main/m')?.inputHash

describe('states in a file over a changelog', () => {
  stateStoreContract('changelog and file', async (caps) =>
    openAt(tempDirectory(), new MemoryChangelog(), caps),
  )

  test('a second take-over reads only what is new, checkpoints and epochs included', async () => {
    const changelog = new MemoryChangelog()
    let under = openAt(tempDirectory(), changelog)
    const checkpoint = {
      epoch: 4,
      positions: new Map([['a', 9]]),
      confirmed: true,
      day: 3,
      partitionCount: 1,
    }
    await under.store.appendStates(0, [stateOf('u1', 4), stateOf('u2', 4), stateOf('u3', 4)])
    await under.store.appendCheckpoint(0, checkpoint)
    under = await under.crash()
    const first = await under.store.restore(0)
    assert.deepEqual(first, { checkpoint, highestEpoch: 4 })
    assert.deepEqual(changelog.reads, [0, 2])
    under = await under.crash()
    await changelog.append(0, [
      { kind: 'state', user: 'default\0u4' as never, epoch: 4, state: stateOf('u4', 4) },
    ])
    changelog.reads.length = 0
    assert.deepEqual(await under.store.restore(0), first)
    assert.deepEqual(changelog.reads, [4])
    assert.deepEqual(
      ['u1', 'u4'].map((user) => hashOf(under, user)),
      ['of 4', 'of 4'],
    )
    await under.dispose()
  })

  test('a take-over tells how much of the changelog is left', async () => {
    const changelog = new MemoryChangelog()
    let under = openAt(tempDirectory(), changelog)
    await under.store.appendStates(
      3,
      ['u1', 'u2', 'u3', 'u4', 'u5'].map((user) => stateOf(user, 4)),
    )
    under = await under.crash()
    const told: RestoringMessage[] = []
    const end = restoring.subscribe((message) => told.push(message))
    await under.store.restore(3)
    end()
    assert.deepEqual(told, [
      { partition: 3, records: 2, left: 3 },
      { partition: 3, records: 4, left: 1 },
      { partition: 3, records: 5, left: 0 },
    ])
    await under.dispose()
  })

  test('a take-over that was interrupted goes on where it was', async () => {
    const changelog = new MemoryChangelog()
    let under = openAt(tempDirectory(), changelog)
    await under.store.appendStates(
      0,
      [1, 2, 3, 4, 5].map((user) => stateOf(`u${user}`, 1)),
    )
    under = await under.crash()
    const stopping = new AbortController()
    const readAll = changelog.read.bind(changelog)
    changelog.read = async function* (partition, from) {
      for await (const page of readAll(partition, from)) {
        yield page
        stopping.abort()
      }
    }
    await under.store.restore(0, stopping.signal)
    changelog.read = readAll
    changelog.reads.length = 0
    await under.store.restore(0)
    assert.deepEqual(changelog.reads, [2, 4])
    assert.equal(hashOf(under, 'u5'), 'of 1')
    await under.dispose()
  })

  test('what a former owner appended after a newer claim stays doubted, however often the copy is opened', async () => {
    const changelog = new MemoryChangelog()
    const user = 'default\0u1' as never
    await changelog.append(0, [
      { kind: 'state', user, epoch: 1, state: stateOf('u1', 1) },
      { kind: 'claim', epoch: 2 },
    ])
    let under = openAt(tempDirectory(), changelog)
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), 'of 1')
    under = await under.crash()
    await changelog.append(0, [{ kind: 'state', user, epoch: 1, state: stateOf('u1', 1) }])
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), undefined)
    under = await under.crash()
    await changelog.append(0, [{ kind: 'state', user, epoch: 2, state: { ...stateOf('u1', 1), epoch: 2 } }])
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), undefined)
    await under.dispose()
  })
})

test('after a restart only states that the changelog does not have as they are need joining', async () => {
  const path = tempDirectory()
  const changelog = new MemoryChangelog()
  const open = () => {
    const file = join(path, 'states.db')
    const database = new SqliteDatabase({ path: file, migrations: LOCAL_STATES_MIGRATIONS, isCache: true })
    const disk = new SqliteLocalStates(database, USER_BYTES_MAX)
    return { database, disk, store: new ChangelogStateStore(changelog, disk, () => CAPS) }
  }
  const first = open()
  await first.store.restore(0)
  await first.store.appendStates(0, [stateOf('ada', 7), stateOf('ben', 7), stateOf('chloe', 7)])
  first.store.spill(0, stateOf('ben', 8))
  first.disk.flush()
  first.database.close()
  const second = open()
  // Before anything was read, nothing is known to be there.
  assert.equal(second.disk.liveUsers(0).length, 3)
  await second.store.restore(0)
  // Ben's was joined with what the changelog says, and is another than its copy no more.
  const hash = (user: string) =>
    second.store.read(0, userKey('default' as never, user as never))?.acknowledged
  for (const user of ['ada', 'ben', 'chloe']) assert.equal(hash(user)?.get('main/m')?.inputHash, 'of 7')
  assert.deepEqual(second.disk.liveUsers(0), [])
  second.database.close()
})

test('a restore of many states leaves others their turns of the event loop', async () => {
  const path = tempDirectory()
  const changelog = new MemoryChangelog(1_000)
  const opened = openAt(path, changelog)
  const users = Array.from({ length: 300 }, (_, n) => stateOf(`user-${n}`, 7))
  await changelog.append(
    0,
    users.map((state) => ({ kind: 'state', user: userKey(state.tenant, state.user), epoch: 7, state })),
  )
  let turns = 0
  let isOver = false
  const count = () => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  await opened.store.restore(0)
  isOver = true
  assert.ok(turns >= 4, `${turns} turns in one page of 300 states`)
  assert.equal(opened.store.users(0, null, 1_000).length, 300)
  await opened.dispose()
})
