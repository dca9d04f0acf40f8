/** A broker that can be connected to, and what keeps us from using it. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openKafka, patienceOfWorkers } from '../../src/cli/kafka-access.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type Broker, startBroker } from '../kafka/broker.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { freePorts } from '../kafka/ports.ts'

const LIMIT_MS = 1_500
/** For what is answered: a broker's first handshakes may take a while. */
const PATIENCE_MS = 60_000
const PLAIN =
  'org.apache.kafka.common.security.plain.PlainLoginModule required user_freshet="right" user_other="x";'

kafkaSuite('the way to Kafka', () => {
  let broker: Broker
  let secret: string
  let astray: string
  let nowhere: string

  before(async () => {
    const [port = 0, controllerPort = 0, secretPort = 0, astrayPort = 0, nobodysPort = 0] = await freePorts(5)
    secret = `127.0.0.1:${secretPort}`
    astray = `127.0.0.1:${astrayPort}`
    nowhere = `127.0.0.1:${nobodysPort}`
    const own = `127.0.0.1:${port}`
    broker = await startBroker({
      port,
      controllerPort,
      properties: {
        listeners: `PLAINTEXT://${own},CONTROLLER://127.0.0.1:${controllerPort},SECRET://${secret},ASTRAY://${astray}`,
        'advertised.listeners': `PLAINTEXT://${own},SECRET://${secret},ASTRAY://${nowhere}`,
        'listener.security.protocol.map':
          'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECRET:SASL_PLAINTEXT,ASTRAY:PLAINTEXT',
        'listener.name.secret.sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.secret.plain.sasl.jaas.config': PLAIN,
      },
    })
  })

  after(() => broker?.close())

  const opened = (address: string, flags: Record<string, unknown> = {}) => {
    const { settings } = loadSettings({
      file: null,
      env: {},
      flags: {
        'events.driver': 'kafka',
        'events.kafka.brokers': [address],
        'events.kafka.startTimeoutMs': LIMIT_MS,
        'vectors.sqliteFile': 'never-opened.db',
        ...flags,
      },
    })
    return openKafka(
      settings,
      systemClock,
      patienceOfWorkers(settings, () => {}),
    )
  }
  const as = (mechanism: string, password: string) => ({
    'events.kafka.startTimeoutMs': PATIENCE_MS,
    'events.kafka.sasl.mechanism': mechanism,
    'events.kafka.sasl.username': 'freshet',
    'events.kafka.sasl.password': password,
  })

  test('who is let in is connected, and may ask', async () => {
    const { cluster, close } = await opened(secret, as('plain', 'right'))
    assert.equal((await cluster.metadata([])).nodes.size, 1)
    await close()
  })

  test('a wrong password, another mechanism, and SASL where none is wanted are told at once', async () => {
    const wrong: [string, Record<string, unknown>][] = [
      [secret, as('plain', 'wrong')],
      [secret, as('scram-sha-256', 'right')],
      [broker.bootstrap, as('plain', 'right')],
    ]
    for (const [address, flags] of wrong) {
      const startMs = performance.now()
      await assert.rejects(opened(address, flags), { code: 'kafka-authentication' })
      assert.ok(performance.now() - startMs < PATIENCE_MS / 2, 'it was not tried again and again')
    }
  })

  test('an address that leads nowhere is named, though the first one answers', async () => {
    await assert.rejects(opened(astray), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'kafka-unreachable')
      for (const part of [astray, nowhere, 'advertised.listeners', 'ECONNREFUSED'])
        assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
      return true
    })
  })
})
