import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { FoundTopic, FoundTopics, TopicNeeds } from '../../../src/drivers/kafka/topic-needs.ts'
import { wantedTopics } from '../../../src/drivers/kafka/topic-needs.ts'
import { planTopics, type TopicPlan } from '../../../src/drivers/kafka/topic-plan.ts'

const KIB = 1_024
const DAYS_100_MS = String(100 * 86_400_000)

const NEEDS: TopicNeeds = {
  sources: [
    { topic: 'search', holds: 'events', repartition: null },
    { topic: 'clicks', holds: 'events', repartition: 'freshet.repartition.clicks' },
    { topic: 'tabular', holds: 'latest', repartition: null },
    { topic: 'tombstones', holds: 'tombstones', repartition: null },
  ],
  control: ['freshet.instructions', 'freshet.models'],
  state: 'freshet.state',
  updates: 'freshet.updates',
  valueBytesMax: KIB * KIB,
  userBytesMax: 2 * KIB * KIB,
  newTopics: { partitions: 12, replicas: null, retentionDays: 100 },
}

/** As a broker's defaults have it. */
const DEFAULTS = {
  'cleanup.policy': 'delete',
  'retention.ms': '604800000',
  'retention.bytes': '-1',
  'max.message.bytes': '1048588',
  'message.timestamp.type': 'CreateTime',
}

function topic(partitionCount: number, over: Record<string, string> = {}, isEmpty = false): FoundTopic {
  return { partitionCount, configs: new Map(Object.entries({ ...DEFAULTS, ...over })), isEmpty }
}

/** What a broker has after apply did its part. */
function applied(found: FoundTopics, { create, change }: TopicPlan): FoundTopics {
  const after = new Map(found)
  for (const { topic: name, partitionCount, configs } of create)
    after.set(name, topic(partitionCount, configs, true))
  for (const [name, changes] of change) {
    const { configs, ...rest } = after.get(name)!
    after.set(name, { ...rest, configs: new Map([...configs, ...changes]) })
  }
  return after
}

const NOTHING: FoundTopics = new Map()
const ALL = applied(NOTHING, planTopics(NEEDS, NOTHING))

function planWith(name: string, there: FoundTopic) {
  return planTopics(NEEDS, new Map([...ALL, [name, there]]))
}

/** Action and what of each finding of one topic that is otherwise than it should be. */
function findingsOf(name: string, there: FoundTopic): string[] {
  return planWith(name, there)
    .findings.filter((one) => one.topic === name)
    .map(({ action, what }) => `${action} ${what}`)
}

const names = wantedTopics(NEEDS, NOTHING).map(({ topic }) => topic)
const found = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom(...names),
      fc.record({
        partitionCount: fc.constantFrom(1, 6, 12),
        isEmpty: fc.boolean(),
        configs: fc
          .record({
            'cleanup.policy': fc.constantFrom('delete', 'compact', 'compact,delete', 'delete,compact'),
            'retention.ms': fc.constantFrom('-1', '604800000', DAYS_100_MS),
            'retention.bytes': fc.constantFrom('-1', '1073741824'),
            'max.message.bytes': fc.constantFrom('1000', '1048588', '9000000'),
            'message.timestamp.type': fc.constantFrom('CreateTime', 'LogAppendTime'),
          })
          .map((configs) => new Map(Object.entries(configs))),
      }),
    ),
    { selector: ([name]) => name },
  )
  .map((entries): FoundTopics => new Map(entries))

describe('a plan of topics', () => {
  test('where nothing is, everything is made as it has to be', () => {
    const made = new Map(
      planTopics(NEEDS, NOTHING).create.map(({ topic, partitionCount, configs }) => [
        topic,
        { partitionCount, ...configs },
      ]),
    )
    const event = {
      partitionCount: 12,
      'cleanup.policy': 'delete',
      'retention.ms': DAYS_100_MS,
      'max.message.bytes': String((KIB + 64) * KIB),
      'message.timestamp.type': 'LogAppendTime',
    }
    assert.deepEqual(made.get('search'), event)
    assert.deepEqual(made.get('clicks'), event)
    const { 'retention.ms': _none, ...kept } = { ...event, 'cleanup.policy': 'compact' }
    assert.deepEqual([made.get('tabular'), made.get('tombstones')], [kept, kept])
    const { 'message.timestamp.type': _own, ...letters } = event
    assert.deepEqual(made.get('search.dlq'), { ...letters, 'max.message.bytes': String((KIB + 128) * KIB) })
    assert.deepEqual(made.get('freshet.repartition.clicks'), {
      ...event,
      'message.timestamp.type': 'CreateTime',
      'max.message.bytes': String((KIB + 128) * KIB),
    })
    const control = {
      partitionCount: 1,
      'cleanup.policy': 'delete',
      'retention.ms': '-1',
      'retention.bytes': '-1',
    }
    assert.deepEqual([made.get('freshet.instructions'), made.get('freshet.models')], [control, control])
    assert.deepEqual(made.get('freshet.state'), {
      partitionCount: 12,
      'cleanup.policy': 'compact',
      'max.message.bytes': String((2 * KIB + 64) * KIB),
    })
    assert.equal(made.size, names.length)
  })

  test('whatever is there, apply leaves nothing that it could still do, and touches no source', () => {
    fc.assert(
      fc.property(found, (there) => {
        const plan = planTopics(NEEDS, there)
        const after = planTopics(NEEDS, applied(there, plan))
        assert.deepEqual([after.create, [...after.change]], [[], []])
        for (const { topic } of NEEDS.sources) assert.ok(!plan.change.has(topic), topic)
        // What others have to mend is neither mended nor forgotten, and making the rest breaks nothing.
        const refused = ({ findings }: TopicPlan) => findings.filter(({ action }) => action === 'refuse')
        assert.deepEqual(refused(after), refused(plan))
        for (const { action, remedy } of plan.findings)
          assert.equal(remedy === null, action === 'create' || action === 'change')
      }),
      { seed: 20261124, numRuns: 500 },
    )
  })

  test('new topics get the count of those that are there, and others are refused', () => {
    const six = topic(6, { 'message.timestamp.type': 'LogAppendTime' })
    const plan = planTopics(NEEDS, new Map([['search', six]]))
    for (const { topic, use, partitionCount } of plan.create)
      assert.equal(partitionCount, use === 'control' ? 1 : 6, topic)
    assert.deepEqual(
      planTopics(NEEDS, new Map([['freshet.state', topic(5)]])).create.find(({ topic }) => topic === 'search')
        ?.partitionCount,
      5,
    )
    const most = new Map([
      ...ALL,
      ['search', six],
      ['freshet.state', topic(6, { 'cleanup.policy': 'compact' })],
    ])
    const refused = planTopics(NEEDS, most).findings.filter(({ action }) => action === 'refuse')
    assert.deepEqual(
      refused.map(({ topic, what, found, wanted }) => [topic, what, found, wanted]),
      [
        ['search', 'partitions', '6', '12'],
        ['freshet.state', 'partitions', '6', '12'],
      ],
    )
    assert.match(refused[0]!.remedy!, /partitioner to other/)
  })

  test('a topic whose producers choose partitions otherwise may have any count, its copy may not', () => {
    const three = topic(3, { 'message.timestamp.type': 'LogAppendTime', 'max.message.bytes': '1000' })
    assert.deepEqual(findingsOf('clicks', three), [])
    const plan = planTopics(NEEDS, new Map([['clicks', three]]))
    const counts = new Map(plan.create.map(({ topic, partitionCount }) => [topic, partitionCount]))
    assert.deepEqual(
      ['clicks.dlq', 'freshet.repartition.clicks', 'freshet.repartition.clicks.dlq', 'search'].map((name) =>
        counts.get(name),
      ),
      [3, 12, 12, 12],
    )
    const name = 'freshet.repartition.clicks'
    assert.deepEqual(findingsOf(name, topic(3, { 'max.message.bytes': '9000000' })), ['refuse partitions'])
    assert.deepEqual(findingsOf(name, topic(12, { 'message.timestamp.type': 'LogAppendTime' })), [
      'change message.timestamp.type',
      'change max.message.bytes',
    ])
  })

  test('control topics lose nothing: one partition, kept for ever, never compacted', () => {
    const name = 'freshet.instructions'
    const kept = { 'retention.ms': '-1' }
    assert.deepEqual(findingsOf(name, topic(1, kept)), [])
    assert.deepEqual(findingsOf(name, topic(2, kept)), ['refuse partitions'])
    assert.deepEqual(findingsOf(name, topic(1)), ['change retention.ms'])
    assert.deepEqual(findingsOf(name, topic(1, { ...kept, 'retention.bytes': '5' })), [
      'change retention.bytes',
    ])
    const compacted = { ...kept, 'cleanup.policy': 'compact' }
    assert.deepEqual(findingsOf(name, topic(1, compacted)), ['refuse cleanup.policy'])
    assert.deepEqual(findingsOf(name, topic(1, compacted, true)), ['change cleanup.policy'])
  })

  test('sources are for their owners to mend: compaction of events is refused, their times are a warning', () => {
    const times = { 'message.timestamp.type': 'LogAppendTime' }
    assert.deepEqual(findingsOf('search', topic(12)), ['warn message.timestamp.type'])
    assert.deepEqual(findingsOf('search', topic(12, { ...times, 'cleanup.policy': 'compact,delete' })), [
      'refuse cleanup.policy',
    ])
    assert.deepEqual(findingsOf('tabular', topic(12, times)), ['warn cleanup.policy'])
    assert.deepEqual(findingsOf('tombstones', topic(12, times)), ['refuse cleanup.policy'])
    assert.deepEqual(findingsOf('tombstones', topic(12, { ...times, 'retention.ms': '-1' })), [])
    assert.deepEqual(findingsOf('tombstones', topic(12, { ...times, 'cleanup.policy': 'compact' })), [])
  })

  test('dead letters take whatever their source takes, and stay when compaction ends', () => {
    const big = { 'message.timestamp.type': 'LogAppendTime', 'max.message.bytes': '5000000' }
    const plan = planWith('search', topic(12, big))
    assert.deepEqual([...plan.change], [['search.dlq', new Map([['max.message.bytes', '5065536']])]])
    const compacted = topic(12, { 'cleanup.policy': 'compact', 'max.message.bytes': '9000000' })
    assert.deepEqual(
      [...planWith('search.dlq', compacted).change.get('search.dlq')!],
      [
        ['cleanup.policy', 'delete'],
        ['retention.ms', DAYS_100_MS],
      ],
    )
  })

  test('the changelog is compacted and takes the largest state', () => {
    assert.deepEqual(findingsOf('freshet.state', topic(12)), [
      'change cleanup.policy',
      'change max.message.bytes',
    ])
    assert.deepEqual(
      planTopics({ ...NEEDS, userBytesMax: 4_000_000 }, ALL).findings.map(({ topic, wanted }) => [
        topic,
        wanted,
      ]),
      [['freshet.state', '4065536']],
    )
  })
})
