/** What the rules of consistency are there for, with them (every vector right) and with one taken out (R17: not). */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MUTANTS } from '../pipeline/consistency/mutants.ts'
import { loadPipeline } from '../pipeline/consistency/pipeline-modules.ts'
import { until } from './driver-fixture.ts'
import {
  compact,
  deathBeforeFlush,
  deathInEmbedding,
  type Hazard,
  lateClaim,
  lateWrites,
  newsInFlight,
  type Without,
} from './hazards.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { differences, reckoned, say, search, settles, stored } from './world.ts'
import { openOwner } from './world-worker.ts'

async function without(rule: string): Promise<Without> {
  return { modules: await loadPipeline(MUTANTS.find((mutant) => mutant.rule === rule)!) }
}

/** At rest, and stays so. */
async function endsWrong({ world, owner }: Hazard): Promise<void> {
  await until('it comes to rest', () => owner.updater.idle)
  const { users, vectors } = await reckoned(world)
  for (let look = 0; look < 3; look++) {
    assert.notDeepEqual(
      differences(vectors, await stored(world, users)),
      [],
      'expected wrong vectors, got none',
    )
    await sleep(150)
  }
  assert.ok(owner.updater.idle)
}

async function endsRight({ world, owner }: Hazard): Promise<void> {
  await settles(world)
  await until('it comes to rest', () => owner.updater.idle)
  await settles(world)
  assert.deepEqual(owner.failures, [])
}

const HAZARDS: readonly (readonly [
  promise: string,
  hazard: (t: TestContext, without?: Without) => Promise<Hazard>,
  mutations: readonly (readonly [what: string, rule: string])[],
])[] = [
  [
    'R4: a claim that comes when another has taken over is refused by the group, and nothing is written',
    lateClaim,
    [['the ownership check', 'O1-check']],
  ],
  [
    'R1: an owner that dies between the write and the flush of the state leaves records that are read again',
    deathBeforeFlush,
    [['the flush before the acknowledgement', 'O3-order']],
  ],
  [
    'R1: an owner that dies while it embeds leaves records that are read again',
    deathInEmbedding,
    [['the order of commits', 'O3-committable']],
  ],
  [
    'what happens while a vector is on its way is in the next one',
    newsInFlight,
    [['the look at the hash when a write is acknowledged', 'E3']],
  ],
]

kafkaSuite('hazards over Kafka', () => {
  test('R4: what a stalled owner had on its way lands late, and the vectors and the state of the new one survive', async (t) => {
    const hazard = await lateWrites(t)
    const { world, owner, refused } = hazard
    await endsRight(hazard)
    assert.ok(refused() > 0, 'the late write was refused by the fence')
    await compact(world, owner)
    await settles(world)
    await owner.stop()
    const next = await openOwner(t, world)
    // In the windows of both is what the new owner had read.
    await say(world, [search('u0'), search('u1')])
    await endsRight({ world, owner: next })
  })

  test('R17: without the fence the late write of a stalled owner stays', async (t) => {
    await endsWrong(await lateWrites(t, { fence: true }))
  })

  for (const [promise, hazard, mutations] of HAZARDS) {
    test(promise, async (t) => endsRight(await hazard(t)))
    for (const [what, rule] of mutations)
      test(`R17: without ${what} (${rule}) that ends with wrong vectors`, async (t) => {
        await endsWrong(await hazard(t, await without(rule)))
      })
  }
})
