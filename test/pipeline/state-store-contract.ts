/** What every store of users' states promises; each implementation runs it over itself. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TenantId, UserId, UserKey } from '../../src/events/ids.ts'
import { userKey } from '../../src/events/ids.ts'
import type { Checkpoint, StateStore } from '../../src/pipeline/state-store.ts'
import { emptyState } from '../../src/window/apply.ts'
import { joinStates } from '../../src/window/join.ts'
import type { UserState, WindowCaps } from '../../src/window/user-state.ts'
import { search } from '../window/arbitraries.ts'

export interface StateStoreUnderTest {
  store: StateStore
  /** Another process takes over what is durable; the old one is gone without a farewell. */
  crash(): Promise<StateStoreUnderTest>
  dispose(): Promise<void>
}

const CAPS: WindowCaps = { paybill: 8, miniprogram: 8, spm: 8, app: 8, search: 8 }

export function stateStoreContract(
  what: string,
  open: (caps: () => WindowCaps) => Promise<StateStoreUnderTest>,
): void {
  const promise = (sentence: string, work: (under: StateStoreUnderTest) => Promise<StateStoreUnderTest>) =>
    test(`${what}: ${sentence}`, async () => {
      const under = await open(() => CAPS)
      await under.store.restore(0)
      await (await work(under)).dispose()
    })

  promise('where nobody ever was, there is no checkpoint, no epoch and no user', async (under) => {
    assert.deepEqual(await under.store.restore(0), { checkpoint: null, highestEpoch: 0 })
    assert.equal(under.store.read(0, keyOf('u1')), undefined)
    assert.deepEqual(under.store.users(0, null, 10), [])
    return under
  })

  promise('a state that was appended is read back, and so after a crash', async (under) => {
    const state = stateOf('u1', 3, ['a', 'b'])
    await under.store.appendStates(0, [state, stateOf('u2', 3, ['c'])])
    assert.deepEqual(under.store.read(0, keyOf('u1')), state)
    const next = await under.crash()
    assert.equal((await next.store.restore(0)).highestEpoch, 3)
    assert.deepEqual(next.store.read(0, keyOf('u1')), state)
    return next
  })

  promise("a state that is read is the reader's own", async (under) => {
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'])])
    under.store.read(0, keyOf('u1'))!.windows.search.length = 0
    assert.deepEqual(under.store.read(0, keyOf('u1')), stateOf('u1', 1, ['a']))
    return under
  })

  promise('a later state of the same epoch replaces the earlier one', async (under) => {
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'], 'h1')])
    await under.store.appendStates(0, [stateOf('u1', 1, ['a', 'b'], 'h2')])
    const next = await under.crash()
    await next.store.restore(0)
    assert.deepEqual(next.store.read(0, keyOf('u1')), stateOf('u1', 1, ['a', 'b'], 'h2'))
    return next
  })

  promise(
    'a late record of an older epoch adds its events, and takes back no acknowledgement (O5)',
    async (under) => {
      await under.store.appendStates(0, [stateOf('u1', 2, ['b'], 'h2')])
      await under.store.appendStates(0, [stateOf('u1', 1, ['a'], 'h1')])
      const next = await under.crash()
      assert.equal((await next.store.restore(0)).highestEpoch, 2)
      assert.deepEqual(next.store.read(0, keyOf('u1')), stateOf('u1', 2, ['a', 'b'], 'h2'))
      // The next owner's record holds all of it, and is alone from then on.
      const owned = { ...stateOf('u1', 3, ['a', 'b'], 'h3') }
      await next.store.appendStates(0, [owned])
      assert.deepEqual(next.store.read(0, keyOf('u1')), owned)
      return next
    },
  )

  promise('whatever is appended, reading is the join over the epochs', async (under) => {
    const append = fc.record({
      user: fc.constantFrom('u1', 'u2'),
      epoch: fc.integer({ min: 1, max: 3 }),
      events: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 3 }),
    })
    let partition = 1
    await fc.assert(
      fc.asyncProperty(fc.array(append, { maxLength: 10 }), async (appends) => {
        partition++
        const kept = new Map<string, Map<number, UserState>>()
        for (const [i, { user, epoch, events }] of appends.entries()) {
          const state = stateOf(user, epoch, events, `h${i}`)
          await under.store.appendStates(partition, [state])
          const epochs = kept.get(user) ?? new Map<number, UserState>()
          kept.set(user, epochs)
          for (const older of [...epochs.keys()]) if (older < epoch) epochs.delete(older)
          epochs.set(epoch, state)
        }
        for (const [user, epochs] of kept) {
          const joined = [...epochs.values()].reduce((a, b) => joinStates(a, b, CAPS))
          const read = under.store.read(partition, keyOf(user))
          assert.deepEqual(read?.acknowledged, joined.acknowledged)
          // What an older record's deletion took with it, the newer one's writer had already joined; here it had not.
          for (const event of joined.windows.search)
            assert.ok(read?.windows.search.some((one) => one.eventId === event.eventId))
        }
        const expected = [...kept.keys()].map(keyOf).sort()
        assert.deepEqual(under.store.users(partition, null, 10), expected)
      }),
      { seed: 20261220, numRuns: 40 },
    )
    return under
  })

  promise('users are paged in one order, each once, whatever their names', async (under) => {
    const names = ['b', 'a', 'é', '\u{1f600}', '\uff5e', 'ab', ' ', 'Z']
    await under.store.appendStates(
      0,
      names.map((name) => stateOf(name, 1, [])),
    )
    await under.store.appendStates(0, [{ ...stateOf('a', 1, []), tenant: 'other' as TenantId }])
    under.store.spill(0, stateOf('spilled', 1, ['x']))
    const seen: UserKey[] = []
    for (let after: UserKey | null = null; ; ) {
      const page: UserKey[] = under.store.users(0, after, 3)
      seen.push(...page)
      if (page.length === 0) break
      after = page.at(-1)!
    }
    const expected = [...names.map(keyOf), keyOf('spilled'), userKey('other' as TenantId, 'a' as UserId)]
    assert.deepEqual([...seen].sort(), expected.sort())
    return under
  })

  promise('partitions know nothing of each other', async (under) => {
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'])])
    await under.store.appendStates(1, [stateOf('u1', 5, ['b'])])
    assert.deepEqual(under.store.read(0, keyOf('u1')), stateOf('u1', 1, ['a']))
    assert.equal((await under.store.restore(0)).highestEpoch, 1)
    assert.equal((await under.store.restore(1)).highestEpoch, 5)
    assert.deepEqual(under.store.users(2, null, 10), [])
    return under
  })

  promise(
    'the confirmed checkpoint of the highest epoch is the truth, a mere claim only lifts the epoch (O4)',
    async (under) => {
      await under.store.appendCheckpoint(0, checkpointOf(4, 10, true))
      await under.store.appendCheckpoint(0, checkpointOf(4, 20, true))
      await under.store.appendCheckpoint(0, checkpointOf(6, 99, false))
      let next = await under.crash()
      assert.deepEqual(await next.store.restore(0), {
        checkpoint: checkpointOf(4, 20, true),
        highestEpoch: 6,
      })
      await next.store.appendCheckpoint(0, checkpointOf(6, 15, true))
      await next.store.appendCheckpoint(0, checkpointOf(5, 77, true))
      next = await next.crash()
      assert.deepEqual(await next.store.restore(0), {
        checkpoint: checkpointOf(6, 15, true),
        highestEpoch: 6,
      })
      return next
    },
  )

  promise('a state that was spilled is read as it was, until something newer is appended', async (under) => {
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'], 'h1')])
    const spilled = stateOf('u1', 1, ['a', 'b', 'c'], 'h1')
    under.store.spill(0, spilled)
    assert.deepEqual(under.store.read(0, keyOf('u1')), spilled)
    const appended = stateOf('u1', 1, ['a', 'b', 'c', 'd'], 'h2')
    await under.store.appendStates(0, [appended])
    assert.deepEqual(under.store.read(0, keyOf('u1')), appended)
    return under
  })

  promise('an append that is older than what was spilled loses none of its events', async (under) => {
    under.store.spill(0, stateOf('u1', 1, ['a', 'b'], 'h1'))
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'], 'h2')])
    assert.deepEqual(under.store.read(0, keyOf('u1')), stateOf('u1', 1, ['a', 'b'], 'h2'))
    return under
  })

  promise('many users can be spilled, one after the other', async (under) => {
    for (let i = 0; i < 700; i++) under.store.spill(0, stateOf(`u${i}`, 1, [`e${i}`]))
    for (const i of [0, 255, 256, 699])
      assert.deepEqual(under.store.read(0, keyOf(`u${i}`)), stateOf(`u${i}`, 1, [`e${i}`]))
    return under
  })

  promise('after a crash nothing that was only spilled counts as acknowledged (O6)', async (under) => {
    await under.store.appendStates(0, [stateOf('u1', 1, ['a'], 'flushed')])
    under.store.spill(0, stateOf('u1', 1, ['a', 'b'], 'never flushed'))
    under.store.spill(0, stateOf('u2', 1, ['c'], 'never flushed'))
    under.store.users(0, null, 10)
    const next = await under.crash()
    await next.store.restore(0)
    const { acknowledged } = next.store.read(0, keyOf('u1'))!
    assert.equal(acknowledged.get('main/tiny')?.inputHash, 'flushed')
    assert.equal(next.store.read(0, keyOf('u2'))?.acknowledged.size ?? 0, 0)
    return next
  })
}

function keyOf(user: string): UserKey {
  return userKey('default' as TenantId, user as UserId)
}

function stateOf(user: string, epoch: number, events: readonly string[], hash = 'h'): UserState {
  const state = emptyState('default' as TenantId, user as UserId)
  state.windows.search = events.toSorted().map((id) => search(id, id.charCodeAt(0), `query ${id}`))
  state.acknowledged.set('main/tiny', { inputHash: hash, epoch })
  state.epoch = epoch
  return state
}

function checkpointOf(epoch: number, offset: number, confirmed: boolean): Checkpoint {
  const positions = new Map([
    ['behavior.search', offset],
    ['user.tabular', offset + 1],
  ])
  return { epoch, positions, confirmed, day: 20_000 + offset, partitionCount: 1 }
}
