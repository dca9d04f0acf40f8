/** What is due at its time and not before, whoever owns the user by then: over fake drivers, with a clock of the test's own. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pointId } from '../../src/vectors/names.ts'
import { loadPipeline, type Mutant, type PipelineModules } from './consistency/pipeline-modules.ts'
import { drain, land, takeOver } from './consistency/sole-owner.ts'
import type { Worker } from './consistency/worker.ts'
import { DAY_UNITS, keyOfUser, World } from './consistency/world.ts'

const USER = 'u0'
/** Of the group `slow` in that world. */
const REFRESH_UNITS = 5
/** Of the model in that world. */
const HORIZON_DAYS = 3
/** To the end of the day: the sweep of the next one would find everybody. */
const WATCHED_UNITS = 8

/** Reads and writes what is due now, sweeps and commits. */
async function work(world: World, worker: Worker): Promise<void> {
  while (worker.poll(0, 0)) await drain()
  for (let round = 0; round < 6; round++) {
    const going = [worker.updater.commitOnce(), worker.updater.refreshOnce()]
    worker.updater.sweep.step()
    await land(worker)
    for (const request of world.requests.splice(0)) {
      await request.land()
      request.reply()
    }
    await land(worker)
    await Promise.all(going)
  }
  assert.equal(worker.failure, undefined)
}

async function stored(world: World, group: string) {
  const content = await world.sink.content()
  return content.get(`freshet_${group}_ma`)?.get(pointId(keyOfUser(USER)))
}

/** @returns units that pass until the group's point is another, the time of now included; null: within `units` it isn't */
async function unitsUntilWritten(world: World, worker: Worker, group: string, units: number) {
  const before = (await stored(world, group))?.version
  for (let passed = 0; passed <= units; passed++, world.nowUnits++) {
    await work(world, worker)
    const now = (await stored(world, group))?.version
    if (now?.epoch !== before?.epoch || now?.write !== before?.write) return passed
  }
  return null
}

const isWritten = async (world: World, group: string) =>
  (await stored(world, group))?.point.kind === 'vectors'

/** An owner has written all groups, read one more event, and written it to `main` alone; it dies a unit later. */
async function planned(modules: PipelineModules, skewUnits = 0): Promise<World> {
  const world = new World(1)
  const worker = await takeOver(world, modules, 1, skewUnits)
  world.addEvent(USER, 0, 0, false)
  await unitsUntilWritten(world, worker, 'slow', REFRESH_UNITS)
  assert.ok((await isWritten(world, 'main')) && (await isWritten(world, 'slow')))
  world.addEvent(USER, 0, 0, false)
  assert.equal(await unitsUntilWritten(world, worker, 'main', 0), 0)
  worker.die()
  world.nowUnits++
  return world
}

interface Scene {
  promise: string
  /** @returns what is to be `right` with all rules, and is not without one */
  run(modules: PipelineModules): Promise<unknown>
  right: unknown
  without: readonly (Mutant & { wrong: unknown })[]
}

const SWEEP = 'pipeline/sweep.ts'
const atTakeOver = async (modules: PipelineModules, skewUnits?: number) => {
  const world = await planned(modules, skewUnits)
  const next = await takeOver(world, modules, 2)
  return unitsUntilWritten(world, next, 'slow', WATCHED_UNITS)
}

const SCENES: readonly Scene[] = [
  {
    promise:
      'R12: what a slow group had planned is written at its time by the next owner, and no event is needed',
    run: (modules) => atTakeOver(modules),
    right: REFRESH_UNITS - 1,
    without: [
      {
        rule: 'durable due times',
        file: 'window/avro-state.ts',
        find: '    due: Object.fromEntries(state.dueMs),\n',
        replace: '    due: {},\n',
        wrong: 0,
      },
      {
        rule: 'planning what was restored',
        file: SWEEP,
        find: '    scheduler.schedule(entry, control.view, ownership.nowMs())\n',
        replace: '',
        wrong: null,
      },
      {
        rule: 'the cadence of a sweep',
        file: SWEEP,
        find: '      if (this.isPlanned(state, target, inputHash)) continue\n',
        replace: '',
        wrong: 0,
      },
    ],
  },
  {
    promise: 'a due time that an owner with a clock far ahead has set is not waited for',
    run: (modules) => atTakeOver(modules, REFRESH_UNITS + 2),
    right: 0,
    without: [
      {
        rule: 'a bound on due times',
        file: SWEEP,
        find: ' && leftMs <= refreshMs(target, this.settings.quietMs)',
        replace: ' && refreshMs !== undefined',
        wrong: null,
      },
    ],
  },
  {
    promise: 'a new text is back-filled at once, whatever was planned for the user',
    run: async (modules) => {
      const world = await planned(modules)
      world.addInstruction('s2', 'slow', 't')
      const next = await takeOver(world, modules, 2)
      return unitsUntilWritten(world, next, 'slow', WATCHED_UNITS)
    },
    right: 0,
    without: [
      {
        rule: 'what is asked in the hash',
        file: 'pipeline/snapshot.ts',
        find: "  return !hash.startsWith('stub') && hash.slice(",
        replace: '  return true || hash.slice(',
        wrong: REFRESH_UNITS - 1,
      },
    ],
  },
  {
    promise:
      'R12: a window that empties by time alone leaves a stub on its day, after a restart and without any event',
    run: async (modules) => {
      const world = await planned(modules)
      const next = await takeOver(world, modules, 2)
      const kinds: string[] = []
      for (let day = 0; day <= HORIZON_DAYS + 2; day++, world.nowUnits += DAY_UNITS) {
        // What a slow group has planned is due in the middle of the day.
        world.nowUnits += REFRESH_UNITS
        await work(world, next)
        world.nowUnits -= REFRESH_UNITS
        kinds.push((await stored(world, 'main'))!.point.kind)
      }
      return kinds
    },
    right: ['vectors', 'vectors', 'vectors', 'vectors', 'stub', 'stub'],
    without: [
      {
        rule: 'the sweep of a new day',
        file: SWEEP,
        find: '    if (this.ownership.day !== this.day) this.restart()\n',
        replace: '',
        wrong: ['vectors', 'vectors', 'vectors', 'vectors', 'vectors', 'vectors'],
      },
    ],
  },
]

for (const { promise, run, right, without } of SCENES) {
  test(promise, async () => {
    assert.deepEqual(await run(await loadPipeline()), right)
  })
  for (const { wrong, ...mutant } of without)
    test(`R17: without ${mutant.rule} it is not so: ${promise}`, async () => {
      assert.deepEqual(await run(await loadPipeline(mutant)), wrong)
    })
}
