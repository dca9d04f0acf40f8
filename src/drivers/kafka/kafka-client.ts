/** How kafkajs is opened: TLS, SASL, time-outs, and its log as a diagnostics channel. */

import { pathToFileURL } from 'node:url'
import { Kafka, logLevel, type Mechanism, type SASLOptions } from 'kafkajs'
import connectionPoolBuilder from 'kafkajs/src/cluster/connectionPoolBuilder.js'
import loggers, { type KafkajsLogger } from 'kafkajs/src/loggers/index.js'
import socketFactory from 'kafkajs/src/network/socketFactory.js'
import { ConfigError } from '../../errors.ts'
import { driverLog } from '../../pipeline/channels.ts'
import type { KafkaSettings, TokenProvider } from './kafka-settings.ts'
import { patchKafkajs } from './patches.ts'
import { tokenAuthenticator } from './token-authenticator.ts'

export interface KafkajsParts {
  /** Makes pools of connections to one broker. */
  builder: ReturnType<typeof connectionPoolBuilder>
  logger: KafkajsLogger
}

/** @throws {ConfigError} `kafkajs-version`, `kafka-token-module` */
export async function kafkajsParts(settings: KafkaSettings): Promise<KafkajsParts> {
  patchKafkajs()
  const logger = loggers.createLogger({ level: loggers.LEVELS.WARN, logCreator: () => publish })
  const builder = connectionPoolBuilder({
    socketFactory: socketFactory(),
    brokers: settings.brokers,
    ssl: tlsOptions(settings),
    sasl: await saslOptions(settings),
    clientId: settings.clientId,
    connectionTimeout: settings.connectTimeoutMs,
    requestTimeout: settings.requestTimeoutMs,
    enforceRequestTimeout: true,
    logger,
  })
  return { builder, logger }
}

/**
 * kafkajs as its authors meant it: for administration, where speed and rare failures are nobody's concern.
 *
 * @throws {ConfigError} `kafkajs-version`, `kafka-token-module`
 */
export async function createKafka(settings: KafkaSettings): Promise<Kafka> {
  patchKafkajs()
  const ssl = tlsOptions(settings)
  const sasl = await saslOptions(settings)
  return new Kafka({
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    connectionTimeout: settings.connectTimeoutMs,
    requestTimeout: settings.requestTimeoutMs,
    logLevel: logLevel.WARN,
    logCreator: () => publish,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  })
}

function publish({ label, log }: { label: string; log: { message: string; broker?: string } }): void {
  const level = label === 'ERROR' ? 'error' : 'warn'
  driverLog.publish({ driver: 'kafka', level, message: log.message, peer: log.broker ?? null })
}

function tlsOptions({ tls }: KafkaSettings): object | undefined {
  if (tls === null) return undefined
  const { ca, cert, key, servername, rejectUnauthorized } = tls
  return {
    rejectUnauthorized,
    ...(ca === null ? {} : { ca: [ca] }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(servername === null ? {} : { servername }),
  }
}

async function saslOptions({ sasl }: KafkaSettings): Promise<SASLOptions | Mechanism | undefined> {
  if (sasl === null) return undefined
  if (sasl.mechanism !== 'oauthbearer') return { ...sasl } as SASLOptions
  const authenticationProvider = tokenAuthenticator(await tokenProvider(sasl.tokenModule))
  return { mechanism: 'oauthbearer', authenticationProvider }
}

async function tokenProvider(path: string): Promise<TokenProvider> {
  let provider: unknown
  try {
    const loaded = await import(pathToFileURL(path).href) // tidy(folders): the operator's own module, named in the settings
    provider = loaded.default
  } catch (cause) {
    throw new ConfigError(
      'kafka-token-module',
      `expected a module at ${path} that gives tokens, got: ${cause instanceof Error ? cause.message : cause}: correct events.kafka.sasl.tokenModule, or the module`,
      { cause },
    )
  }
  if (typeof provider !== 'function')
    throw new ConfigError(
      'kafka-token-module',
      `expected the default export of ${path} to be a function that gives tokens, got ${typeof provider}: export one`,
    )
  return provider as TokenProvider
}
