import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { BrokerLink } from '../../../src/drivers/kafka/broker-link.ts'
import { createKafka, kafkajsParts } from '../../../src/drivers/kafka/kafka-client.ts'
import { hostAndPort } from '../../../src/drivers/kafka/kafka-cluster.ts'
import { ConfigError, UnavailableError } from '../../../src/errors.ts'
import { driverLog } from '../../../src/pipeline/channels.ts'
import { kafkaSettings } from '../../kafka/driver-fixture.ts'

const settings = kafkaSettings('127.0.0.1:1', 'g')
const isConfigError = (code: string) => (error: unknown) =>
  error instanceof ConfigError && error.code === code

test('brokers are host and port, IPv6 in brackets; anything else is refused', () => {
  assert.deepEqual(hostAndPort('kafka-1.example.com:9092'), { host: 'kafka-1.example.com', port: 9092 })
  assert.deepEqual(hostAndPort('[fd00::1]:9093'), { host: 'fd00::1', port: 9093 })
  for (const wrong of [
    'kafka',
    'kafka:',
    ':9092',
    'kafka:0',
    'kafka:70000',
    'fd00::1:9092',
    'ssl://kafka:9092',
    '',
  ])
    assert.throws(() => hostAndPort(wrong), isConfigError('kafka-brokers'), wrong)
})

test('a token module gives tokens; one that is missing, broken or gives none is refused with its path', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-tokens-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const module = (name: string, text: string) => {
    const tokenModule = join(folder, name)
    writeFileSync(tokenModule, text)
    return { ...settings, sasl: { mechanism: 'oauthbearer' as const, tokenModule } }
  }
  await kafkajsParts(module('good.mjs', 'export default async () => ({ value: "secret" })'))
  for (const [name, text] of [
    ['none.mjs', 'export const token = 1'],
    ['broken.mjs', 'export default ('],
    ['throws.mjs', 'throw new Error("no")'],
  ] as const)
    await assert.rejects(kafkajsParts(module(name, text)), isConfigError('kafka-token-module'), name)
  const missing = { mechanism: 'oauthbearer' as const, tokenModule: join(folder, 'missing.mjs') }
  await assert.rejects(createKafka({ ...settings, sasl: missing }), isConfigError('kafka-token-module'))
})

test('what kafkajs complains about is told on a channel, not on the console', async () => {
  const told: string[] = []
  const unsubscribe = driverLog.subscribe(({ driver, level, peer }) =>
    told.push(`${driver} ${level} ${peer}`),
  )
  const opening = BrokerLink.open(await kafkajsParts(settings), '127.0.0.1', 1)
  await assert.rejects(
    opening,
    (error) => error instanceof UnavailableError && error.code === 'kafka-unreachable',
  )
  unsubscribe()
  assert.ok(told.includes('kafka error 127.0.0.1:1'), told.join('\n'))
})
