/** kill -9 of whole worker processes over a real broker, at every named moment: nothing is lost, and nothing stays stale. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { sharedBroker } from '../kafka/shared-broker.ts'
import type { Moment } from './moments.ts'
import { Killer, shuffled } from './worker-kills.ts'
import { assertAllRight, WorkerWorld, type WorldOptions } from './worker-world.ts'

const SEED = 20261124

async function newWorld(t: TestContext, options: Partial<WorldOptions> & { workers: number; seed: number }) {
  const world = await WorkerWorld.create({ bootstrap: (await sharedBroker()).bootstrap, ...options })
  t.after(() => world.close())
  return world
}

async function killsLeaveAllRight(t: TestContext, workers: number, seed: number, moments: readonly Moment[]) {
  const world = await newWorld(t, { workers, seed })
  await world.begin()
  const random = new SeededRandom(seed, 'kills')
  const killer = new Killer(world, random)
  for (const moment of shuffled(moments, random)) await killer.kill(moment)
  const verdict = await world.settle()
  const told = killer.kills.map(({ moment, found }) => `${moment} (${found})`).join(', ')
  t.diagnostic(
    `${killer.kills.length} kills: ${told}; ${world.stream.sent} records, ${verdict.users} users, ${verdict.compared} vectors`,
  )
  assertAllRight(verdict, `(seed ${seed}: ${told})`)
  for (const moment of moments) assert.ok(killer.kills.some((kill) => kill.moment === moment))
}

kafkaSuite('worker processes that are killed', () => {
  test('two workers, killed wherever work is under way, leave every vector as the log says', async (t) => {
    await killsLeaveAllRight(t, 2, SEED, [
      'encode',
      'upsert',
      'upserted',
      'changelog',
      'flushed',
      'rebalance',
    ])
  })

  test('three workers, killed while they acknowledge, restore and do nothing, leave every vector as the log says', async (t) => {
    await killsLeaveAllRight(t, 3, SEED + 1, [
      'checkpointed',
      'commit',
      'letter',
      'restore',
      'claim',
      'idle',
      'two-at-once',
    ])
  })
})
