/** Connections to one broker: requests go out, answers come back with their error codes as data, failures as our errors. */

import Broker from 'kafkajs/src/broker/index.js'
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js'
import requestForms, { type RequestForm } from 'kafkajs/src/protocol/requests/index.js'
import { ConfigError, UnavailableError } from '../../errors.ts'
import type { KafkajsParts } from './kafka-client.ts'
import { connectionError } from './kafka-errors.ts'

/** A request of ours that kafkajs doesn't know. */
export interface OwnRequest<Answer> {
  api: string
  apiKey: number
  version: number
  /** All of the request behind the client's id. */
  body: Buffer
  /** @param payload all of the answer behind the correlation id */
  read(payload: Buffer): Answer
  timeoutMs?: number
}

/** Requests in kafkajs's own form, and what is read of the answers. */
type KafkajsApi =
  | 'AlterConfigs'
  | 'DescribeConfigs'
  | 'DescribeGroups'
  | 'GroupCoordinator'
  | 'Heartbeat'
  | 'InitProducerId'
  | 'JoinGroup'
  | 'LeaveGroup'
  | 'ListOffsets'
  | 'OffsetCommit'
  | 'OffsetFetch'
  | 'SyncGroup'

export class BrokerLink {
  /** `host:port`. */
  readonly address: string
  private readonly broker: Broker
  private closed = false

  private constructor(address: string, broker: Broker) {
    this.address = address
    this.broker = broker
  }

  /** @throws {ConfigError | UnavailableError} */
  static async open({ builder, logger }: KafkajsParts, host: string, port: number): Promise<BrokerLink> {
    const connectionPool = await builder.build({ host, port })
    const broker = new Broker({ connectionPool, logger, nodeId: null, allowAutoTopicCreation: false })
    const link = new BrokerLink(`${host}:${port}`, broker)
    try {
      await broker.connect()
    } catch (error) {
      link.close()
      throw connectionError(link.address, error)
    }
    return link
  }

  /** False: it failed, and another has to be opened. */
  get isOpen(): boolean {
    return !this.closed
  }

  /**
   * @param timeoutMs a shorter time-out than that of the settings
   * @throws {ConfigError | UnavailableError} when no answer came
   */
  async request<Answer>(api: KafkajsApi, options: object, timeoutMs?: number): Promise<Answer> {
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => this.close(this.silent(api, timeoutMs)), timeoutMs)
    try {
      return await this.send(() =>
        this.broker.lookupRequest(apiKeys[api]!, requestForms.requests[api])(options),
      )
    } finally {
      clearTimeout(timer)
    }
  }

  /** @throws {ConfigError | UnavailableError} when no answer came, or the broker is too old */
  async own<Answer>(request: OwnRequest<Answer>): Promise<Answer> {
    const { api, apiKey, version, body, timeoutMs } = request
    const known = this.broker.versions?.[apiKey]
    if (known !== undefined && (known.maxVersion < version || known.minVersion > version))
      throw new ConfigError(
        'kafka-version',
        `expected ${this.address} to speak version ${version} of ${api}, got ${known.minVersion} to ${known.maxVersion}: use brokers of Kafka 3.1 or newer that this freshet knows`,
      )
    return this.send(() => ({
      request: {
        apiKey,
        apiVersion: version,
        apiName: api,
        // What kafkajs's Encoder looks like to who reads it.
        encode: async () => ({ buf: body, buffer: body, size: () => body.length }),
      },
      response: { decode: async (payload) => request.read(payload), parse: async (decoded) => decoded },
      ...(timeoutMs === undefined ? {} : { requestTimeout: timeoutMs }),
    }))
  }

  /** Drops the connections at once; what is under way fails. */
  close(reason: Error = this.unopened()): void {
    if (this.closed) return
    this.closed = true
    for (const connection of this.broker.connectionPool.pool) {
      connection.rejectRequests(reason)
      void connection.disconnect()
      // kafkajs would wait for the other side, which may be gone.
      connection.socket?.destroy()
    }
  }

  private async send<Answer>(form: () => RequestForm): Promise<Answer> {
    if (this.closed) throw this.unopened()
    try {
      const { response, ...rest } = form()
      // Codes are ours to judge: kafkajs would throw the first, and lose what the others say.
      const judged = { decode: (payload: Buffer) => response.decode(payload), parse: identity }
      return (await this.broker.connectionPool.send({
        ...rest,
        response: judged,
        logResponseError: false,
      })) as Answer
    } catch (error) {
      // A connection that was silent too long may be dead though it looks alive: none is used again after a failure.
      this.close()
      throw connectionError(this.address, error)
    }
  }

  private unopened(): UnavailableError {
    const message = `expected an open connection to ${this.address}, got one that was closed: it is opened anew`
    return new UnavailableError('kafka-unreachable', message)
  }

  private silent(api: string, timeoutMs: number): UnavailableError {
    const message = `expected ${this.address} to answer ${api} within ${timeoutMs} ms, got nothing: it is asked again`
    return new UnavailableError('kafka-unreachable', message)
  }
}

async function identity(decoded: unknown): Promise<unknown> {
  return decoded
}
