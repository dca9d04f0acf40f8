import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { Partitioners } from 'kafkajs'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { type Collector, kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { client, createTopic, readValues } from './kafkajs-records.ts'
import { uniqueName } from './shared-broker.ts'

const PARTITIONS = 6
const MOVES = 8
const OUTAGE_MS_MAX = 90_000

kafkaSuite('leaders that move', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster()
  })

  after(async () => {
    await cluster?.close()
  })

  /** Sends without a pause while something happens, to all partitions. @returns the values by partition, in their order */
  async function sendWhile(t: TestContext, settings: KafkaSettings, topic: string, act: () => Promise<void>) {
    const producer = await SafeProducer.open(settings, systemClock)
    t.after(() => producer.close())
    const sent = Array.from({ length: PARTITIONS }, (): string[] => [])
    let isOver = false
    const acting = act().finally(() => {
      isOver = true
    })
    for (let n = 0; !isOver; ) {
      const round: Promise<number>[] = []
      for (let i = 0; i < 12; i++, n++) {
        const key = Buffer.from(`u${n % 100}`)
        const partition = partitionOf(key, PARTITIONS)
        sent[partition]!.push(`${n}`)
        round.push(producer.send(topic, partition, [{ key, value: Buffer.from(`${n}`) }]))
      }
      await Promise.all(round)
    }
    await acting
    return sent
  }

  async function checkAll(topic: string, sent: string[][], collector: Collector): Promise<void> {
    assert.deepEqual(
      await readValues(cluster.bootstrap, topic),
      sent.flat(),
      'the log holds all, once, in order',
    )
    await until('all have come', () => collector.received.length >= sent.flat().length, OUTAGE_MS_MAX)
    for (const [partition, values] of sent.entries())
      assert.deepEqual(collector.values(topic, partition), values)
    assert.equal(collector.failure, undefined)
  }

  test('leaders that move again and again: nothing is missed, doubled or out of order, and nobody leaves the group (O10)', async (t) => {
    const topic = uniqueName('moved')
    await createTopic(cluster.bootstrap, topic, PARTITIONS)
    const settings = kafkaSettings(cluster.bootstrap, uniqueName('group'), {
      requestTimeoutMs: OUTAGE_MS_MAX,
    })
    const { source, collector } = await startedSource(t, settings, [topic])
    const sent = await sendWhile(t, settings, topic, async () => {
      for (let move = 0; move < MOVES; move++) await cluster.moveLeaders(topic)
    })
    await checkAll(topic, sent, collector)
    assert.equal(collector.assignments.length, 1, 'a leader that moves is no reason to join anew')
    // Groups lose their coordinator when its leader moves; the membership lasts, and commits count.
    await cluster.moveLeaders('__consumer_offsets')
    const { generation } = collector.assignments[0]!
    assert.equal(await source.commit(generation, new Map([[3, new Map([[topic, 5]])]])), true)
    assert.equal((await source.committed(3)).get(topic), 5)
    assert.equal(collector.assignments.length, 1)
  })

  test('nodes that are stopped, killed and started one after the other: nothing is missed, doubled or out of order', async (t) => {
    const topic = uniqueName('rolled')
    await createTopic(cluster.bootstrap, topic, PARTITIONS)
    const settings = kafkaSettings(cluster.bootstrap, uniqueName('group'), {
      requestTimeoutMs: OUTAGE_MS_MAX,
    })
    const { source, collector } = await startedSource(t, settings, [topic])
    const sent = await sendWhile(t, settings, topic, async () => {
      for (const [at, node] of cluster.nodes.entries()) {
        await (at === 1 ? node.kill() : node.stop())
        await node.start()
      }
    })
    await checkAll(topic, sent, collector)
    await until(
      'a commit counts',
      async () => {
        const { generation } = collector.assignments.at(-1)!
        return source.commit(generation, new Map([[0, new Map([[topic, 1]])]]))
      },
      OUTAGE_MS_MAX,
    )
  })

  test('R17: one send for all partitions loses records without a word when leaders move between two of them; ours loses none (O10)', async (t) => {
    const settings = kafkaSettings(cluster.bootstrap, uniqueName('group'), {
      requestTimeoutMs: OUTAGE_MS_MAX,
    })
    const topics = [uniqueName('at-once'), uniqueName('one-by-one')]
    for (const topic of topics) await createTopic(cluster.bootstrap, topic, PARTITIONS)
    const [atOnce = '', oneByOne = ''] = topics
    const theirs = client(cluster.bootstrap).producer({
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    await theirs.connect()
    t.after(() => theirs.disconnect())
    const ours = await SafeProducer.open(settings, systemClock)
    t.after(() => ours.close())
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    const send = async (value: string) => {
      const messages = partitions.map((partition) => ({ partition, key: 'u1', value }))
      await theirs.send({ topic: atOnce, acks: -1, messages })
      const record = { key: Buffer.from('u1'), value: Buffer.from(value) }
      await Promise.all(partitions.map((partition) => ours.send(oneByOne, partition, [record])))
    }
    // Both learn who leads what; then one node's partitions go to nodes that lead others already.
    await send('before')
    for (const topic of topics) await cluster.giveUpLeading(topic, 1)
    await send('after')
    const expected = partitions.flatMap(() => ['before', 'after'])
    assert.deepEqual(await readValues(cluster.bootstrap, oneByOne), expected)
    const found = await readValues(cluster.bootstrap, atOnce)
    assert.ok(found.length < expected.length, 'acknowledged, and lost')
  })
})
