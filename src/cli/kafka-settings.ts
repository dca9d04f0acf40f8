/** The section events.kafka in the terms of the driver: files become what they hold, and topics get their names. */

import { readFileSync } from 'node:fs'
import type { Settings } from '../config/settings.ts'
import type { KafkaSettings } from '../drivers/kafka/kafka-settings.ts'
import { ConfigError, invariant } from '../errors.ts'

type KafkaSection = Settings['events']['kafka']

/** @throws {ConfigError} `kafka-file`, when a certificate or key can't be read */
export function kafkaSettings({ events: { kafka } }: Settings): KafkaSettings {
  const { brokers, tls, sasl, updates: _updates, newTopics: _newTopics, ...rest } = kafka
  invariant(brokers !== null, 'the checks of the settings ask for brokers')
  return { ...rest, brokers, tls: tlsSettings(tls), sasl: saslSettings(sasl) }
}

/** freshet's own topics, by what they hold. */
export interface OwnTopics {
  instructions: string
  models: string
  state: string
  updates: string
}

export function ownTopics({ events: { kafka } }: Settings): OwnTopics {
  const named = (name: string) => `${kafka.topicPrefix}freshet.${name}`
  return {
    instructions: named('instructions'),
    models: named('models'),
    state: named('state'),
    updates: named('updates'),
  }
}

/** Where the records of a topic lie by the key of their user, whose own producers choose partitions otherwise. */
export function repartitionTopic({ events: { kafka } }: Settings, topic: string): string {
  return `${kafka.topicPrefix}freshet.repartition.${topic}`
}

function tlsSettings({ enabled, caFile, certFile, keyFile, ...rest }: KafkaSection['tls']) {
  if (!enabled) return null
  return {
    ...rest,
    ca: pem('caFile', caFile),
    cert: pem('certFile', certFile),
    key: pem('keyFile', keyFile),
  }
}

function saslSettings({ mechanism, username, password, tokenModule }: KafkaSection['sasl']) {
  if (mechanism === null) return null
  if (mechanism === 'oauthbearer') return { mechanism, tokenModule: tokenModule! }
  return { mechanism, username: username!, password: password! }
}

function pem(name: string, path: string | null): string | null {
  if (path === null) return null
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConfigError(
      'kafka-file',
      `expected events.kafka.tls.${name} to name a PEM file that can be read, got ${path}: ${(error as Error).message}`,
      { cause: error },
    )
  }
}
