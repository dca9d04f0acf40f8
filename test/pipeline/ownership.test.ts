/** What an owner does at a take-over, and what makes it stop; each promise is broken by the code without its rule. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OwnerMessage, owner as ownerChannel } from '../../src/pipeline/channels.ts'
import { pointId } from '../../src/vectors/names.ts'
import { TRANSIENT } from './consistency/mutants.ts'
import { loadPipeline, type PipelineModules } from './consistency/pipeline-modules.ts'
import { drain, land, takeOver } from './consistency/sole-owner.ts'
import { Ink, Worker } from './consistency/worker.ts'
import { keyOfUser, World } from './consistency/world.ts'

/** Embeds and writes everything that is due; requests land at once. */
async function refresh(world: World, worker: Worker): Promise<void> {
  for (let round = 0; round < 8; round++) {
    worker.updater.sweep.step()
    worker.updater.refreshOnce(true).catch((error) => {
      worker.failure ??= error
    })
    await drain()
    for (const request of world.requests.splice(0)) {
      await request.land()
      request.reply()
    }
    await land(worker)
  }
}

const stored = async (world: World, user: string) =>
  (await world.sink.content()).get('freshet_main_ma')!.get(pointId(keyOfUser(user)))

async function forgottenBeforeRead(modules: PipelineModules): Promise<string | undefined> {
  const world = new World(1)
  world.addEvent('u0', 0, 1, false)
  world.forget('u0')
  const worker = await takeOver(world, modules)
  worker.poll(0, 0)
  await refresh(world, worker)
  return (await stored(world, 'u0'))?.point.kind
}

test('a take-over embeds nobody who was forgotten, before it has read the tombstone topic', async () => {
  assert.notEqual(await forgottenBeforeRead(await loadPipeline()), 'vectors')
  assert.equal(await forgottenBeforeRead(await loadPipeline(TRANSIENT.tombstones)), 'vectors')
})

async function refusedFirstWrite(modules: PipelineModules): Promise<Worker> {
  const world = new World(1)
  const worker = await takeOver(world, modules)
  world.addEvent('u0', 0, 0, false)
  worker.poll(0, 0)
  const point = {
    kind: 'stub' as const,
    id: pointId(keyOfUser('u0')),
    userId: 'u0' as never,
    tenantId: 'default' as never,
  }
  const version = { epoch: worker.updater.ownership.epoch + 1, write: 1 }
  const another = await world.sink.store(() => 0)
  await another.upsert('freshet_main_ma' as never, version, [point])
  await refresh(world, worker)
  return worker
}

test('an owner whose first write was refused by a newer epoch stops', async () => {
  const worker = await refusedFirstWrite(await loadPipeline())
  assert.equal(worker.updater.ownership.stage, 'fenced')
  assert.equal((worker.failure as { code: string }).code, 'fenced')
  assert.equal(
    (await refusedFirstWrite(await loadPipeline(TRANSIENT.readBack))).updater.ownership.stage,
    'owner',
  )
})

test('a changed number of partitions is refused, with the remedy', async () => {
  const world = new World(1)
  const modules = await loadPipeline()
  await takeOver(world, modules)
  for (const { record } of world.changelog[0]!)
    if (record.kind === 'checkpoint' && record.checkpoint !== null) record.checkpoint.partitionCount = 3
  const next = await takeOver(world, modules, 2)
  assert.equal((next.failure as { code: string }).code, 'partition-count-changed')
  assert.match((next.failure as Error).message, /expected 3 partitions.*got 2/)
})

async function dayAfterTheClockWentBack(modules: PipelineModules): Promise<number> {
  const world = new World(1)
  const { day } = (await takeOver(world, modules)).updater.ownership
  world.nowUnits -= 30
  return (await takeOver(world, modules, 2)).updater.ownership.day - day
}

test('the day never goes back, whatever the clock of the next owner says', async () => {
  assert.equal(await dayAfterTheClockWentBack(await loadPipeline()), 0)
  assert.equal(await dayAfterTheClockWentBack(await loadPipeline(TRANSIENT.day)), -3)
})

test('a partition that is kept across the next generation is not restored, and its users stay in memory', async () => {
  const world = new World(1)
  const worker = await takeOver(world, await loadPipeline())
  world.addEvent('u0', 0, 0, false)
  worker.poll(0, 0)
  const kept = worker.updater.ownership.partitions.get(0)
  world.generation++
  worker.join()
  await land(worker)
  assert.equal(worker.updater.ownership.partitions.get(0), kept)
  world.generation += 2
  worker.join()
  await land(worker)
  assert.notEqual(worker.updater.ownership.partitions.get(0), kept, 'somebody may have owned it in between')
})

/** A worker that held partition 0 and is given partition 1, too: its changelog is being read. */
async function restoringOne(world: World): Promise<Worker> {
  const store = await world.sink.store(() => 0)
  const worker = new Worker(world, await loadPipeline(), store, new Ink(), 1, 1, 0, 2)
  world.generation++
  world.assignment = [1, 2]
  worker.join()
  await land(worker)
  worker.holdRestores = true
  worker.updater.revoked()
  world.generation++
  world.assignment = [1, 1]
  worker.join()
  await land(worker)
  return worker
}

test('what is kept is written and committed while another partition is restored, which is not', async () => {
  const world = new World(1)
  const worker = await restoringOne(world)
  const { ownership } = worker.updater
  const { epoch } = ownership
  assert.deepEqual(
    [ownership.stage, [...ownership.partitions.keys()], ownership.restoring],
    ['owner', [0], [1]],
  )
  world.addEvent('u0', 0, 0, false)
  assert.ok(worker.poll(0, 0))
  assert.equal(worker.poll(1, 0), false)
  await refresh(world, worker)
  assert.equal(await stored(world, 'u0'), undefined, 'before a commit in this generation nothing is sent')
  const commits = [worker.updater.commitOnce()]
  await land(worker)
  await refresh(world, worker)
  assert.equal((await stored(world, 'u0'))?.version.epoch, epoch)
  commits.push(worker.updater.commitOnce())
  await land(worker)
  await Promise.all(commits)
  assert.equal(world.groupOffsets[0]!.get('a'), 1)
  assert.equal(worker.updater.idle, false, 'who restores is not at rest')

  for (const release of worker.sleeps.splice(0)) release()
  await land(worker)
  assert.deepEqual(
    [ownership.stage, [...ownership.partitions.keys()], ownership.restoring],
    ['owner', [0, 1], []],
  )
  assert.ok(ownership.epoch > epoch)
  world.addEvent('u0', 0, 0, false)
  assert.ok(worker.poll(0, 0))
  await refresh(world, worker)
  assert.equal((await stored(world, 'u0'))?.version.epoch, ownership.epoch, 'one epoch for all')
})

test('a generation that comes while another partition is restored finds what was kept where it was', async () => {
  const world = new World(1)
  const worker = await restoringOne(world)
  const { ownership } = worker.updater
  const kept = ownership.partitions.get(0)
  world.generation++
  worker.join()
  await land(worker)
  assert.deepEqual([ownership.partitions.get(0), ownership.restoring], [kept, [1]])
  worker.holdRestores = false
  for (const release of worker.sleeps.splice(0)) release()
  await land(worker)
  assert.deepEqual(
    [ownership.partitions.get(0), ownership.stage, ownership.partitions.size],
    [kept, 'owner', 2],
  )
})

test('a take-over says once how long it took, from the assignment on', async () => {
  const world = new World(1)
  const told: OwnerMessage[] = []
  const end = ownerChannel.subscribe((message) => told.push(message))
  await takeOver(world, await loadPipeline())
  end()
  const took = told.filter(({ takeOverMs }) => takeOverMs !== undefined)
  assert.deepEqual(
    took.map(({ stage, takeOverMs }) => [stage, takeOverMs]),
    [['owner', 0]],
  )
  assert.equal(told[0]?.stage, 'taking')
})
