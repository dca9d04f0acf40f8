import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompressionTypes, Partitioners } from 'kafkajs'
import { kafkaMissing } from './jars.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, produce } from './kafkajs-records.ts'
import { type KcatMessage, kcatConsume, kcatMissing, kcatProduce } from './kcat.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const KEYS = [
  ...Array.from({ length: 200 }, (_, i) => `user-${i}`),
  ...['你好', '用户-七', 'Zoë', 'naïve', '🚆', ''],
]
const PARTITION_COUNT = 24

function register(): void {
  async function newTopic(partitions = 1): Promise<{ bootstrap: string; topic: string }> {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('kcat')
    await createTopic(bootstrap, topic, partitions)
    return { bootstrap, topic }
  }

  /** Where kafkajs, as Java, would put each key. */
  function javaPartitions(topic: string): Map<string, number> {
    const choose = Partitioners.DefaultPartitioner()
    const partitionMetadata = Array.from({ length: PARTITION_COUNT }, (_, partitionId) => ({
      partitionErrorCode: 0,
      partitionId,
      leader: 1,
      replicas: [1],
      isr: [1],
    }))
    return new Map(
      KEYS.map((key) => [key, choose({ topic, partitionMetadata, message: { key, value: '' } })]),
    )
  }

  async function kcatPartitions(partitioner?: 'murmur2_random'): Promise<Map<string, number>> {
    const { bootstrap, topic } = await newTopic(PARTITION_COUNT)
    const messages = KEYS.map((key) => ({ key, value: 'x' }))
    await kcatProduce(bootstrap, topic, messages, partitioner === undefined ? {} : { partitioner })
    const records = await kcatConsume(bootstrap, topic)
    return new Map(records.map(({ key, partition }) => [key!.toString(), partition]))
  }

  test('with murmur2_random kcat puts every key where Java would', async () => {
    const java = javaPartitions('any')
    const kcat = await kcatPartitions('murmur2_random')
    assert.equal(kcat.size, KEYS.length)
    for (const [key, partition] of kcat) assert.equal(partition, java.get(key), key)
  })

  test('when nobody says anything, kcat puts most keys elsewhere', async () => {
    const java = javaPartitions('any')
    const elsewhere = [...(await kcatPartitions())].filter(([key, partition]) => java.get(key) !== partition)
    assert.ok(elsewhere.length > KEYS.length / 2, `${elsewhere.length} of ${KEYS.length} keys`)
  })

  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)
    test(`bytes, tombstones and headers go through ${compression} and come back`, async () => {
      const { bootstrap, topic } = await newTopic()
      const bytes = Uint8Array.from({ length: 512 }, (_, i) => i % 256)
      const messages: KcatMessage[] = [
        { key: bytes, value: bytes },
        { key: null, value: 'no key\nbut two lines' },
        { key: 'gone', value: null },
        { key: 'last', value: 'v'.repeat(10_000) },
      ]
      await kcatProduce(bootstrap, topic, messages, {
        compression,
        headers: [
          ['source', 'kcat'],
          ['source', 'again'],
        ],
      })
      await kcatProduce(bootstrap, topic, [{ key: 'empty', value: '' }], { compression })
      const records = await kcatConsume(bootstrap, topic)
      const buffer = (part: string | Uint8Array | null) =>
        part === null ? null : Buffer.from(part as string)
      assert.deepEqual(
        records.map(({ key, value }) => ({ key, value })),
        [...messages, { key: 'empty', value: '' }].map(({ key, value }) => ({
          key: buffer(key),
          value: buffer(value),
        })),
      )
      assert.deepEqual(
        records.map(({ offset, headers }) => [offset, headers]),
        [0, 1, 2, 3, 4].map((offset) => [offset, offset === 4 ? '' : 'source=kcat,source=again']),
      )
      for (const { timestampMs } of records) assert.ok(Math.abs(timestampMs - Date.now()) < 60_000)
    })

  test('what kafkajs writes, kcat reads', async () => {
    const { bootstrap, topic } = await newTopic(2)
    const messages = [
      { partition: 1, key: 'k', value: 'v', headers: { from: 'kafkajs' } },
      { partition: 0, key: null, value: null },
    ]
    await produce(bootstrap, topic, messages, CompressionTypes.GZIP)
    assert.deepEqual(
      (await kcatConsume(bootstrap, topic)).map(({ partition, key, value, headers }) => [
        partition,
        key?.toString() ?? null,
        value?.toString() ?? null,
        headers,
      ]),
      [
        [0, null, null, ''],
        [1, 'k', 'v', 'from=kafkajs'],
      ],
    )
  })

  test('what kcat could not deliver is an error with its own words', async () => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('nowhere')
    await assert.rejects(kcatProduce(bootstrap, topic, [{ key: null, value: 'x' }]), /Unknown topic/)
  })

  test('empty values and tombstones, which one kcat can’t tell apart, are refused together', async () => {
    const both = [
      { key: 'a', value: '' },
      { key: 'b', value: null },
    ]
    await assert.rejects(kcatProduce('127.0.0.1:1', 'any', both), /call it twice/)
  })
}

kafkaSuite('kcat', register, kafkaMissing() ?? kcatMissing())
