import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { KafkaCluster } from '../../src/drivers/kafka/kafka-cluster.ts'
import { KafkaDeadLetters } from '../../src/drivers/kafka/kafka-dead-letters.ts'
import { KafkaLetters } from '../../src/drivers/kafka/kafka-letters.ts'
import { listOffsets } from '../../src/drivers/kafka/list-offsets.ts'
import { readPartition } from '../../src/drivers/kafka/partition-reader.ts'
import { keepRawHeaders, rawHeaders } from '../../src/drivers/kafka/raw-headers.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { SourceRecord } from '../../src/events/source-record.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { DeadLetter } from '../../src/pipeline/control-log.ts'
import { type NamedLetter, recordAgain } from '../../src/pipeline/letters.ts'
import { kafkaSettings } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, withAdmin } from './kafkajs-records.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

const PARTITIONS = 2
const TIME_MS = 1_700_000_000_000

function letterOf(topic: string, n: number, over: Partial<DeadLetter> = {}): DeadLetter {
  return {
    topic,
    partition: n % PARTITIONS,
    offset: n,
    appendTimeMs: TIME_MS + n,
    key: Buffer.from(`u${n}`),
    value: Buffer.from([0, 255, n]),
    headers: {},
    reason: n % 3 === 0 ? 'record-json' : 'record-frame',
    error: 'expected 12 bytes, got 3',
    attempts: 1,
    failedAtMs: TIME_MS + 1_000 * n,
    ...over,
  }
}

/** Two source topics with their dead letters, and whoever reads them. */
async function openLetters(t: TestContext, configEntries: { name: string; value: string }[] = []) {
  const { bootstrap } = await sharedBroker()
  const topics = [uniqueName('clicks'), uniqueName('pays')] as [string, string]
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: topics.map((topic) => ({ topic, numPartitions: PARTITIONS, configEntries })),
      waitForLeaders: true,
    }),
  )
  for (const topic of topics) await createTopic(bootstrap, `${topic}.dlq`, PARTITIONS)
  const settings = kafkaSettings(bootstrap, 'letters')
  const cluster = await KafkaCluster.create(settings, systemClock)
  const producer = await SafeProducer.open(settings, systemClock)
  t.after(async () => {
    await producer.close()
    cluster.close()
  })
  const read = async (topic: string): Promise<SourceRecord[]> => {
    const all: SourceRecord[] = []
    for (let partition = 0; partition < PARTITIONS; partition++)
      for await (const { records } of readPartition(cluster, { topic, partition }, 0)) all.push(...records)
    return all
  }
  return {
    topics,
    cluster,
    producer,
    put: (letters: readonly DeadLetter[]) => new KafkaDeadLetters(producer).put(letters),
    letters: new KafkaLetters(producer, topics),
    /** Another process: it knows only what the topics say. */
    others: () => new KafkaLetters(producer, topics),
    read,
  }
}

const numbers = (letters: readonly NamedLetter[]) => letters.map(({ letter }) => letter.offset)

kafkaSuite('dead letters on topics', () => {
  test('letters of all topics and partitions are listed oldest first, in pages of any size, once however often they were put', async (t) => {
    const { topics, letters, put, others } = await openLetters(t)
    const [clicks, pays] = topics
    const drawn = Array.from({ length: 23 }, (_, n) => letterOf(n % 2 === 0 ? clicks : pays, n))
    // Worker by worker, not in the order of time.
    await put(drawn.slice(0, 9))
    await put(drawn.slice(5))
    const all = await letters.list({}, null, 100)
    assert.deepEqual(
      numbers(all),
      drawn.map(({ offset }) => offset),
    )
    assert.deepEqual(all[7]!.letter, drawn[7])
    for (const limit of [1, 4, 23]) {
      const paged: NamedLetter[] = []
      for (let after: string | null = null; ; after = paged.at(-1)!.id) {
        const page = await letters.list({}, after, limit)
        paged.push(...page)
        if (page.length < limit) break
      }
      assert.deepEqual(paged, all, `pages of ${limit}`)
    }
    assert.deepEqual(numbers(await others().list({ reason: 'record-json' }, all[6]!.id, 2)), [9, 12])
    assert.deepEqual(numbers(await letters.list({ ids: [all[4]!.id, all[2]!.id, 'none'] }, null, 9)), [2, 4])
  })

  test('a letter is shown by its id, which is one segment of a path, and nothing by any other', async (t) => {
    const { topics, letters, put } = await openLetters(t)
    await put([letterOf(topics[0], 0), letterOf(topics[0], 2)])
    const [first, second] = await letters.list({}, null, 9)
    assert.equal(encodeURIComponent(first!.id).replaceAll('%3A', ':'), first!.id)
    assert.deepEqual(await letters.show(second!.id), second)
    const { id } = second!
    const others = [`${topics[0]}.dlq:0:2`, `${topics[0]}.dlq:7:0`, id.replace('.dlq', ''), 'x', '', `${id}9`]
    for (const unknown of others) assert.equal(await letters.show(unknown), null, unknown)
  })

  test('a letter that is put back is in its partition as it came, with its time and its attempts, and is a letter no more', async (t) => {
    const { topics, letters, put, others, read, cluster } = await openLetters(t)
    const [topic] = topics
    const guid = Buffer.from([1, 0xc3, 0x28, 0xff])
    const headers = { 'content-type': 'avro' }
    keepRawHeaders(headers, [
      ['content-type', Buffer.from('avro')],
      ['__value_schema_id', guid],
    ])
    const future = letterOf(topic, 3, { reason: 'event-from-future' })
    await put([letterOf(topic, 1, { headers, attempts: 2 }), letterOf(topic, 2), future])
    const [first, second] = await letters.list({}, null, 9)
    assert.equal(await letters.retry({ ids: [first!.id, first!.id] }, recordAgain), 1)
    // Whoever looks, now and after a crash: it is gone, and isn't put back twice.
    for (const reader of [letters, others()]) {
      assert.deepEqual(numbers(await reader.list({}, null, 9)), [2, 3])
      assert.deepEqual(numbers(await reader.list({}, first!.id, 1)), [2])
      assert.equal(await reader.show(first!.id), null)
      assert.equal(await reader.retry({ ids: [first!.id] }, recordAgain), 0)
    }
    const beforeMs = Date.now()
    assert.equal(await others().retry({}, recordAgain), 2)
    assert.deepEqual(await letters.list({}, null, 9), [])
    const back = await read(topic)
    assert.deepEqual(
      back.map(({ partition, key, value }) => [partition, `${key}`, value![2]]),
      [
        [0, 'u2', 2],
        [1, 'u1', 1],
        [1, 'u3', 3],
      ],
    )
    assert.deepEqual(
      rawHeaders(back[1]!.headers!).map(([name, value]) => [name, Buffer.from(value!).toString('hex')]),
      [
        ['content-type', Buffer.from('avro').toString('hex')],
        ['__value_schema_id', guid.toString('hex')],
        ['freshet.dlq.attempts', Buffer.from('2').toString('hex')],
      ],
    )
    assert.deepEqual([back[0]!.appendTimeMs, back[1]!.appendTimeMs], [TIME_MS + 2, TIME_MS + 1])
    // What came too early comes back as of now.
    assert.ok(back[2]!.appendTimeMs >= beforeMs - 1_000)
    assert.equal(back[2]!.headers!['freshet.dlq.first-append-time-ms'], String(TIME_MS + 3))
    // It fails again: the attempts go on, and it is another letter.
    const { offset, partition, headers: came } = back[1]!
    await put([letterOf(topic, 9, { offset, partition, headers: came! })])
    const [again] = await letters.list({}, null, 9)
    assert.equal(again!.letter.attempts, 3)
    assert.notEqual(again!.id, first!.id)
    assert.equal(second!.letter.offset, 2)
    assert.equal((await listOffsets(cluster, [{ topic, partition: 1 }], 'end'))[0], 2)
  })

  test('a crash between putting back and marking puts back again, and no letter is lost', async (t) => {
    const { topics, put, producer, others, read } = await openLetters(t)
    const [topic] = topics
    await put([letterOf(topic, 1), letterOf(topic, 2)])
    const send = producer.send.bind(producer)
    producer.send = async (to, ...rest) => {
      if (to.endsWith('.dlq'))
        throw new UnavailableError('kafka-unreachable', 'expected an answer, got a crash')
      return send(to, ...rest)
    }
    await assert.rejects(others().retry({}, recordAgain), UnavailableError)
    producer.send = send
    assert.deepEqual(numbers(await others().list({}, null, 9)), [1, 2])
    assert.equal(await others().retry({}, recordAgain), 2)
    assert.deepEqual(await others().list({}, null, 9), [])
    const keys = (await read(topic)).map(({ key }) => `${key}`)
    assert.deepEqual(new Set(keys), new Set(['u1', 'u2']))
  })

  test('what can not be sent stays a letter: what still is no record, and what its topic never takes', async (t) => {
    const narrow = [{ name: 'max.message.bytes', value: '2000' }]
    const { topics, letters, put, read } = await openLetters(t, narrow)
    const [clicks, pays] = topics
    const large = letterOf(clicks, 2, { value: Buffer.alloc(8_000, 1) })
    await put([letterOf(clicks, 0), large, letterOf(clicks, 4), letterOf(clicks, 6)])
    const retried = await letters.retry({}, (letter) => {
      if (letter.offset === 4) return null
      // A line of an import becomes a record of another topic.
      return letter.offset === 6 ? { ...recordAgain(letter), topic: pays } : recordAgain(letter)
    })
    assert.equal(retried, 2)
    assert.deepEqual(numbers(await letters.list({}, null, 9)), [2, 4])
    assert.deepEqual(
      (await read(pays)).map(({ key }) => `${key}`),
      ['u6'],
    )
  })

  test('purging some marks them, purging all empties the topics, and what comes later is a letter', async (t) => {
    const { topics, letters, put, others, read, cluster } = await openLetters(t)
    const [clicks, pays] = topics
    await put(Array.from({ length: 12 }, (_, n) => letterOf(n < 6 ? clicks : pays, n)))
    const before = await letters.list({}, null, 99)
    assert.equal(await letters.purge({ reason: 'record-json' }), 4)
    assert.equal(await letters.purge({ ids: [before[1]!.id, before[0]!.id] }), 1)
    for (const reader of [letters, others()])
      assert.deepEqual(numbers(await reader.list({}, null, 99)), [2, 4, 5, 7, 8, 10, 11])
    assert.equal(await others().purge({}), 7)
    for (const topic of topics) assert.deepEqual(await read(`${topic}.dlq`), [])
    assert.deepEqual(await letters.list({}, before[3]!.id, 9), [])
    assert.equal(await letters.show(before[2]!.id), null)
    await put([letterOf(clicks, 20)])
    for (const reader of [letters, others()]) assert.deepEqual(numbers(await reader.list({}, null, 9)), [20])
    // Nothing came back.
    for (const topic of topics)
      assert.deepEqual(await listOffsets(cluster, [{ topic, partition: 0 }], 'end'), [0])
    assert.equal(letters.count(), null)
  })
})
