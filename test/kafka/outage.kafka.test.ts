import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { UnavailableError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type Broker, startBroker } from './broker.ts'
import { kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic } from './kafkajs-records.ts'
import { freePorts } from './ports.ts'
import { uniqueName } from './shared-broker.ts'
import { TcpProxy } from './tcp-proxy.ts'

const OUTAGE_MS_MAX = 90_000

const record = (value: number) => ({ key: Buffer.from('u1'), value: Buffer.from(`${value}`) })
const upTo = (count: number) => Array.from({ length: count }, (_, i) => `${i}`)
const position = (topic: string, offset: number) => new Map([[0, new Map([[topic, offset]])]])

kafkaSuite('a broker that goes and comes', () => {
  let broker: Broker
  let proxy: TcpProxy
  let bootstrap: string

  before(async () => {
    const [port = 0, proxyPort = 0] = await freePorts(2)
    bootstrap = `127.0.0.1:${proxyPort}`
    proxy = await TcpProxy.start(proxyPort, port)
    broker = await startBroker({ port, properties: { 'advertised.listeners': `PLAINTEXT://${bootstrap}` } })
  })

  after(async () => {
    await proxy?.close()
    await broker?.close()
  })

  async function newTopic(): Promise<string> {
    const topic = uniqueName('outage')
    await createTopic(bootstrap, topic)
    return topic
  }

  test('a broker that dies and comes back: nothing is missed, doubled or out of order, and commits count again', async (t) => {
    const topic = await newTopic()
    const settings = kafkaSettings(bootstrap, uniqueName('group'), { requestTimeoutMs: OUTAGE_MS_MAX })
    const { source, collector } = await startedSource(t, settings, [topic])
    const producer = await SafeProducer.open(settings, systemClock)
    t.after(() => producer.close())
    const sends: Promise<number>[] = []
    const send = async (count: number) => {
      for (let i = 0; i < count; i++) {
        sends.push(producer.send(topic, 0, [record(sends.length)]))
        if (i % 20 === 0) await sleep(1)
      }
    }
    await send(200)
    await until('some have come', () => collector.received.length > 50)
    await broker.kill()
    await send(50)
    await broker.start()
    await send(50)
    await Promise.all(sends)
    await until('all have come', () => collector.received.length >= 300, OUTAGE_MS_MAX)
    assert.deepEqual(collector.values(topic), upTo(300))
    await until(
      'a commit counts',
      async () => {
        const { generation } = collector.assignments.at(-1)!
        return await source.commit(generation, position(topic, 300))
      },
      OUTAGE_MS_MAX,
    )
    assert.equal((await source.committed(0)).get(topic), 300)
    assert.equal(collector.failure, undefined)
  })

  test('a start waits for brokers that are away, as long as it was told to', async () => {
    const topic = await newTopic()
    const settings = kafkaSettings(bootstrap, uniqueName('group'), { startTimeoutMs: 60_000 })
    proxy.refuse()
    const startMs = performance.now()
    const soon = { ...settings, startTimeoutMs: 800 }
    await assert.rejects(KafkaEventSource.open(soon, [topic], systemClock), UnavailableError)
    const tookMs = performance.now() - startMs
    assert.ok(tookMs > 300 && tookMs < settings.startTimeoutMs / 2, `${tookMs} ms`)
    const opening = KafkaEventSource.open(settings, [topic], systemClock)
    await sleep(500)
    proxy.admit()
    await (await opening).close()
  })

  test('connections that are cut all the time: every record comes once, and the membership lasts', async (t) => {
    const topic = await newTopic()
    const settings = kafkaSettings(bootstrap, uniqueName('group'), { requestTimeoutMs: OUTAGE_MS_MAX })
    const { source, collector } = await startedSource(t, settings, [topic])
    const producer = await SafeProducer.open(settings, systemClock)
    t.after(() => producer.close())
    await until('it reads', () => collector.assignments.length === 1)
    const { generation } = collector.assignments[0]!
    for (let i = 0; i < 60; i++) {
      const sent = producer.send(topic, 0, [record(i)])
      if (i % 3 === 0) proxy.cut()
      const committed = source.commit(generation, position(topic, i))
      if (i % 4 === 0) proxy.cut()
      await sent
      assert.equal(await committed, true, 'a connection that is lost takes nobody out of the group')
    }
    await until('all have come', () => collector.received.length >= 60)
    assert.deepEqual(collector.values(topic), upTo(60))
    assert.equal(collector.assignments.length, 1)
  })

  test('a commit whose answer is lost is asked again under the same generation, and told as it is', async (t) => {
    const topic = await newTopic()
    const settings = kafkaSettings(bootstrap, uniqueName('group'), {
      sessionTimeoutMs: 6_000,
      heartbeatIntervalMs: 1_000,
    })
    const { source, collector } = await startedSource(t, settings, [topic])
    await until('it reads', () => collector.assignments.length === 1)
    const { generation } = collector.assignments[0]!
    proxy.holdAnswers()
    const committing = source.commit(generation, position(topic, 7))
    await sleep(300)
    proxy.release()
    proxy.cut()
    assert.equal(await committing, true)
    assert.equal((await source.committed(0)).get(topic), 7)
  })

  test('a broker that is silent is not waited for: a commit is unknown in time, a close ends in time', async (t) => {
    const topic = await newTopic()
    const settings = kafkaSettings(bootstrap, uniqueName('group'), {
      requestTimeoutMs: 1_500,
      stopTimeoutMs: 700,
    })
    const { source, collector } = await startedSource(t, settings, [topic])
    await until('it reads', () => collector.assignments.length === 1)
    const { generation } = collector.assignments[0]!
    t.after(() => proxy.release())
    proxy.holdAnswers()
    const startMs = performance.now()
    await assert.rejects(source.commit(generation, position(topic, 7)), UnavailableError)
    const commitMs = performance.now() - startMs
    assert.ok(commitMs < 20_000, `${commitMs} ms`)
    await source.close()
    const closeMs = performance.now() - startMs - commitMs
    assert.ok(closeMs < 20_000, `${closeMs} ms`)
  })
})
