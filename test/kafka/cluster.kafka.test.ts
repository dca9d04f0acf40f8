import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, startCluster } from './cluster.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, endOffsets, produce, readValues, withAdmin } from './kafkajs-records.ts'
import { uniqueName } from './shared-broker.ts'

const PARTITIONS = [0, 1, 2, 3, 4, 5]
/** A dead node is noticed after its session of 3 s. */
const ELECTION_MS_MAX = 60_000

kafkaSuite('three nodes', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster()
  })

  after(async () => {
    await cluster?.close()
  })

  const round = (name: string) =>
    PARTITIONS.map((partition) => ({ partition, value: `${name} in ${partition}` }))

  async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
    const deadlineMs = Date.now() + ELECTION_MS_MAX
    while (!(await isTrue())) {
      assert.ok(Date.now() < deadlineMs, `not within ${ELECTION_MS_MAX} ms: ${what}`)
      await sleep(50)
    }
  }

  test('every partition is kept three times, two must have a record, and all nodes lead some', async () => {
    const topic = uniqueName('spread')
    await createTopic(cluster.bootstrap, topic, PARTITIONS.length)
    for (const { replicas } of await cluster.partitions(topic))
      assert.deepEqual([...replicas].sort(), [1, 2, 3])
    assert.deepEqual([...new Set((await cluster.leaders(topic)).values())].sort(), [1, 2, 3])
    const { resources } = await withAdmin(cluster.bootstrap, (admin) =>
      // 2: a topic
      admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: 2, name: topic, configNames: ['min.insync.replicas'] }],
      }),
    )
    assert.equal(resources[0]!.configEntries[0]!.configValue, '2')
  })

  test('all leaders move at once, twice, and the records stay', async () => {
    const topic = uniqueName('moved')
    await createTopic(cluster.bootstrap, topic, PARTITIONS.length)
    await produce(cluster.bootstrap, topic, round('first'))
    let leaders = await cluster.leaders(topic)
    for (const name of ['second', 'third']) {
      const moved = await cluster.moveLeaders(topic)
      assert.deepEqual([...moved.keys()].sort(), PARTITIONS)
      for (const [partition, leader] of moved) assert.notEqual(leader, leaders.get(partition))
      assert.deepEqual(await cluster.leaders(topic), moved)
      leaders = moved
      await produce(cluster.bootstrap, topic, round(name))
    }
    const expected = PARTITIONS.flatMap((partition) =>
      ['first', 'second', 'third'].map((name) => `${name} in ${partition}`),
    )
    assert.deepEqual(await readValues(cluster.bootstrap, topic), expected)
  })

  test('the coordinator of a group is the leader of the offsets, and moves with it', async () => {
    const topic = uniqueName('offsets')
    await createTopic(cluster.bootstrap, topic)
    await produce(cluster.bootstrap, topic, [{ partition: 0, value: 'x' }])
    const groupId = uniqueName('group')
    await withAdmin(cluster.bootstrap, (admin) =>
      admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '1' }] }),
    )
    const before = await cluster.leaders('__consumer_offsets')
    assert.equal(before.size, 1)
    const moved = await cluster.moveLeaders('__consumer_offsets')
    assert.notEqual(moved.get(0), before.get(0))
    const [offsets] = await withAdmin(cluster.bootstrap, (admin) =>
      admin.fetchOffsets({ groupId, topics: [topic] }),
    )
    assert.equal(offsets!.partitions[0]!.offset, '1')
  })

  for (const how of ['kill', 'stop'] as const)
    test(`after the ${how} of a node the others lead and take records; it comes back and is in sync again`, async () => {
      const topic = uniqueName(how)
      await createTopic(cluster.bootstrap, topic, PARTITIONS.length)
      await produce(cluster.bootstrap, topic, round('before'))
      const [node] = cluster.nodes
      await node![how]()
      await until('others lead', async () =>
        [...(await cluster.leaders(topic)).values()].every((leader) => leader !== node!.nodeId && leader > 0),
      )
      await produce(cluster.bootstrap, topic, round('meanwhile'))
      await node!.start()
      await until('three are in sync', async () =>
        (await cluster.partitions(topic)).every(({ isr }) => isr.length === 3),
      )
      assert.deepEqual(
        await endOffsets(cluster.bootstrap, topic),
        PARTITIONS.map(() => 2),
      )
    })
})
