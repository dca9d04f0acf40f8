import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Broker, startBroker } from './broker.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic, endOffsets, produce, readValues, withAdmin } from './kafkajs-records.ts'
import { isAlive, until } from './process-end.ts'
import { sharedBroker, uniqueName } from './shared-broker.ts'

/** @returns the error code, or `connected` */
async function knock(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, timeout: 2_000 })
  try {
    await once(socket, 'connect')
    return 'connected'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? `${error}`
  } finally {
    socket.destroy()
  }
}

kafkaSuite('a broker of its own', () => {
  let broker: Broker

  before(async () => {
    broker = await startBroker()
  })

  after(async () => {
    await broker?.close()
  })

  test('what was acknowledged is there after a kill and after a stop, at the same address', async () => {
    const topic = uniqueName('kept')
    const address = broker.bootstrap
    await createTopic(address, topic, 2)
    const round = (name: string) =>
      [0, 1].map((partition) => ({ partition, value: `${name} in ${partition}` }))
    await produce(address, topic, round('first'))
    await broker.kill()
    await broker.start()
    await produce(address, topic, round('second'))
    await broker.stop()
    await broker.start()
    assert.equal(broker.bootstrap, address)
    assert.deepEqual(await endOffsets(address, topic), [2, 2])
    assert.deepEqual(await readValues(address, topic), [
      'first in 0',
      'second in 0',
      'first in 1',
      'second in 1',
    ])
  })

  test('a broker that runs is not started a second time', async () => {
    await assert.rejects(broker.start(), /is running already/)
  })

  test('it listens on loopback only', async () => {
    const port = Number(broker.bootstrap.split(':')[1])
    assert.equal(await knock('127.0.0.1', port), 'connected')
    const outside = Object.values(networkInterfaces())
      .flat()
      .filter((one) => one !== undefined && !one.internal && one.family === 'IPv4')
    for (const one of outside) assert.notEqual(await knock(one!.address, port), 'connected', one!.address)
  })

  test('a missing topic is not made up by whoever asks for it', async () => {
    const topics = await withAdmin(broker.bootstrap, async (admin) => {
      await admin.fetchTopicMetadata({ topics: [uniqueName('nowhere')] }).catch(() => {})
      return await admin.listTopics()
    })
    assert.deepEqual(
      topics.filter((name) => name.startsWith('nowhere')),
      [],
    )
  })

  test('a start on a taken port fails with what Kafka said about it, and leaves nothing', async () => {
    const port = Number(broker.bootstrap.split(':')[1])
    await assert.rejects(startBroker({ port }), (error: Error) => {
      assert.equal(error.name, 'KafkaError')
      return /in use/.test(error.message)
    })
  })

  test('its owner hears of an end that it did not ask for, with the end of the log', async () => {
    const heard: string[] = []
    const own = await startBroker({ onDeath: (how) => heard.push(how) })
    process.kill(own.pid, 'SIGKILL')
    await until('the death is told', () => heard.length > 0)
    assert.match(heard[0]!, /ended by itself, signal SIGKILL:\n[\s\S]*Kafka Server started/)
    await own.close()
    assert.ok(!existsSync(own.dataFolder))
  })

  test('data in a folder that was named outlive the broker, and another goes on with them', async () => {
    const data = mkdtempSync(join(tmpdir(), 'freshet-kafka-test-'))
    const topic = uniqueName('outlives')
    const first = await startBroker({ data })
    try {
      await createTopic(first.bootstrap, topic)
      await produce(first.bootstrap, topic, [{ partition: 0, value: 'one' }])
    } finally {
      await first.stop()
      await first.close()
    }
    const second = await startBroker({ data })
    try {
      assert.notEqual(second.bootstrap, first.bootstrap)
      assert.deepEqual(await readValues(second.bootstrap, topic), ['one'])
    } finally {
      await second.close()
      assert.ok(existsSync(data))
      rmSync(data, { recursive: true, force: true })
    }
  })

  test('a process that is killed takes its broker and the data along', async () => {
    const holder = fileURLToPath(new URL('./broker-holder.ts', import.meta.url))
    const child = spawn(process.execPath, [holder], { stdio: ['ignore', 'pipe', 'ignore'] })
    const exit = once(child, 'exit')
    const [line] = await once(child.stdout, 'data')
    const [pid = '', folder = ''] = `${line}`.trim().split(' ')
    assert.ok(isAlive(Number(pid)) && existsSync(folder))
    child.kill('SIGKILL')
    await exit
    await until('the JVM has ended', () => !isAlive(Number(pid)))
    await until('its data are removed', () => !existsSync(folder))
  })
})

kafkaSuite('the shared broker', () => {
  test('all who ask get the same, and names that nobody else has', async () => {
    const [one, other] = await Promise.all([sharedBroker(), sharedBroker()])
    assert.equal(one, other)
    assert.notEqual(uniqueName('topic'), uniqueName('topic'))
    await createTopic(one.bootstrap, uniqueName('topic'))
  })
})
