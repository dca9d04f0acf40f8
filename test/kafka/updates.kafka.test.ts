import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaUpdates } from '../../src/drivers/kafka/kafka-updates.ts'
import { readPartition } from '../../src/drivers/kafka/partition-reader.ts'
import { partitionOf } from '../../src/drivers/kafka/partitioner.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { avroCodec } from '../../src/events/own-schemas.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { UserUpdate } from '../../src/pipeline/updates.ts'
import { kafkaSettings } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const PARTITIONS = 3

function updateOf(user: string, over: Partial<UserUpdate> = {}): UserUpdate {
  return {
    tenant: 'société' as never,
    user: user as never,
    group: 'main' as never,
    model: 'm1' as never,
    version: { epoch: 1_769_846_000, write: 7 },
    vectorNames: ['a@1', 'b@2'] as never,
    inputHash: 'ab12',
    lastEventMs: 1_700_000_000_123,
    asOfDay: 20_000,
    computedAtMs: 1_700_000_001_000,
    ...over,
  }
}

async function openUpdates(t: TestContext, configEntries: { name: string; value: string }[] = []) {
  const { bootstrap } = await sharedBroker()
  const topic = uniqueName('updates')
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: [{ topic, numPartitions: PARTITIONS, configEntries }],
      waitForLeaders: true,
    }),
  )
  const settings = kafkaSettings(bootstrap, 'updates')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  t.after(async () => {
    await producer.close()
    cluster.close()
  })
  return { cluster, topic, updates: new KafkaUpdates(producer, topic) }
}

kafkaSuite('updates in Kafka', () => {
  test('an update lies in its user’s partition, in order, as a value of the published schema', async (t) => {
    const { cluster, topic, updates } = await openUpdates(t)
    const users = Array.from({ length: 12 }, (_, n) => `u${n}`)
    await updates.put(users.map((user) => updateOf(user)))
    const stub = updateOf('u3', {
      version: { epoch: 1_769_846_000, write: 8 },
      vectorNames: [],
      lastEventMs: null,
    })
    await updates.put([stub])
    const all: SourceRecord[] = []
    for (let partition = 0; partition < PARTITIONS; partition++)
      for await (const { records } of readPartition(cluster, { topic, partition }, 0)) all.push(...records)
    assert.equal(all.length, users.length + 1)
    for (const { key, partition } of all) assert.equal(partition, partitionOf(key!, PARTITIONS))
    const codec = avroCodec<Record<string, unknown>>('embedding-update')
    const ofUser = all.filter(({ key }) => `${key}` === 'u3').map(({ value }) => codec.decode(value!))
    const told = {
      tenant: 'société',
      user_id: 'u3',
      group: 'main',
      model_id: 'm1',
      epoch: 1_769_846_000,
      input_hash: 'ab12',
      as_of_day: 20_000,
      cosine_to_previous: null,
      computed_at: 1_700_000_001_000,
    }
    assert.deepEqual(
      ofUser.map((value) => ({ ...value })),
      [
        { ...told, write: 7, vector_names: ['a@1', 'b@2'], last_event_time: 1_700_000_000_123 },
        { ...told, write: 8, vector_names: [], last_event_time: null },
      ],
    )
  })

  test('a topic that doesn’t take updates is the operator’s to mend', async (t) => {
    const { updates } = await openUpdates(t, [{ name: 'max.message.bytes', value: '100' }])
    await assert.rejects(updates.put([updateOf('u1')]), { name: 'ConfigError', code: 'updates-refused' })
  })
})
