/** Timers whose owner dies: they go off at the next one, at their time, and no event is needed (R12). */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { refreshed } from '../../src/pipeline/channels.ts'
import { loadPipeline, type Mutant, type PipelineModules } from '../pipeline/consistency/pipeline-modules.ts'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { newWorld, say, search, searches, settles, wrongInMain } from './world.ts'
import { committedAll, openOwner, type WorkerOptions } from './world-worker.ts'

const NEVER_MS = 600_000
/** The slow group's cadence: longer than it takes to miss a dead owner and to take over; on a busy machine that is longer. */
const SLOW_MS = [7_000, 25_000, 90_000]

const OPEN_WINDOWS: Mutant = {
  rule: 'open windows hold offsets',
  file: 'pipeline/partition.ts',
  find: '    for (const entry of this.held) earliest(offsets, entry.first!)\n',
  replace: '',
}

/** An owner has read an event, waits for more of that user, commits what it may, and dies. @returns the next owner */
async function deathBeforeDue(t: TestContext, next: WorkerOptions['settings'], modules?: PipelineModules) {
  const world = await newWorld(t)
  const a = await openOwner(t, world, {
    ...(modules === undefined ? {} : { modules }),
    settings: { minEvents: 3, quietMs: NEVER_MS, maxDelayMs: NEVER_MS },
  })
  await say(world, searches(120))
  await committedAll(world, a)
  await say(world, [search('u5')])
  const held = () =>
    [...a.updater.ownership.partitions.values()].reduce((sum, { held }) => sum + held.size, 0)
  await until('it is read, and not due', () => held() === 1)
  for (let round = 0; round < 3; round++) await a.updater.commitOnce()
  a.kill()
  const b = await openOwner(t, world, next === undefined ? {} : { settings: next })
  return { world, owner: b }
}

/** @returns false: the next owner came too late to show anything, for a cadence as short as that */
async function plansOutliveTheirOwner(t: TestContext, slowMs: number): Promise<boolean> {
  const world = await newWorld(t, { slowMs })
  const patienceMs = 60_000 + slowMs
  const a = await openOwner(t, world)
  await say(world, searches(80))
  await settles(world, patienceMs)
  await committedAll(world, a)
  const saidMs = Date.now()
  await say(
    world,
    ['u1', 'u2', 'u3', 'u4', 'u5'].map((user) => search(user)),
  )
  await committedAll(world, a)
  a.kill()
  const writtenMs: number[] = []
  t.after(
    refreshed.subscribe(({ target, outcome }) => {
      if (target === 'slow/text' && outcome === 'acknowledged') writtenMs.push(Date.now())
    }),
  )
  const b = await openOwner(t, world)
  await until(
    'everybody was looked at',
    () => b.updater.sweep.progress.usersSeen >= 40 && b.updater.sweep.idle,
  )
  if (Date.now() >= saidMs + slowMs) {
    await b.stop()
    return false
  }
  await settles(world, patienceMs)
  assert.ok(
    writtenMs.length > 0 && writtenMs.every((ms) => ms >= saidMs + slowMs),
    String(writtenMs.map((ms) => ms - saidMs)),
  )
  assert.deepEqual(b.failures, [])
  return true
}

kafkaSuite('timers over Kafka', () => {
  for (const [what, settings] of [
    ['quiet', { quietMs: 50, maxDelayMs: NEVER_MS }],
    ['maxDelay', { quietMs: NEVER_MS, maxDelayMs: 50 }],
  ] as const)
    test(`R12: who was waited for when an owner died is due at the next one after ${what}, and no event is needed`, async (t) => {
      const { world, owner } = await deathBeforeDue(t, settings)
      await until('it is written', async () => (await wrongInMain(world)).length === 0)
      assert.deepEqual(owner.failures, [])
    })

  test('R17: without offsets that wait for who is waited for, the user is never written', async (t) => {
    const { world, owner } = await deathBeforeDue(t, undefined, await loadPipeline(OPEN_WINDOWS))
    await until('it comes to rest', () => owner.updater.idle)
    for (let look = 0; look < 3; look++) {
      assert.notDeepEqual(await wrongInMain(world), [])
      await sleep(150)
    }
    assert.ok(owner.updater.idle)
  })

  test('R12: what a slow group had planned when its owner died is written at its time by the next one, and not before', async (t) => {
    for (const slowMs of SLOW_MS) if (await plansOutliveTheirOwner(t, slowMs)) return
    assert.fail('no owner took over before anybody was due')
  })
})
