import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { checkPartition, murmur2, partitionOf } from '../../../src/drivers/kafka/partitioner.ts'
import { ConfigError } from '../../../src/errors.ts'

test("hashes are those of Kafka's own tests", () => {
  // From UtilsTest.testMurmur2 of Apache Kafka.
  const cases: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ]
  for (const [key, hash] of cases) assert.equal(murmur2(Buffer.from(key)), hash, key)
})

test('any key belongs where kafkajs puts it', () => {
  const choose = Partitioners.DefaultPartitioner()
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 40 }).map(Buffer.from),
        fc.string({ minLength: 1 }).map((s) => Buffer.from(s)),
      ),
      fc.integer({ min: 1, max: 200 }),
      (key, partitionCount) => {
        const partitionMetadata = Array.from({ length: partitionCount }, (_, partitionId) => ({
          partitionErrorCode: 0,
          partitionId,
          leader: 1,
          replicas: [],
          isr: [],
        }))
        assert.equal(
          partitionOf(key, partitionCount),
          choose({ topic: 't', partitionMetadata, message: { key, value: null } }),
        )
      },
    ),
    { seed: 20261124 },
  )
})

test('a record in the partition of its key passes, any other is refused with the remedy', () => {
  const key = Buffer.from('u1')
  const partition = partitionOf(key, 8)
  const record = { topic: 'behavior.app', offset: 7, appendTimeMs: 0, value: null }
  checkPartition({ ...record, partition, key }, 8)
  checkPartition({ ...record, partition: 5, key: null }, 8)
  assert.throws(
    () => checkPartition({ ...record, partition: (partition + 1) % 8, key }, 8),
    (error) =>
      error instanceof ConfigError &&
      error.code === 'topic-partitioner' &&
      /murmur2_random/.test(error.message),
  )
})
