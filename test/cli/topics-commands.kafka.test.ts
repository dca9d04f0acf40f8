/** `freshet topics` against a real broker: what is made, what is refused, and what a worker's start makes of it. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ConfigResourceTypes } from 'kafkajs'
import { topicNeeds } from '../../src/cli/topic-needs.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { applyPlan, checkTopics, planFor } from '../../src/drivers/kafka/topic-admin.ts'
import { ConfigError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { kafkaSettings } from '../kafka/driver-fixture.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { endOffsets, produce, withAdmin } from '../kafka/kafkajs-records.ts'
import { sharedBroker, uniqueName } from '../kafka/shared-broker.ts'
import { createTopics } from '../kafka/world.ts'
import { runToEnd } from '../kill/program.ts'

const TOPIC_RESOURCE = 2 as ConfigResourceTypes.TOPIC

interface Place {
  bootstrap: string
  prefix: string
  /** Settings as flags. */
  here: string[]
  needs: ReturnType<typeof topicNeeds>
  cluster: KafkaCluster
}

/** Settings whose topics nobody else has; nothing is there yet. */
async function place(t: TestContext): Promise<Place> {
  const { bootstrap } = await sharedBroker()
  const prefix = `${uniqueName('topics')}.`
  const flags = {
    'events.driver': 'kafka',
    'events.kafka.brokers': [bootstrap],
    'events.kafka.topicPrefix': prefix,
    'events.kafka.groupId': prefix,
    'events.kafka.newTopics.partitions': 3,
    'events.topics': [
      { topic: `${prefix}search`, holds: 'search' },
      { topic: `${prefix}clicks`, holds: 'app', partitioner: 'other' },
      { topic: `${prefix}tombstones`, holds: 'tombstone' },
    ],
    'vectors.sqliteFile': 'not-opened.db',
  }
  const { settings } = loadSettings({ file: null, env: {}, flags })
  const here = Object.entries(flags).flatMap(([path, value]) => ['--set', `${path}=${JSON.stringify(value)}`])
  const kafka = kafkaSettings(bootstrap, prefix)
  const cluster = await KafkaCluster.create(kafka, systemClock)
  t.after(() => cluster.close())
  return { bootstrap, prefix, here, needs: topicNeeds(settings), cluster }
}

async function configOf(bootstrap: string, topic: string): Promise<Map<string, string>> {
  const { resources } = await withAdmin(bootstrap, (admin) =>
    admin.describeConfigs({ resources: [{ type: TOPIC_RESOURCE, name: topic }], includeSynonyms: false }),
  )
  return new Map(resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]))
}

kafkaSuite('freshet topics', () => {
  test('plan says what is missing, apply makes it, and a second apply changes nothing', async (t) => {
    const { bootstrap, prefix, here, needs, cluster } = await place(t)
    const planned = JSON.parse((await runToEnd([...here, 'topics', 'plan', '--json'], 5)).stdout)
    const copy = `freshet.repartition.${prefix}clicks`
    const names = ['search', 'search.dlq', 'clicks', 'clicks.dlq', copy, `${copy}.dlq`]
      .concat('tombstones', 'tombstones.dlq', 'freshet.instructions', 'freshet.models', 'freshet.state')
      .map((name) => prefix + name)
    assert.deepEqual(
      planned.findings.map(({ topic, action }: Record<string, string>) => [topic, action]),
      names.map((name) => [name, 'create']),
    )
    await assert.rejects(
      checkTopics(cluster, needs),
      (error) =>
        error instanceof ConfigError &&
        error.code === 'topics-not-ready' &&
        /search is missing.*freshet topics apply/.test(error.message),
    )
    const first = JSON.parse((await runToEnd([...here, 'topics', 'apply', '--json'])).stdout)
    assert.deepEqual([first.done.length, first.left], [names.length, []])
    assert.deepEqual(await checkTopics(cluster, needs), [])
    const [state, models, copied] = await Promise.all(
      ['freshet.state', 'freshet.models', copy].map((name) => configOf(bootstrap, prefix + name)),
    )
    assert.equal(state!.get('cleanup.policy'), 'compact')
    assert.deepEqual(
      ['cleanup.policy', 'retention.ms', 'retention.bytes'].map((name) => models!.get(name)),
      ['delete', '-1', '-1'],
    )
    assert.equal(copied!.get('message.timestamp.type'), 'CreateTime')
    assert.equal((await endOffsets(bootstrap, `${prefix}freshet.models`)).length, 1)
    assert.equal((await endOffsets(bootstrap, `${prefix}search.dlq`)).length, 3)
    const { stdout } = await runToEnd([...here, 'topics', 'apply'])
    assert.equal(stdout, 'nothing was changed\n')
  })

  test('settings of own topics are mended and their others stay; sources are left as they are', async (t) => {
    const { bootstrap, prefix, needs, cluster } = await place(t)
    await createTopics(bootstrap, [
      { topic: `${prefix}search`, partitionCount: 2 },
      { topic: `${prefix}freshet.models`, partitionCount: 1, config: { 'segment.ms': '7654321' } },
      { topic: `${prefix}freshet.state`, partitionCount: 2, config: { 'segment.bytes': '7654321' } },
    ])
    await applyPlan(cluster, needs, await planFor(cluster, needs))
    const state = await configOf(bootstrap, `${prefix}freshet.state`)
    assert.deepEqual(
      ['cleanup.policy', 'segment.bytes', 'max.message.bytes'].map((name) => state.get(name)),
      ['compact', '7654321', '1048588'],
    )
    const models = await configOf(bootstrap, `${prefix}freshet.models`)
    assert.deepEqual([models.get('retention.ms'), models.get('segment.ms')], ['-1', '7654321'])
    assert.equal((await configOf(bootstrap, `${prefix}search`)).get('message.timestamp.type'), 'CreateTime')
    assert.equal((await endOffsets(bootstrap, `${prefix}tombstones`)).length, 2)
    const left = await checkTopics(cluster, needs)
    assert.deepEqual(
      left.map(({ topic, action, what }) => [topic, action, what]),
      [[`${prefix}search`, 'warn', 'message.timestamp.type']],
    )
  })

  test('what is wrong and not ours to mend is refused in one line each, and nothing is made', async (t) => {
    const { bootstrap, prefix, here, needs, cluster } = await place(t)
    const compacted = { 'cleanup.policy': 'compact' }
    await createTopics(bootstrap, [
      { topic: `${prefix}search`, partitionCount: 3, config: compacted },
      { topic: `${prefix}tombstones`, partitionCount: 3, config: compacted },
      { topic: `${prefix}freshet.state`, partitionCount: 4, config: compacted },
      { topic: `${prefix}freshet.instructions`, partitionCount: 1, config: compacted },
      { topic: `${prefix}freshet.models`, partitionCount: 1, config: compacted },
    ])
    await produce(bootstrap, `${prefix}freshet.models`, [{ partition: 0, key: 'm', value: 'x' }])
    const { stdout, stderr } = await runToEnd([...here, 'topics', 'apply'], 2)
    assert.equal(stdout, 'nothing was changed\n')
    const refused = stderr.split('\n').filter((line) => line.startsWith('refuse'))
    assert.deepEqual(
      refused.map((line) => line.split(/ +/).slice(1, 3)),
      [
        [`${prefix}search`, 'cleanup.policy:'],
        [`${prefix}freshet.models`, 'cleanup.policy:'],
        [`${prefix}freshet.state`, 'partitions:'],
      ],
      stderr,
    )
    const topics = await withAdmin(bootstrap, (admin) => admin.listTopics())
    assert.ok(!topics.includes(`${prefix}search.dlq`))
    await assert.rejects(checkTopics(cluster, needs), /freshet\.state: partitions is 4, expected 3/)
    const { stdout: plan } = await runToEnd([...here, 'topics', 'plan'], 5)
    assert.match(plan, /3 things have to be mended by you/)
  })

  test('two that apply at once both succeed', async (t) => {
    const { bootstrap, prefix, needs, cluster } = await place(t)
    const plan = await planFor(cluster, needs)
    // One of them has come as far as this.
    const times = { 'message.timestamp.type': 'LogAppendTime' }
    await createTopics(bootstrap, [{ topic: `${prefix}search`, partitionCount: 3, config: times }])
    await Promise.all([applyPlan(cluster, needs, plan), applyPlan(cluster, needs, plan)])
    assert.deepEqual((await planFor(cluster, needs)).findings, [])
  })

  test('what the cluster forbids is told with its reason', async (t) => {
    const { needs, cluster } = await place(t)
    const three = { ...needs, newTopics: { ...needs.newTopics, replicas: 3 } }
    await assert.rejects(
      async () => applyPlan(cluster, three, await planFor(cluster, three)),
      (error) =>
        error instanceof ConfigError &&
        error.code === 'topic-refused' &&
        /INVALID_REPLICATION_FACTOR/.test(error.message),
    )
    const long = { ...needs, state: 'x'.repeat(250) }
    await assert.rejects(planFor(cluster, long), /topic-refused|INVALID_TOPIC/)
  })

  test('a start waits a moment for topics that were just made', async (t) => {
    const { needs, cluster } = await place(t)
    const checking = checkTopics(cluster, needs)
    await applyPlan(cluster, needs, await planFor(cluster, needs))
    assert.deepEqual(await checking, [])
  })
})

test('a freshet without Kafka has no topics to look after', async () => {
  const { stderr } = await runToEnd(['topics', 'plan'], 2)
  assert.match(stderr, /^error: events-not-in-kafka: .*--config/m)
})
