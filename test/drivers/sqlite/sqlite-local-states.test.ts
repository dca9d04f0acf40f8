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
import { encodeState } from '../../../src/window/state-codec.ts'
import type { UserState, WindowCaps } from '../../../src/window/user-state.ts'
import { type StateStoreUnderTest, stateStoreContract } from '../../pipeline/state-store-contract.ts'
import { tempDirectory } from './temp-directory.ts'

const CAPS: WindowCaps = { paybill: 8, miniprogram: 8, spm: 8, app: 8, search: 8 }
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

  async append(partition: number, appended: readonly ChangelogRecord[]): Promise<number> {
    const records = this.of(partition)
    const first = records.length
    for (const record of appended) records.push({ position: records.length, record: structuredClone(record) })
    return first
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
  const store = new ChangelogStateStore(changelog, new SqliteLocalStates(database), caps)
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

const bytesOf = (user: string, epoch: number) => encodeState(stateOf(user, epoch))

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
      { kind: 'state', user: 'default\0u4' as never, epoch: 4, state: bytesOf('u4', 4) },
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
      { kind: 'state', user, epoch: 1, state: bytesOf('u1', 1) },
      { kind: 'claim', epoch: 2 },
    ])
    let under = openAt(tempDirectory(), changelog)
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), 'of 1')
    under = await under.crash()
    await changelog.append(0, [{ kind: 'state', user, epoch: 1, state: bytesOf('u1', 1) }])
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), undefined)
    under = await under.crash()
    await changelog.append(0, [
      { kind: 'state', user, epoch: 2, state: encodeState({ ...stateOf('u1', 1), epoch: 2 }) },
    ])
    await under.store.restore(0)
    assert.equal(hashOf(under, 'u1'), undefined)
    await under.dispose()
  })
})

describe('a copy that follows what its owner appends', () => {
  const openIn = (path: string, changelog: Changelog) => {
    const file = join(path, 'states.db')
    const database = new SqliteDatabase({ path: file, migrations: LOCAL_STATES_MIGRATIONS, isCache: true })
    const disk = new SqliteLocalStates(database)
    return { database, disk, store: new ChangelogStateStore(changelog, disk, () => CAPS) }
  }
  const claim = (epoch: number) => ({
    epoch,
    positions: new Map([['a', 9]]),
    confirmed: epoch % 2 === 1,
    day: 3,
    partitionCount: 1,
  })
  const user = (name: string) => userKey('default' as never, name as never)
  const hashIn = (store: ChangelogStateStore, name: string) =>
    store.read(0, user(name))?.acknowledged.get('main/m')?.inputHash

  test('the next restore reads nothing of it, and finds states, checkpoints, claims and epochs', async () => {
    const path = tempDirectory()
    const changelog = new MemoryChangelog()
    const first = openIn(path, changelog)
    await first.store.restore(0)
    await first.store.appendCheckpoint(0, claim(6))
    await first.store.appendCheckpoint(0, claim(7))
    for (const epoch of [7, 9])
      await first.store.appendStates(0, [stateOf('ada', epoch), stateOf('ben', epoch)])
    await first.store.appendCheckpoint(0, claim(9))
    await first.store.appendCheckpoint(0, claim(10))
    assert.deepEqual(first.disk.liveUsers(0), [], 'nothing lies there twice')
    first.database.close()
    const second = openIn(path, changelog)
    changelog.reads.length = 0
    assert.deepEqual(await second.store.restore(0), { checkpoint: claim(9), highestEpoch: 10 })
    assert.deepEqual(changelog.reads, [])
    assert.deepEqual(
      ['ada', 'ben'].map((name) => hashIn(second.store, name)),
      ['of 9', 'of 9'],
    )
    assert.deepEqual(second.disk.copied(0, user('ada'))!.epochs, [9], 'older keys were deleted')
    second.database.close()
  })

  test('what others appended in between is read by the next restore, and so is all behind it', async () => {
    const path = tempDirectory()
    const changelog = new MemoryChangelog()
    const first = openIn(path, changelog)
    await first.store.restore(0)
    await first.store.appendStates(0, [stateOf('ada', 7)])
    await changelog.append(0, [{ kind: 'state', user: user('ben'), epoch: 6, state: bytesOf('ben', 6) }])
    await first.store.appendStates(0, [stateOf('ada', 8)])
    assert.equal(hashIn(first.store, 'ada'), 'of 8')
    assert.equal(hashIn(first.store, 'ben'), undefined)
    first.disk.flush()
    first.database.close()
    const second = openIn(path, changelog)
    changelog.reads.length = 0
    await second.store.restore(0)
    assert.deepEqual(changelog.reads, [1, 3])
    assert.deepEqual(
      ['ada', 'ben'].map((name) => hashIn(second.store, name)),
      ['of 8', 'of 6'],
    )
    second.database.close()
  })

  test('an append whose outcome is not known, and one of before the restore, move nothing', async () => {
    const path = tempDirectory()
    const changelog = new MemoryChangelog()
    const gate = Promise.withResolvers<void>()
    const append = changelog.append.bind(changelog)
    const { store, disk, database } = openIn(path, changelog)
    await store.restore(0)
    changelog.append = async (partition, records) => {
      const first = await append(partition, records)
      await gate.promise
      return first
    }
    const early = store.appendStates(0, [stateOf('ada', 7)])
    changelog.append = append
    await store.restore(0)
    gate.resolve()
    await early
    assert.equal(disk.head(0)!.position, 1)
    await store.appendStates(0, [stateOf('ada', 7)])
    assert.equal(disk.head(0)!.position, 2)
    changelog.append = async (partition, records) => {
      await append(partition, records)
      return -1
    }
    await store.appendStates(0, [stateOf('ada', 7)])
    changelog.append = append
    await store.appendStates(0, [stateOf('ada', 7)])
    assert.equal(disk.head(0)!.position, 2, 'what lies between is not known')
    database.close()
  })

  test('what was only spilled stays live, and is joined with what the changelog says after a restart', async () => {
    const path = tempDirectory()
    const changelog = new MemoryChangelog()
    const first = openIn(path, changelog)
    await first.store.restore(0)
    await first.store.appendStates(0, [stateOf('ada', 7), stateOf('ben', 7), stateOf('chloe', 7)])
    first.store.spill(0, stateOf('ben', 8))
    first.disk.flush()
    first.database.close()
    const second = openIn(path, changelog)
    assert.deepEqual(second.disk.liveUsers(0), [user('ben')])
    await second.store.restore(0)
    for (const name of ['ada', 'ben', 'chloe']) assert.equal(hashIn(second.store, name), 'of 7')
    second.database.close()
  })
})

test('a restore of many states leaves others their turns of the event loop', async () => {
  const path = tempDirectory()
  const changelog = new MemoryChangelog(1_000)
  const opened = openAt(path, changelog)
  const users = Array.from({ length: 300 }, (_, n) => stateOf(`user-${n}`, 7))
  await changelog.append(
    0,
    users.map((state) => ({
      kind: 'state',
      user: userKey(state.tenant, state.user),
      epoch: 7,
      state: encodeState(state),
    })),
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
