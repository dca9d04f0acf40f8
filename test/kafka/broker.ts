/** A real Kafka broker for a test: started on ports of its own, killed, started again on the same data, and removed. */

import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { installKafka, type Kafka } from './jars.ts'
import { freePorts } from './ports.ts'
import { type NodePlace, serverProperties } from './properties.ts'
import { Server } from './server.ts'

export interface BrokerOptions {
  port?: number
  controllerPort?: number
  /** Kept when the broker is closed; without it, a new folder that goes with the broker. */
  data?: string
  /** Of server.properties; they win over ours. */
  properties?: Readonly<Record<string, string>>
  /** Told when the broker ends without having been asked to; by default standard error is. */
  onDeath?: (how: string) => void
}

export interface Broker {
  readonly nodeId: number
  /** `127.0.0.1:PORT`, the same after every start. */
  readonly bootstrap: string
  /** Of the JVM that runs or ran last. */
  readonly pid: number
  readonly dataFolder: string
  readonly isRunning: boolean
  /** SIGKILL: nothing is flushed, nothing handed over. */
  kill(): Promise<void>
  /** SIGTERM: a controlled shutdown. */
  stop(): Promise<void>
  /** On the same ports and data. After `kill` that takes 5 s, as Kafka waits for the end of the old session. */
  start(): Promise<void>
  /** Kills it, and removes its data unless the caller named their folder. */
  close(): Promise<void>
}

/** One node of a cluster; a single broker is a cluster of one. */
export class Node implements Broker {
  readonly nodeId: number
  readonly bootstrap: string
  readonly dataFolder: string
  private readonly kafka: Kafka
  private readonly isOurs: boolean
  private readonly onDeath: (how: string) => void
  private server: Server | null = null
  /** Whether its end is what somebody wanted. */
  private wasAsked = false

  /** @param nodes all nodes of its cluster, itself included */
  constructor(kafka: Kafka, place: NodePlace, nodes: readonly NodePlace[], options: BrokerOptions) {
    this.kafka = kafka
    this.nodeId = place.nodeId
    this.bootstrap = `127.0.0.1:${place.port}`
    this.isOurs = options.data === undefined
    this.dataFolder = resolve(options.data ?? mkdtempSync(join(tmpdir(), 'freshet-kafka-')))
    this.onDeath = options.onDeath ?? ((how) => process.stderr.write(`${how}\n`))
    mkdirSync(this.dataFolder, { recursive: true })
    const logFolder = join(this.dataFolder, 'log')
    format(kafka, logFolder, place.nodeId)
    const text = serverProperties(place, nodes, logFolder, options.properties)
    writeFileSync(join(this.dataFolder, 'server.properties'), text)
  }

  get pid(): number {
    if (this.server === null) throw new Error('the broker was never started')
    return this.server.pid
  }

  get isRunning(): boolean {
    return this.server?.isRunning ?? false
  }

  async start(): Promise<void> {
    if (this.isRunning) throw new Error(`the broker at ${this.bootstrap} is running already`)
    const discard = this.isOurs ? this.dataFolder : null
    const server = await Server.start(this.kafka.jvm, this.dataFolder, { discard })
    this.server = server
    this.wasAsked = false
    void server.ended.then((how) => {
      if (!this.wasAsked)
        this.onDeath(`the broker at ${this.bootstrap} ended by itself, ${how}:\n${server.tail()}`)
    })
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM')
  }

  async close(): Promise<void> {
    await this.kill()
    if (this.isOurs) await rm(this.dataFolder, { recursive: true, force: true })
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.wasAsked = true
    await this.server?.signal(signal)
  }
}

/** Copies what Kafka's own formatter has written, under an id of its own. A folder that was formatted stays as it is. */
function format(kafka: Kafka, logFolder: string, nodeId: number): void {
  if (existsSync(logFolder)) return
  const partial = `${logFolder}.partial`
  rmSync(partial, { recursive: true, force: true })
  cpSync(kafka.formatted, partial, { recursive: true })
  const path = join(partial, 'meta.properties')
  const text = readFileSync(path, 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${nodeId}`)
    .replace(/^directory\.id=.*$/m, `directory.id=${randomBytes(16).toString('base64url')}`)
  writeFileSync(path, text)
  renameSync(partial, logFolder)
}

/**
 * Of its own: for tests that kill or restart it. All others share one, `sharedBroker()`.
 *
 * @throws {KafkaError} when Kafka can't be had here (`kafkaMissing` says why in advance) or does not start
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const kafka = await installKafka()
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const place = {
    nodeId: 1,
    port: options.port ?? port,
    controllerPort: options.controllerPort ?? controllerPort,
  }
  const node = new Node(kafka, place, [place], options)
  try {
    await node.start()
    return node
  } catch (error) {
    await node.close()
    throw error
  }
}
