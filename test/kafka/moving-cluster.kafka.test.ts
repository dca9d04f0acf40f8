/**
 * Whole workers on three nodes whose leaders move, whose coordinator dies, and that restart one after the other, while events,
 * features and forgettings go on being published: every vector ends as the log says (R8).
 */

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { refreshed } from '../../src/pipeline/channels.ts'
import type { Broker } from './broker.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { endOffsets } from './kafkajs-records.ts'
import { features, forget, newWorld, say, search, searches, settles, stored, type World } from './world.ts'
import { committedAll, openWorker, ownAll, type Worker } from './world-worker.ts'

const OFFSETS = '__consumer_offsets'
const MOVES = 8
/** Longer than a node is away: a send is in the log, or the test fails. */
const PATIENT = { requestTimeoutMs: 40_000 }
const PAUSE_MS = 100

/** What was published while something happened, and how often somebody was embedded. */
interface Talk {
  rounds: number
  forgotten: string[]
  refreshes: number
}

kafkaSuite('workers on a cluster that moves', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster()
  })

  after(async () => {
    await cluster?.close()
  })

  async function twoWorkers(t: TestContext) {
    const world = await newWorld(t, { bootstrap: cluster.bootstrap, kafka: PATIENT })
    const workers = [await openWorker(t, world), await openWorker(t, world)] as const
    await ownAll(world, ...workers)
    await say(world, searches(80))
    await committedAll(world, workers[0])
    return { world, workers }
  }

  /** Publishes without a pause while something happens. */
  async function talkWhile(world: World, act: () => Promise<void>): Promise<Talk> {
    const talk: Talk = { rounds: 0, forgotten: [], refreshes: 0 }
    const unsubscribe = refreshed.subscribe(() => talk.refreshes++)
    let isOver = false
    const acting = act().finally(() => {
      isOver = true
    })
    try {
      for (; !isOver; talk.rounds++) {
        const gone = `gone${talk.rounds}`
        const said = [search(gone), features(gone, 1), features(`u${talk.rounds % 40}`, talk.rounds)]
        await say(world, [...searches(20), ...said])
        await say(world, [forget(gone)])
        talk.forgotten.push(gone)
        await sleep(PAUSE_MS)
      }
    } finally {
      unsubscribe()
      await acting
    }
    return talk
  }

  const topicsOf = ({ prefix, topics }: World): string[] => [
    ...topics.map(({ topic }) => topic),
    ...['state', 'instructions', 'models'].map((name) => `${prefix}.${name}`),
  ]

  async function move(topics: readonly string[]): Promise<void> {
    await Promise.all(topics.map((topic) => cluster.moveLeaders(topic)))
  }

  /** Leads the one partition that holds where the groups are. */
  async function coordinator(): Promise<Broker> {
    const leaders = await cluster.leaders(OFFSETS)
    return cluster.nodes[leaders.get(0)! - 1]!
  }

  async function endsRight(world: World, { rounds, refreshes, forgotten }: Talk, ...workers: Worker[]) {
    assert.ok(
      rounds >= 5 && refreshes > rounds,
      `${rounds} rounds, ${refreshes} refreshes: it went on meanwhile`,
    )
    await ownAll(world, ...workers)
    await committedAll(world, workers[0]!)
    await settles(world)
    assert.equal((await stored(world, forgotten)).size, 0, 'who was forgotten is absent')
    for (const { topic } of world.topics)
      assert.ok(
        (await endOffsets(world.bootstrap, `${topic}.dlq`)).every((end) => end === 0),
        topic,
      )
    for (const { failures } of workers) assert.deepEqual(failures, [])
  }

  test('R8: leaders of all topics move again and again, and the coordinator with them: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t)
    const talk = await talkWhile(world, async () => {
      for (let n = 0; n < MOVES; n++) await move([...topicsOf(world), OFFSETS])
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: the coordinator of the group is killed and comes back: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t)
    const talk = await talkWhile(world, async () => {
      const node = await coordinator()
      await node.kill()
      await until('another coordinates', async () => (await coordinator()) !== node)
      await node.start()
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: nodes restart one after the other: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t)
    const talk = await talkWhile(world, async () => {
      for (const node of cluster.nodes) {
        await node.stop()
        await node.start()
      }
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: a worker dies while leaders move, and they move on while others restore: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t)
    const [dying, left] = workers
    let next: Worker | undefined
    let moves = 0
    const talk = await talkWhile(world, async () => {
      const moving = move([...topicsOf(world), OFFSETS])
      dying.kill()
      const opening = openWorker(t, world)
      await moving
      next = await opening
      let isTaken = false
      const taking = ownAll(world, left, next).finally(() => {
        isTaken = true
      })
      // The coordinator stays: a new one gives the dead its whole session anew.
      while (!isTaken) {
        await move(topicsOf(world))
        moves++
      }
      await taking
    })
    assert.ok(moves > 1, `leaders moved ${moves} times while others took over`)
    await endsRight(world, talk, left, next!)
  })
})
