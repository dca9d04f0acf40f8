/** More than fifty kills of worker processes over a real broker, itself killed among them; and workers with a rule taken out. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { SeededRandom } from '../../src/model/seeded-random.ts'
import { startQdrantDouble } from '../drivers/qdrant/double/qdrant-double.ts'
import { type Broker, startBroker } from '../kafka/broker.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { killLog, type WorldOfKills } from '../kill/kill-log.ts'
import { MOMENTS, type Moment, MUTANTS } from '../kill/moments.ts'
import { Killer, shuffled } from '../kill/worker-kills.ts'
import { assertAllRight, WorkerWorld, type WorldOptions } from '../kill/worker-world.ts'
import { type NamedServer, namedServer } from '../qdrant/named-server.ts'

/** Another seed a run finds other moments; the one that failed is in the message. */
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const WORLDS = 3
/** Where a log of the kills is written. */
const { KILL_LOG } = process.env

/** Of this run, for the log. */
const worlds: WorldOfKills[] = []

function writeLog(): void {
  if (KILL_LOG !== undefined) writeFileSync(KILL_LOG, killLog(worlds))
}

const EVERY_MOMENT = Object.keys(MOMENTS) as Moment[]

async function killsIn(t: TestContext, broker: Broker, options: WorldOptions): Promise<WorldOfKills> {
  const { seed, workers, qdrant = null } = options
  const random = new SeededRandom(seed, 'kills')
  const world = await WorkerWorld.create(options)
  try {
    await world.begin()
    const killer = new Killer(world, random, broker)
    for (const moment of shuffled(EVERY_MOMENT, random)) await killer.kill(moment)
    const verdict = await world.settle()
    const { kills } = killer
    t.diagnostic(`seed ${seed}, ${workers} workers: ${kills.length} kills, ${verdict.compared} vectors`)
    return { seed, workers, vectors: await placeOf(qdrant), kills, records: world.stream.sent, verdict }
  } finally {
    await world.close()
  }
}

/** As the log of the kills has it. */
async function placeOf(server: NamedServer | null): Promise<string> {
  if (server === null) return 'SQLite file'
  if (namedServer() === null) return 'double of Qdrant'
  const { version } = (await (await fetch(server.url)).json()) as { version: string }
  return `Qdrant ${version}`
}

kafkaSuite('worker processes that are killed again and again', () => {
  test(`more than fifty kills, of workers and of their broker, leave every vector as the log says (SEED=${SEED})`, async (t) => {
    const broker = await startBroker()
    t.after(() => broker.close())
    for (let i = 0; i < WORLDS; i++) {
      const seed = SEED + i
      const workers = new SeededRandom(seed, 'workers').integer(2, 3)
      worlds.push(await killsIn(t, broker, { bootstrap: broker.bootstrap, seed, workers, compacts: true }))
    }
    writeLog()
    for (const { verdict, seed } of worlds) assertAllRight(verdict, `(seed ${seed})`)
    assert.ok(worlds.reduce((sum, { kills }) => sum + kills.length, 0) > 50)
  })

  test(`vectors on a server outlive the same (SEED=${SEED})`, async (t) => {
    const broker = await startBroker()
    t.after(() => broker.close())
    const double = await startQdrantDouble({ lenient: true })
    t.after(() => double.close())
    const qdrant = namedServer() ?? { url: double.url, grpcUrl: double.grpcUrl, apiKey: null }
    const seed = SEED + WORLDS
    const world = await killsIn(t, broker, { bootstrap: broker.bootstrap, seed, workers: 2, qdrant })
    worlds.push(world)
    writeLog()
    assertAllRight(world.verdict, `(seed ${seed})`)
  })

  for (const mutant of MUTANTS)
    test(`a worker that ${mutant.replaceAll('-', ' ')} is found out (SEED=${SEED})`, async (t) => {
      const broker = await startBroker()
      t.after(() => broker.close())
      const world = await WorkerWorld.create({
        bootstrap: broker.bootstrap,
        seed: SEED,
        workers: 2,
        mutant,
      })
      t.after(() => world.close())
      await world.begin()
      const killer = new Killer(world, new SeededRandom(SEED, 'kills'))
      for (const moment of ['any', 'encode', 'upserted', 'two-at-once', 'encode'] as const)
        await killer.kill(moment)
      const { wrong, compared } = await world.settle()
      t.diagnostic(`${wrong.length} wrong, ${compared} vectors compared`)
      assert.ok(wrong.length > 0, 'nobody noticed')
    })
})
