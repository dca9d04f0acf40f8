import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { KafkaChangelog } from '../../src/drivers/kafka/kafka-changelog.ts'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { SqliteDatabase } from '../../src/drivers/sqlite/sqlite-database.ts'
import { LOCAL_STATES_MIGRATIONS, SqliteLocalStates } from '../../src/drivers/sqlite/sqlite-local-states.ts'
import { ConfigError } from '../../src/errors.ts'
import { userKey } from '../../src/events/ids.ts'
import type { PositionedRecord } from '../../src/pipeline/changelog.ts'
import { ChangelogStateStore } from '../../src/pipeline/changelog-state-store.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { emptyState } from '../../src/window/apply.ts'
import { encodeState } from '../../src/window/state-codec.ts'
import type { UserState, WindowCaps } from '../../src/window/user-state.ts'
import { type StateStoreUnderTest, stateStoreContract } from '../pipeline/state-store-contract.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

/** Compacts within seconds. */
const EAGER = { 'segment.ms': '100', 'max.compaction.lag.ms': '100', 'min.cleanable.dirty.ratio': '0.001' }

async function createChangelogTopic(
  partitions: number,
  config: Record<string, string> = {},
): Promise<string> {
  const { bootstrap } = await sharedBroker()
  const topic = uniqueName('state')
  const configEntries = Object.entries({ 'cleanup.policy': 'compact', ...config }).map(([name, value]) => ({
    name,
    value,
  }))
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: [{ topic, numPartitions: partitions, configEntries }],
      waitForLeaders: true,
    }),
  )
  return topic
}

/** A worker's way to a changelog. */
async function openChangelog(topic: string, partitionCount: number) {
  const { bootstrap } = await sharedBroker()
  const settings = kafkaSettings(bootstrap, 'state')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  const close = async () => {
    await producer.close()
    cluster.close()
  }
  try {
    const options = { topic, partitionCount }
    return { changelog: await KafkaChangelog.open(cluster, producer, options), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function openStore(
  topic: string,
  partitions: number,
  caps: () => WindowCaps,
): Promise<StateStoreUnderTest> {
  const { changelog, close } = await openChangelog(topic, partitions)
  // Each worker comes to a disk that knows nothing: all there is comes from the topic.
  const path = mkdtempSync(join(tmpdir(), 'freshet-states-'))
  const database = new SqliteDatabase({
    path: join(path, 'states.db'),
    migrations: LOCAL_STATES_MIGRATIONS,
    isCache: true,
  })
  const end = async () => {
    await close()
    database.close()
    rmSync(path, { recursive: true, force: true })
  }
  return {
    store: new ChangelogStateStore(changelog, new SqliteLocalStates(database), caps),
    crash: async () => {
      await end()
      return openStore(topic, partitions, caps)
    },
    dispose: end,
  }
}

function stateOf(user: string, epoch: number): UserState {
  const state = emptyState('default' as never, user as never)
  state.epoch = epoch
  state.acknowledged.set('main/m', { inputHash: `of ${epoch}`, epoch })
  return state
}

async function readAll(
  changelog: KafkaChangelog,
  from = 0,
): Promise<{ records: PositionedRecord[]; next: number }> {
  const records: PositionedRecord[] = []
  let next = from
  for await (const page of changelog.read(0, from)) {
    records.push(...page.records)
    next = page.next
  }
  return { records, next }
}

/** A changelog that is closed when the test ends. */
async function changelogOf(t: TestContext, topic: string, partitionCount: number): Promise<KafkaChangelog> {
  const { changelog, close } = await openChangelog(topic, partitionCount)
  t.after(close)
  return changelog
}

kafkaSuite('a changelog in Kafka', () => {
  // The contract reads and writes partitions up to 42.
  stateStoreContract('changelog in Kafka', async (caps) =>
    openStore(await createChangelogTopic(48), 48, caps),
  )

  test('compaction keeps what counts, and reading gets to the end of what it left', async (t) => {
    const topic = await createChangelogTopic(1, EAGER)
    const changelog = await changelogOf(t, topic, 1)
    const user = userKey('default' as never, 'u1' as never)
    for (let round = 0; round < 30; round++)
      await changelog.append(0, [{ kind: 'state', user, epoch: 1, state: encodeState(stateOf('u1', 1)) }])
    await changelog.append(0, [{ kind: 'claim', epoch: 2 }])
    await changelog.append(0, [{ kind: 'state', user, epoch: 2, state: encodeState(stateOf('u1', 2)) }])
    await changelog.append(0, [{ kind: 'state', user, epoch: 1, state: null }])
    const whole = await readAll(changelog)
    assert.equal(whole.next, 33)
    // Segments are rolled by what comes after them, and cleaned but for the last.
    let compacted = whole
    let extra = 0
    await until('the old epoch is gone', async () => {
      await changelog.append(0, [{ kind: 'claim', epoch: 3 + extra++ }])
      compacted = await readAll(changelog)
      return !compacted.records.some(
        ({ record }) => record.kind === 'state' && record.epoch === 1 && record.state !== null,
      )
    })
    assert.equal(compacted.next, 33 + extra, 'reading must get behind offsets that have no records any more')
    const kept = compacted.records.filter(({ record }) => record.kind === 'state' && record.state !== null)
    assert.deepEqual(
      kept.map(({ position, record }) => [position, record.epoch]),
      [[31, 2]],
    )
    // From the midst of what is gone, and from the end.
    assert.equal((await readAll(changelog, 10)).next, 33 + extra)
    assert.deepEqual(await readAll(changelog, 33 + extra), { records: [], next: 33 + extra })
  })

  test('a changelog that was created anew has another id, and one that lost records is refused', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = await createChangelogTopic(1)
    const changelog = await changelogOf(t, topic, 1)
    await changelog.append(0, [{ kind: 'claim', epoch: 1 }])
    const first = await changelog.topicId()
    assert.equal(await changelog.topicId(), first)
    await assert.rejects(
      readAll(changelog, 9),
      (error) => error instanceof ConfigError && error.code === 'log-truncated',
    )
    await withAdmin(bootstrap, async (admin) => {
      await admin.deleteTopics({ topics: [topic] })
      await until('the topic is gone', async () => !(await admin.listTopics()).includes(topic))
      await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
    })
    assert.notEqual(await changelog.topicId(), first)
    // Whoever went on writing finds the new topic, too.
    await changelog.append(0, [{ kind: 'claim', epoch: 2 }])
    assert.deepEqual(
      (await readAll(changelog)).records.map(({ record }) => record.epoch),
      [2],
    )
  })

  test('another partition count is refused with the remedy', async (t) => {
    const topic = await createChangelogTopic(3)
    await assert.rejects(
      changelogOf(t, topic, 4),
      (error) =>
        error instanceof ConfigError && error.code === 'changelog-partitions' && /with 4/.test(error.message),
    )
  })

  test('a reading that is interrupted ends at once, whatever is left', async (t) => {
    const topic = await createChangelogTopic(1)
    const changelog = await changelogOf(t, topic, 1)
    const records = Array.from({ length: 3_000 }, (_, i) => ({ kind: 'claim' as const, epoch: i }))
    await changelog.append(0, records)
    const interruption = new AbortController()
    let seen = 0
    for await (const page of changelog.read(0, 0, interruption.signal)) {
      seen += page.records.length
      interruption.abort()
    }
    assert.ok(seen > 0 && seen < 3_000, `${seen} records`)
  })
})
