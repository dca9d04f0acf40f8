import assert from 'node:assert/strict'
import { pbkdf2Sync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { BrokerLink } from '../../src/drivers/kafka/broker-link.ts'
import { kafkajsParts } from '../../src/drivers/kafka/kafka-client.ts'
import { KafkaEventSource } from '../../src/drivers/kafka/kafka-event-source.ts'
import type { KafkaSettings } from '../../src/drivers/kafka/kafka-settings.ts'
import { SafeProducer } from '../../src/drivers/kafka/safe-producer.ts'
import { WireReader, WireWriter } from '../../src/drivers/kafka/wire.ts'
import { ConfigError } from '../../src/errors.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { type Broker, startBroker } from './broker.ts'
import { type Certificates, makeCertificates, opensslMissing } from './certificates.ts'
import { kafkaSettings, startedSource, until } from './driver-fixture.ts'
import { kafkaMissing } from './jars.ts'
import { kafkaSuite } from './kafka-suite.ts'
import { createTopic } from './kafkajs-records.ts'
import { freePorts } from './ports.ts'
import { uniqueName } from './shared-broker.ts'

type Security = Pick<KafkaSettings, 'tls' | 'sasl'>

const isConfigError = (code: string) => (error: unknown) =>
  error instanceof ConfigError && error.code === code
const PLAIN =
  'org.apache.kafka.common.security.plain.PlainLoginModule required user_freshet="right" user_stranger="right";'
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
const OAUTH =
  'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="freshet";'
const UNSECURED =
  'org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler'

kafkaSuite(
  'brokers that want to know who we are',
  () => {
    let folder: string
    let certificates: Certificates
    let broker: Broker
    let mutual: string
    let secret: string

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'freshet-security-'))
      certificates = makeCertificates(folder)
      const [port = 0, controllerPort = 0, mutualPort = 0, secretPort = 0] = await freePorts(4)
      mutual = `127.0.0.1:${mutualPort}`
      secret = `127.0.0.1:${secretPort}`
      broker = await startBroker({
        port,
        controllerPort,
        properties: {
          listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort},MUTUAL://${mutual},SECRET://${secret}`,
          'listener.security.protocol.map':
            'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MUTUAL:SSL,SECRET:SASL_SSL',
          'ssl.keystore.type': 'PEM',
          'ssl.keystore.location': certificates.brokerFile,
          'ssl.truststore.type': 'PEM',
          'ssl.truststore.location': certificates.caFile,
          'listener.name.mutual.ssl.client.auth': 'required',
          'listener.name.secret.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
          'listener.name.secret.plain.sasl.jaas.config': PLAIN,
          'listener.name.secret.scram-sha-256.sasl.jaas.config': SCRAM,
          'listener.name.secret.scram-sha-512.sasl.jaas.config': SCRAM,
          'listener.name.secret.oauthbearer.sasl.jaas.config': OAUTH,
          'listener.name.secret.oauthbearer.sasl.server.callback.handler.class': UNSECURED,
          'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
          'super.users': 'User:ANONYMOUS;User:freshet;User:CN=client',
        },
      })
      await addScramUser(broker.bootstrap, 'freshet', 'right')
    })

    after(async () => {
      await broker?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    function tls(over: Partial<NonNullable<KafkaSettings['tls']>> = {}): NonNullable<KafkaSettings['tls']> {
      return {
        ca: certificates.ca,
        cert: null,
        key: null,
        servername: null,
        rejectUnauthorized: true,
        ...over,
      }
    }

    async function newTopic(): Promise<string> {
      const topic = uniqueName('secured')
      await createTopic(broker.bootstrap, topic)
      return topic
    }

    async function works(t: TestContext, bootstrap: string, security: Security): Promise<void> {
      const topic = await newTopic()
      const settings = kafkaSettings(bootstrap, uniqueName('group'), security)
      const { source, collector } = await startedSource(t, settings, [topic])
      const producer = await SafeProducer.open(settings, systemClock)
      t.after(() => producer.close())
      await producer.send(topic, 0, [{ key: Buffer.from('u1'), value: Buffer.from('x') }])
      await until('the record has come', () => collector.received.length === 1)
      const { generation } = collector.assignments[0]!
      assert.equal(await source.commit(generation, new Map([[0, new Map([[topic, 1]])]])), true)
    }

    async function isRefused(bootstrap: string, security: Security, code: string): Promise<void> {
      const topic = await newTopic()
      const settings = kafkaSettings(bootstrap, uniqueName('group'), security)
      await assert.rejects(KafkaEventSource.open(settings, [topic], systemClock), isConfigError(code), code)
    }

    test('a certificate of our own lets us in, where the broker asks for one', async (t) => {
      const { clientCert: cert, clientKey: key } = certificates
      await works(t, mutual, { tls: tls({ cert, key }), sasl: null })
    })

    test('a broker whose certificate we do not trust, or which is another’s, is refused', async () => {
      await isRefused(mutual, { tls: tls({ ca: null }), sasl: null }, 'kafka-tls')
      await isRefused(mutual, { tls: tls({ servername: 'kafka.example.com' }), sasl: null }, 'kafka-tls')
    })

    test('a broker is trusted without a check only by who says so', async (t) => {
      const { clientCert: cert, clientKey: key } = certificates
      await works(t, mutual, { tls: tls({ ca: null, cert, key, rejectUnauthorized: false }), sasl: null })
    })

    for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const)
      test(`${mechanism}: the right secret works, a wrong one is refused`, async (t) => {
        const as = (password: string) => ({ tls: tls(), sasl: { mechanism, username: 'freshet', password } })
        await works(t, secret, as('right'))
        await isRefused(secret, as('wrong'), 'kafka-authentication')
      })

    test('oauthbearer: tokens come from the module that the operator names', async (t) => {
      const tokens = (subject: string) => {
        const tokenModule = join(folder, `${subject}.mjs`)
        writeFileSync(tokenModule, tokenModuleOf(subject))
        return { tls: tls(), sasl: { mechanism: 'oauthbearer' as const, tokenModule } }
      }
      await works(t, secret, tokens('freshet'))
      await isRefused(secret, tokens(''), 'kafka-authentication')
    })

    test('who may not read or write is told what to grant', async () => {
      const sasl = { mechanism: 'plain' as const, username: 'stranger', password: 'right' }
      await isRefused(secret, { tls: tls(), sasl }, 'kafka-authorization')
      const producer = await SafeProducer.open(kafkaSettings(secret, 'g', { tls: tls(), sasl }), systemClock)
      const sending = producer.send(await newTopic(), 0, [{ key: null, value: Buffer.from('x') }])
      await assert.rejects(sending, isConfigError('kafka-authorization'))
      await producer.close()
    })
  },
  kafkaMissing() ?? opensslMissing(),
)

/** An unsecured token, as a broker for tests takes it. */
function tokenModuleOf(subject: string): string {
  return `export default async () => {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const now = Date.now() / 1000
  return { value: part({ alg: 'none' }) + '.' + part({ sub: '${subject}', iat: now, exp: now + 600 }) + '.' }
}
`
}

/** AlterUserScramCredentials, version 0, which takes one mechanism of a user at a time. */
async function addScramUser(bootstrap: string, user: string, password: string): Promise<void> {
  const [host = '', port] = bootstrap.split(':')
  const link = await BrokerLink.open(await kafkajsParts(kafkaSettings(bootstrap, 'g')), host, Number(port))
  const iterations = 4_096
  const salt = randomBytes(16)
  for (const { mechanism, hash, length } of [
    { mechanism: 1, hash: 'sha256', length: 32 },
    { mechanism: 2, hash: 'sha512', length: 64 },
  ]) {
    const salted = pbkdf2Sync(password, salt, iterations, length, hash)
    const writer = new WireWriter().noTags().compactArray([], () => {})
    writer.compactArray([user], () => {
      writer.compactString(user).int8(mechanism).int32(iterations)
      for (const bytes of [salt, salted]) writer.uvarint(bytes.length + 1).bytes(bytes)
      writer.noTags()
    })
    const body = writer.noTags().written()
    const request = { api: 'AlterUserScramCredentials', apiKey: 51, version: 0, body, read: codesOf }
    assert.deepEqual(await link.own(request), [0])
  }
  link.close()
}

function codesOf(payload: Buffer): number[] {
  const reader = new WireReader(payload)
  reader.skipTags()
  reader.int32()
  return reader.compactArray(() => {
    reader.compactString()
    const code = reader.int16()
    reader.compactString()
    reader.skipTags()
    return code
  })
}
