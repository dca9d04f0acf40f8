/**
 * Whole workers on three nodes whose leaders move, whose coordinator dies, and that restart one after the other, while events,
 * features and forgettings go on being published: every vector ends as the log says (R8).
 */

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Message, Partitioners, type Producer } from 'kafkajs'
import type { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { UnavailableError } from '../../src/errors.ts'
import { refreshed } from '../../src/pipeline/channels.ts'
import type { Broker } from './broker.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { client, endOffsets } from './kafkajs-records.ts'
import {
  features,
  forget,
  newWorld,
  PARTITIONS,
  say,
  search,
  searches,
  settles,
  stored,
  type World,
  wrongInMain,
} from './world.ts'
import {
  committedAll,
  openOwner,
  openWorker,
  ownAll,
  replacing,
  type Worker,
  type WorkerOptions,
} from './world-worker.ts'

const OFFSETS = '__consumer_offsets'
const MOVES = 5
/** Longer than a node is away: a send is in the log, or the test fails. */
const PATIENT = { requestTimeoutMs: 40_000 }
const PAUSE_MS = 100
/** How long states wait for those of other partitions. */
const TOGETHER_MS = 1_000

/** What was published while something happened, and how often somebody was embedded. */
interface Talk {
  rounds: number
  forgotten: string[]
  refreshes: number
}

async function twoWorkers(t: TestContext, { bootstrap }: Cluster) {
  const world = await newWorld(t, { bootstrap, kafka: PATIENT })
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

async function move(cluster: Cluster, topics: readonly string[]): Promise<void> {
  await Promise.all(topics.map((topic) => cluster.moveLeaders(topic)))
}

/** Leads the one partition that holds where the groups are. */
async function coordinator(cluster: Cluster): Promise<Broker> {
  const leaders = await cluster.leaders(OFFSETS)
  return cluster.nodes[leaders.get(0)! - 1]!
}

async function endsRight(world: World, { rounds, refreshes, forgotten }: Talk, ...workers: Worker[]) {
  assert.ok(
    rounds >= 3 && refreshes > rounds,
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

/** The leader of some partitions of the changelog gives up leading; then states of all partitions are flushed, and the owner dies. */
async function statesWhileLeadersMove(t: TestContext, cluster: Cluster, options: WorkerOptions = {}) {
  // The slow group writes nothing meanwhile: what is flushed is flushed once.
  const world = await newWorld(t, { bootstrap: cluster.bootstrap, kafka: PATIENT, slowMs: 600_000 })
  const a = await openOwner(t, world, { ...options, settings: { quietMs: 0 } })
  await say(world, searches(80))
  await committedAll(world, a)
  await cluster.giveUpLeading(`${world.prefix}.state`, 1)
  const eachOnce = () => Array.from({ length: 40 }, (_, i) => search(`u${i}`))
  // All are read before any is embedded, so that they are embedded and flushed together.
  a.updater.refreshing = false
  await say(world, eachOnce())
  const partitions = [...a.updater.ownership.partitions.values()]
  await until('all are read', () => partitions.reduce((sum, { held }) => sum + held.size, 0) === 40)
  a.updater.refreshing = true
  await committedAll(world, a)
  a.kill()
  const owner = await openOwner(t, world)
  await say(world, eachOnce())
  await committedAll(world, owner)
  await until('it comes to rest', () => owner.updater.idle)
  assert.deepEqual(owner.failures, [])
  return wrongInMain(world)
}

kafkaSuite('workers on a cluster that moves', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster()
  })

  after(async () => {
    await cluster?.close()
  })

  test('R8: leaders of all topics move again and again, and the coordinator with them: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t, cluster)
    const talk = await talkWhile(world, async () => {
      for (let n = 0; n < MOVES; n++) await move(cluster, [...topicsOf(world), OFFSETS])
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: the coordinator of the group is killed and comes back: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t, cluster)
    const talk = await talkWhile(world, async () => {
      const node = await coordinator(cluster)
      await node.kill()
      await until('another coordinates', async () => (await coordinator(cluster)) !== node)
      await node.start()
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: nodes restart one after the other: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t, cluster)
    const talk = await talkWhile(world, async () => {
      for (const node of cluster.nodes) {
        await node.stop()
        await node.start()
      }
    })
    await endsRight(world, talk, ...workers)
  })

  test('R8: a worker dies while leaders move, and they move on while others restore: nothing is lost or stale', async (t) => {
    const { world, workers } = await twoWorkers(t, cluster)
    const [dying, left] = workers
    let next: Worker | undefined
    let moves = 0
    const talk = await talkWhile(world, async () => {
      const moving = move(cluster, [...topicsOf(world), OFFSETS])
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
        await move(cluster, topicsOf(world))
        moves++
      }
      await taking
    })
    assert.ok(moves > 1, `leaders moved ${moves} times while others took over`)
    await endsRight(world, talk, left, next!)
  })

  test('states that are flushed when a leader has given up are all there for the next owner (O10)', async (t) => {
    assert.deepEqual(await statesWhileLeadersMove(t, cluster), [])
  })

  test('R17: with one request of kafkajs for all partitions in their place, states are lost and vectors end wrong', async (t) => {
    const theirs = client(cluster.bootstrap).producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    await theirs.connect()
    t.after(() => theirs.disconnect())
    const wrong = await statesWhileLeadersMove(t, cluster, { producer: (ours) => allAtOnce(ours, theirs) })
    assert.ok(wrong.length > 0, 'acknowledged, and lost')
  })
})

/** States of all partitions go together, as a producer that batches would send them; all else as ever. */
function allAtOnce(ours: SafeProducer, theirs: Producer): SafeProducer {
  let waiting: { partition: number; message: Message; done: PromiseWithResolvers<number> }[] = []
  let timer: NodeJS.Timeout | undefined
  const flush = async (topic: string) => {
    clearTimeout(timer)
    timer = undefined
    const sent = waiting
    waiting = []
    try {
      const messages = sent.map(({ partition, message }) => ({ ...message, partition }))
      await theirs.send({ topic, acks: -1, messages })
      for (const { done } of sent) done.resolve(-1)
    } catch (error) {
      for (const { done } of sent) done.reject(new UnavailableError('test-at-once', String(error)))
    }
  }
  return replacing(ours, {
    send: (topic, partition, records) => {
      const isState = Buffer.from(records[0]?.key ?? '')
        .toString()
        .startsWith('state')
      if (!isState) return ours.send(topic, partition, records)
      const done = Promise.withResolvers<number>()
      for (const { key, value } of records)
        waiting.push({ partition, message: { key: asBuffer(key), value: asBuffer(value) }, done })
      timer ??= setTimeout(() => void flush(topic), TOGETHER_MS)
      if (new Set(waiting.map((one) => one.partition)).size === PARTITIONS) void flush(topic)
      return done.promise
    },
  })
}

const asBuffer = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes))
