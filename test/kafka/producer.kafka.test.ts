import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { after, before, type TestContext, test } from 'node:test'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { RecordError, UnavailableError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type Broker, startBroker } from './broker.ts'
import { kafkaSettings, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, readValues, withAdmin } from './kafkajs-records.ts'
import { freePorts } from './ports.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'
import { TcpProxy } from './tcp-proxy.ts'

function record(value: string, key: string | null = 'u1') {
  return { key: key === null ? null : Buffer.from(key), value: Buffer.from(value) }
}

async function producerOf(
  t: TestContext,
  bootstrap: string,
  over: Partial<KafkaSettings> = {},
): Promise<SafeProducer> {
  const producer = await SafeProducer.open(kafkaSettings(bootstrap, 'p', over), systemClock)
  t.after(() => producer.close())
  return producer
}

kafkaSuite('a safe producer', () => {
  test('many small sends land once each, in the order of the calls, in every compression', async (t) => {
    const { bootstrap } = await sharedBroker()
    const producer = await producerOf(t, bootstrap)
    for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const topic = uniqueName(compression)
      await createTopic(bootstrap, topic, 3)
      const sends = Array.from({ length: 600 }, (_, i) =>
        producer.send(topic, i % 3, [record(`${i} a`), record(`${i} b`)], compression),
      )
      const offsets = await Promise.all(sends)
      const expected = [0, 1, 2].flatMap((partition) =>
        Array.from({ length: 200 }, (_, n) => [`${3 * n + partition} a`, `${3 * n + partition} b`]).flat(),
      )
      if (compression === 'none' || compression === 'gzip')
        assert.deepEqual(await readValues(bootstrap, topic), expected)
      for (const [i, offset] of offsets.entries()) assert.equal(offset, 2 * Math.floor(i / 3), `send ${i}`)
    }
  })

  test('a producer that was closed leaves no connection behind', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('left')
    await createTopic(bootstrap, topic, 8)
    const sockets: Socket[] = []
    const see = (message: unknown) => sockets.push((message as { socket: Socket }).socket)
    subscribe('net.client.socket', see)
    t.after(() => unsubscribe('net.client.socket', see))
    const producer = await producerOf(t, bootstrap)
    // All partitions at once: each asks for brokers, leaders and a producer id while nobody is connected yet.
    await Promise.all(Array.from({ length: 8 }, (_, i) => producer.send(topic, i, [record('x')])))
    assert.ok(sockets.some(({ destroyed }) => !destroyed))
    await producer.close()
    await until('all sockets are gone', () => sockets.every(({ destroyed }) => destroyed))
  })

  test('a record that the broker refuses fails alone', async (t) => {
    const { bootstrap } = await sharedBroker()
    const topic = uniqueName('refusing')
    const config = [
      { name: 'cleanup.policy', value: 'compact' },
      { name: 'max.message.bytes', value: '10000' },
    ]
    await withAdmin(bootstrap, (admin) =>
      admin.createTopics({
        topics: [{ topic, numPartitions: 1, configEntries: config }],
        waitForLeaders: true,
      }),
    )
    const producer = await producerOf(t, bootstrap)
    const large = 'x'.repeat(12_000)
    const medium = 'y'.repeat(900)
    const sends = [
      producer.send(topic, 0, [record('first')]),
      producer.send(topic, 0, [record(large)]),
      producer.send(topic, 0, [record('without a key', null)]),
      producer.send(
        topic,
        0,
        Array.from({ length: 30 }, () => record(medium)),
      ),
      producer.send(topic, 0, [record('last')]),
    ]
    const outcomes = await Promise.allSettled(sends)
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'landed')),
      ['landed', 'kafka-record-refused', 'kafka-record-refused', 'landed', 'landed'],
    )
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof RecordError)
    assert.deepEqual(await readValues(bootstrap, topic), ['first', ...Array(30).fill(medium), 'last'])
    await producer.close()
  })
})

kafkaSuite('a safe producer, and a network that fails', () => {
  let broker: Broker
  let proxy: TcpProxy

  before(async () => {
    const [port = 0, proxyPort = 0] = await freePorts(2)
    const properties = { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxyPort}` }
    proxy = await TcpProxy.start(proxyPort, port)
    broker = await startBroker({ port, properties })
  })

  after(async () => {
    await proxy?.close()
    await broker?.close()
  })

  async function topicOf(what: string): Promise<string> {
    const topic = uniqueName(what)
    await createTopic(`127.0.0.1:${proxy.port}`, topic, 1)
    return topic
  }

  test('connections that are cut lose nothing, double nothing, and keep the order', async (t) => {
    const bootstrap = `127.0.0.1:${proxy.port}`
    const topic = await topicOf('cut')
    const producer = await producerOf(t, bootstrap)
    const sends: Promise<number>[] = []
    let durable = 0
    for (let i = 0; i < 400; i++) {
      const send = producer.send(topic, 0, [record(`${i}`)])
      sends.push(send)
      void send.then(() => durable++)
      // Some are cut before they are sent, some on their way, some before their answer.
      if (i % 8 === 7) {
        if (i % 16 === 7) await until('some are durable', () => durable > i - 40)
        proxy.cut()
      }
    }
    await Promise.all(sends)
    assert.deepEqual(
      await readValues(bootstrap, topic),
      Array.from({ length: 400 }, (_, i) => `${i}`),
    )
  })

  test('what got no answer in time is told to be unknown, and never lands behind what was sent later', async (t) => {
    const bootstrap = `127.0.0.1:${proxy.port}`
    const topic = await topicOf('silent')
    const producer = await producerOf(t, bootstrap, { requestTimeoutMs: 2_000 })
    await producer.send(topic, 0, [record('0')])
    proxy.holdAnswers()
    await assert.rejects(producer.send(topic, 0, [record('unknown')]), UnavailableError)
    await assert.rejects(producer.send(topic, 0, [record('never sent')]), UnavailableError)
    const later = producer.send(topic, 0, [record('later')])
    proxy.release()
    proxy.cut()
    await later
    assert.deepEqual(await readValues(bootstrap, topic), ['0', 'unknown', 'later'])
  })

  test('a close with brokers that are away ends in time, and says that it is not known', async (t) => {
    const bootstrap = `127.0.0.1:${proxy.port}`
    const topic = await topicOf('closed')
    const producer = await producerOf(t, bootstrap, { requestTimeoutMs: 60_000 })
    await producer.send(topic, 0, [record('0')])
    proxy.refuse()
    const send = assert.rejects(producer.send(topic, 0, [record('1')]), UnavailableError)
    const startMs = performance.now()
    await producer.close(300)
    await send
    assert.ok(performance.now() - startMs < 20_000, 'not as long as a request may take')
    await assert.rejects(producer.send(topic, 0, [record('2')]), UnavailableError)
    proxy.admit()
  })
})
