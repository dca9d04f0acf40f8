/** SIGTERM of worker processes under load, and the death of the broker under them: nothing is lost, and nobody waits for long. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBroker } from '../kafka/broker.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { sharedBroker } from '../kafka/shared-broker.ts'
import { assertAllRight, WorkerWorld, type WorldOptions } from './worker-world.ts'

const SEED = 20261125
const DRAIN_MS = 5_000
/** Closing connections, files and the model: a second, or many on a busy machine. */
const CLOSING_MS_MAX = 20_000
/** Far beyond what a take-over takes on any machine: who takes over in less was told, and has not waited for its end. */
const SESSION_MS = 90_000
const TAKE_OVER_MS_MAX = 60_000
/** Seconds of a drain that never ends by itself while a test waits. */
const ENDLESS_DRAIN = '3600'
const BURST_RECORDS = 1_200

async function newWorld(t: TestContext, options: Partial<WorldOptions>): Promise<WorkerWorld> {
  const { bootstrap = (await sharedBroker()).bootstrap } = options
  const world = await WorkerWorld.create({ seed: SEED, workers: 2, ...options, bootstrap })
  t.after(() => world.close())
  return world
}

async function holdsAll(world: WorkerWorld, which: number): Promise<boolean> {
  const status = await world.workers[which]!.status()
  return status?.stage === 'owner' && status.partitions.length === world.partitionCount
}

kafkaSuite('worker processes that are stopped', () => {
  test('SIGTERM under load drains, commits and leaves: exit 0 in time, and another takes over at once', async (t) => {
    const world = await newWorld(t, { sessionTimeoutMs: SESSION_MS })
    await world.begin(['--drain', String(DRAIN_MS / 1_000)])
    await world.until('both to own', () => world.isShared())
    await world.stream.burst(BURST_RECORDS)
    const [first] = world.workers
    const startMs = performance.now()
    first!.signal('SIGTERM')
    const { code } = await first!.diesWithin(DRAIN_MS + CLOSING_MS_MAX, 'SIGTERM')
    const endedMs = performance.now()
    assert.equal(code, 0, first!.tail)
    await world.until('the other to take over', () => holdsAll(world, 1))
    const takenOverMs = performance.now() - endedMs
    assert.ok(takenOverMs < TAKE_OVER_MS_MAX, `taken over after ${takenOverMs} ms`)
    t.diagnostic(
      `ended after ${Math.round(endedMs - startMs)} ms, taken over ${Math.round(takenOverMs)} ms later`,
    )
    assertAllRight(await world.settle())
  })

  test('a second SIGTERM ends a worker at once with 143, whatever hangs', async (t) => {
    const world = await newWorld(t, { workers: 1 })
    await world.begin(['--drain', ENDLESS_DRAIN])
    await world.until('it to own', () => holdsAll(world, 0))
    const [worker] = world.workers
    worker!.arm({ moment: 'hang', nth: 1, afterMs: 0 })
    await world.until('it to hang', async () => ((await worker!.status())?.users.waiting ?? 0) > 20)
    worker!.signal('SIGTERM')
    await world.until('it to take no more requests', async () => (await worker!.status()) === null)
    assert.ok(worker!.isRunning, worker!.tail)
    const startMs = performance.now()
    worker!.signal('SIGTERM')
    const { code } = await worker!.diesWithin(CLOSING_MS_MAX, 'a second SIGTERM')
    assert.equal(code, 143)
    t.diagnostic(`ended after ${Math.round(performance.now() - startMs)} ms`)
    // What it read and did not embed is there for the next one.
    worker!.start()
    assertAllRight(await world.settle())
  })

  test('a broker that is killed and comes back under two workers loses nothing', async (t) => {
    const broker = await startBroker()
    t.after(() => broker.close())
    const world = await newWorld(t, { bootstrap: broker.bootstrap })
    await world.begin()
    await world.stream.burst(BURST_RECORDS)
    await broker.kill()
    await sleep(500)
    await broker.start()
    await world.stream.burst(BURST_RECORDS / 4)
    assertAllRight(await world.settle())
  })
})
