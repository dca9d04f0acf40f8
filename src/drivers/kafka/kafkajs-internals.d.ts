/** Types of the parts of kafkajs 2.2.4 that we use and that it doesn't export: connections, and the forms of requests. */
// tidy(untested): types only, nothing of it runs

declare module 'kafkajs/src/broker/index.js' {
  import type { KafkajsLogger } from 'kafkajs/src/loggers/index.js'
  import type { ConnectionPool } from 'kafkajs/src/network/connectionPool.js'
  import type { RequestForm } from 'kafkajs/src/protocol/requests/index.js'

  export default class Broker {
    constructor(options: {
      connectionPool: ConnectionPool
      logger: KafkajsLogger
      nodeId: number | null
      authenticationTimeout?: number
      allowAutoTopicCreation: boolean
    })
    readonly connectionPool: ConnectionPool
    readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>> | null
    /** Chooses the newest version that both sides know. */
    readonly lookupRequest: (apiKey: number, definition: unknown) => (options: object) => RequestForm
    isConnected(): boolean
    connect(): Promise<void>
  }
}

declare module 'kafkajs/src/network/connectionPool.js' {
  import type { Socket } from 'node:net'
  import type { RequestForm } from 'kafkajs/src/protocol/requests/index.js'

  export interface Connection {
    socket?: Socket
    rejectRequests(error: Error): void
    disconnect(): Promise<boolean>
  }
  export interface ConnectionPool {
    readonly pool: readonly Connection[]
    send(form: RequestForm): Promise<unknown>
  }
}

declare module 'kafkajs/src/cluster/connectionPoolBuilder.js' {
  import type { KafkajsLogger } from 'kafkajs/src/loggers/index.js'
  import type { ConnectionPool } from 'kafkajs/src/network/connectionPool.js'

  export default function connectionPoolBuilder(options: {
    socketFactory: unknown
    brokers: readonly string[]
    ssl: object | undefined
    sasl: object | undefined
    clientId: string
    connectionTimeout: number
    requestTimeout: number
    enforceRequestTimeout: boolean
    logger: KafkajsLogger
    reauthenticationThreshold?: number
  }): { build(destination: { host: string; port: number }): Promise<ConnectionPool> }
}

declare module 'kafkajs/src/protocol/requests/index.js' {
  export interface RequestForm {
    request: {
      apiKey: number
      apiVersion: number
      apiName: string
      /** Resolves to an Encoder. */
      encode(): Promise<object>
    }
    response: {
      decode(payload: Buffer): Promise<unknown>
      parse(decoded: unknown): Promise<unknown>
    }
    requestTimeout?: number
    logResponseError?: boolean
  }
  const index: { requests: Readonly<Record<string, unknown>> }
  export default index
}

declare module 'kafkajs/src/protocol/requests/apiKeys.js' {
  const apiKeys: Readonly<Record<string, number>>
  export default apiKeys
}

declare module 'kafkajs/src/protocol/encoder.js' {
  export default class Encoder {
    writeBuffer(bytes: Buffer): this
  }
}

declare module 'kafkajs/src/protocol/error.js' {
  const errors: { errorCodes: readonly { type: string; code: number; message: string }[] }
  export default errors
}

declare module 'kafkajs/src/loggers/index.js' {
  export type KafkajsLogger = object
  export interface KafkajsLogEntry {
    namespace: string
    label: string
    log: { message: string; broker?: string }
  }
  const loggers: {
    createLogger(options: {
      level: number
      logCreator: (level: number) => (entry: KafkajsLogEntry) => void
    }): KafkajsLogger
    LEVELS: { WARN: number }
  }
  export default loggers
}

declare module 'kafkajs/src/network/socketFactory.js' {
  export default function socketFactory(): unknown
}

declare module 'kafkajs/src/network/requestQueue/index.js' {
  interface RequestQueue {
    throttleCheckTimeoutId: NodeJS.Timeout | null
    throttledUntil: number
    pending: readonly unknown[]
    scheduleCheckPendingRequests(): void
    checkPendingRequests(): void
  }
  const RequestQueue: { prototype: RequestQueue }
  export default RequestQueue
}

declare module 'kafkajs-snappy' {
  export default function snappyCodec(): {
    compress(encoder: { buffer: Buffer }): Promise<Uint8Array>
    decompress(bytes: Buffer): Promise<Uint8Array>
  }
}
