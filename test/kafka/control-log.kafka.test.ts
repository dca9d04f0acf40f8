import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaControlLog } from '../../src/drivers/kafka/kafka-control-log.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { ConfigError } from '../../src/errors.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import type { Instruction } from '../../src/instructions/instruction.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { Tombstone } from '../../src/pipeline/state-store.ts'
import { kafkaSettings } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const instruction: Instruction = {
  id: 'main' as never,
  text: 'What will they need next?',
  lang: 'en',
  group: 'main' as never,
  status: 'active',
  maxStalenessMs: 60_000,
  owner: null,
  previous: null,
}
const group = { name: 'main' as never, minRefreshMs: 5, paused: false }
const about = {
  modelId: 'm1' as never,
  stage: 'active' as const,
  parentModelId: null,
  artifactUri: null,
  artifactSha256: '00'.repeat(32),
  dimensions: 8,
}

/** `user at`, or nothing that is a tombstone. */
function tombstoneOf({ value }: SourceRecord): Tombstone | null {
  const [user, at] = Buffer.from(value!).toString().split(' ')
  return at === undefined ? null : { tenant: 'default' as never, user: user as never, atMs: Number(at) }
}

async function newTopics(partitions = 1) {
  const { bootstrap } = await sharedBroker()
  const topics = {
    instructions: uniqueName('instructions'),
    models: uniqueName('models'),
    tombstones: uniqueName('tombstones'),
  }
  await createTopic(bootstrap, topics.instructions, partitions)
  await createTopic(bootstrap, topics.models)
  await createTopic(bootstrap, topics.tombstones, 2)
  return topics
}

async function openLog(t: TestContext, topics: Awaited<ReturnType<typeof newTopics>>) {
  const { bootstrap } = await sharedBroker()
  const settings = kafkaSettings(bootstrap, 'control')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  t.after(async () => {
    await producer.close()
    cluster.close()
  })
  return { log: await KafkaControlLog.open(cluster, producer, topics, tombstoneOf), producer }
}

kafkaSuite('control topics in Kafka', () => {
  test('what one worker appends, every other reads: first all of it, then only what is new', async (t) => {
    const topics = await newTopics()
    const one = await openLog(t, topics)
    const other = await openLog(t, topics)
    assert.deepEqual(await other.log.instructions(-1), [])
    assert.deepEqual(await other.log.models(-1), [])
    const first = await one.log.appendInstruction(instruction)
    const second = await one.log.appendGroup(group)
    assert.deepEqual(
      [first, second].map(({ offset, kind }) => [offset, kind]),
      [
        [0, 'instruction'],
        [1, 'group'],
      ],
    )
    assert.deepEqual(await other.log.instructions(-1), [first, second])
    assert.deepEqual(await other.log.instructions(1), [])
    const third = await other.log.appendInstruction({ ...instruction, status: 'retired' })
    assert.deepEqual(await one.log.instructions(1), [third])
    const model = { active: 'm1' as never, also: null, existing: ['m1' as never] }
    assert.deepEqual(await one.log.appendModel(model, about), { offset: 0, ...model })
    assert.deepEqual(await other.log.models(-1), [{ offset: 0, ...model }])
  })

  test("tombstones are each user's latest, of one partition, also those that came since the last reading", async (t) => {
    const topics = await newTopics()
    const { log, producer } = await openLog(t, topics)
    const put = (partition: number, text: string) =>
      producer.send(topics.tombstones, partition, [{ key: Buffer.from(text), value: Buffer.from(text) }])
    for (const text of ['u1 5', 'u2 7', 'garbage', 'u1 3']) await put(0, text)
    await put(1, 'u3 9')
    const read = async (partition: number) =>
      (await log.tombstones(partition)).map(({ user, atMs }) => `${user} ${atMs}`).sort()
    assert.deepEqual(await read(0), ['u1 5', 'u2 7'])
    assert.deepEqual(await read(1), ['u3 9'])
    await put(0, 'u1 8')
    assert.deepEqual(await read(0), ['u1 8', 'u2 7'])
  })

  test('a control topic of several partitions has no order, and is refused', async (t) => {
    await assert.rejects(
      openLog(t, await newTopics(2)),
      (error) => error instanceof ConfigError && error.code === 'control-topic-partitions',
    )
  })
})
