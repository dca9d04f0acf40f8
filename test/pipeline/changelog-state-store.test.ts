/** State that moves with its partition: joined over epochs, copied to local disk, and never trusted further than it reaches. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChangelogStateStore } from '../../src/pipeline/changelog-state-store.ts'
import { emptyState } from '../../src/window/apply.ts'
import { encodeState } from '../../src/window/state-codec.ts'
import type { UserState } from '../../src/window/user-state.ts'
import { TRANSIENT } from './consistency/mutants.ts'
import { loadPipeline, type PipelineModules } from './consistency/pipeline-modules.ts'
import { changelogOf, localStatesOf, type PendingAppend } from './consistency/worker-stores.ts'
import { keyOfUser, World } from './consistency/world.ts'

const CAPS = { paybill: 2, search: 2, miniprogram: 0, spm: 0, app: 0 }

function open(
  world: World,
  modules: PipelineModules,
  diskId: number,
): { store: ChangelogStateStore; land: () => void } {
  const appends: PendingAppend[] = []
  const store = new modules.ChangelogStateStore(
    changelogOf(world, appends),
    localStatesOf(world, diskId),
    () => CAPS,
  )
  const land = () => {
    for (const { partition, records, positions, done } of appends.splice(0)) {
      for (const record of records) positions.push(world.land(partition, record))
      done()
    }
  }
  return { store, land }
}

function acknowledged(epoch: number, inputHash: string): UserState {
  const state = emptyState('default' as never, 'u0' as never)
  state.epoch = epoch
  state.acknowledged.set('main/ma', { inputHash, epoch })
  return state
}

const hashIn = (store: ChangelogStateStore) =>
  store.read(0, keyOfUser('u0'))?.acknowledged.get('main/ma')?.inputHash

/** What a former run had acknowledged on this disk never reached the changelog; meanwhile another owner wrote. */
async function hashAfterReturn(modules: PipelineModules): Promise<string | undefined> {
  const world = new World(1)
  const first = open(world, modules, 1)
  await first.store.restore(0)
  void first.store.appendStates(0, [acknowledged(5, 'lost')])
  const second = open(world, modules, 2)
  await second.store.restore(0)
  void second.store.appendStates(0, [acknowledged(4, 'landed')])
  second.land()
  const third = open(world, modules, 1)
  await third.store.restore(0)
  return hashIn(third.store)
}

test('what a former run had acknowledged counts only as far as the changelog knows it', async () => {
  assert.equal(await hashAfterReturn(await loadPipeline()), 'landed')
  assert.equal(await hashAfterReturn(await loadPipeline(TRANSIENT.copiedAcknowledgements)), 'lost')
})

async function hashAfterNewTopic(modules: PipelineModules): Promise<string | undefined> {
  const world = new World(1)
  const first = open(world, modules, 1)
  await first.store.restore(0)
  void first.store.appendStates(0, [acknowledged(1, 'old')])
  first.land()
  await open(world, modules, 1).store.restore(0)
  world.changelogId = 'second'
  world.changelog[0] = []
  world.changelogEnd[0] = 0
  const next = open(world, modules, 1)
  await next.store.restore(0)
  return hashIn(next.store)
}

test('a changelog that was created anew makes the local copy worthless', async () => {
  assert.equal(await hashAfterNewTopic(await loadPipeline()), undefined)
  assert.equal(await hashAfterNewTopic(await loadPipeline(TRANSIENT.topicId)), 'old')
})

test('records of several epochs are joined, and the newest says what was acknowledged', async () => {
  const world = new World(1)
  const modules = await loadPipeline()
  for (const state of [acknowledged(3, 'newer'), acknowledged(2, 'older')])
    world.land(0, { kind: 'state', user: keyOfUser('u0'), epoch: state.epoch, state: encodeState(state) })
  const { store } = open(world, modules, 1)
  const { highestEpoch } = await store.restore(0)
  assert.equal(highestEpoch, 3)
  assert.equal(hashIn(store), 'newer')
})

test('a claim whose check never passed lifts the epoch, but nobody starts from its positions', async () => {
  const world = new World(1)
  const { store } = open(world, await loadPipeline(), 1)
  const checkpoint = { day: 1, partitionCount: 2 }
  const positions = (offset: number) => new Map([['a', offset]])
  world.land(0, {
    kind: 'checkpoint',
    epoch: 1,
    checkpoint: { ...checkpoint, epoch: 1, confirmed: true, positions: positions(3) },
  })
  world.land(0, {
    kind: 'checkpoint',
    epoch: 2,
    checkpoint: { ...checkpoint, epoch: 2, confirmed: false, positions: positions(9) },
  })
  const restored = await store.restore(0)
  assert.equal(restored.highestEpoch, 2)
  assert.equal(restored.checkpoint?.positions.get('a'), 3)
})
