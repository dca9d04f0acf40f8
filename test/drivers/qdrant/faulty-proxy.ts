/** A TCP proxy between any client and any server that refuses, cuts, delays or swallows, without the server's help. */

import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePorts } from '../../kafka/ports.ts'

/** One of the two directions of a connection. */
export type Direction = 'replies' | 'requests'

/** What happens to the bytes of a direction: `swallow` reads and forgets them, `stall` leaves them with who sent them. */
type Flow = 'hold' | 'pass' | 'stall' | 'swallow'

interface Pipe {
  from: Socket
  to: Socket
  /** Bytes that wait for their release. */
  held: Buffer[]
}

interface Connection {
  requests: Pipe
  replies: Pipe
  /** Request bytes passed on since it was last asked to count. */
  requestBytes: number
}

export class FaultyProxy {
  readonly #target: { host: string; port: number }
  readonly #connections = new Set<Connection>()
  readonly #flows: Record<Direction, Flow> = { requests: 'pass', replies: 'pass' }
  #server: Server
  #port = 0
  #cutAfterBytes: number | null = null
  #cutsOnReply = 0
  #accepted = 0

  /** @param targetUrl where everything goes: scheme, host and port */
  constructor(targetUrl: string) {
    const { hostname, port, protocol } = new URL(targetUrl)
    this.#target = { host: hostname, port: Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port) }
    this.#server = this.#newServer()
  }

  /** `http://127.0.0.1:<port>`, for clients of REST and of gRPC alike. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Connections that clients have made so far. */
  get accepted(): number {
    return this.#accepted
  }

  get open(): number {
    return this.#connections.size
  }

  /** Listens, at first on any port that nobody is given while it refuses, and later on the same one. */
  async listen(): Promise<void> {
    if (this.#server.listening) return
    if (this.#port === 0) [this.#port = 0] = await freePorts(1)
    this.#server = this.#newServer()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', resolve)
    })
  }

  /** From now on nobody connects (ECONNREFUSED), and who was connected is cut; `listen` ends it. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  /** Resets every connection there is. */
  cut(): void {
    for (const connection of this.#connections) this.#reset(connection)
  }

  /** Resets a connection as soon as so many more of its request bytes have been passed on. */
  cutAfterRequestBytes(bytes: number): void {
    for (const connection of this.#connections) connection.requestBytes = 0
    this.#cutAfterBytes = bytes
  }

  /** Passes requests on, and resets the connection when the reply begins: the work is done, nobody hears of it. */
  cutOnReply(times = 1): void {
    this.#cutsOnReply = times
  }

  /** Passes requests on and loses the replies. */
  swallowReplies(): void {
    this.#flows.replies = 'swallow'
  }

  /** Keeps the bytes of a direction back until `pass`. */
  hold(direction: Direction): void {
    this.#flows[direction] = 'hold'
  }

  /** Reads nothing more of a direction until `pass`, so that whoever sends can't go on. */
  stall(direction: Direction): void {
    this.#flows[direction] = 'stall'
    for (const connection of this.#connections) connection[direction].from.pause()
  }

  /** Ends every fault and lets go what was held; what was swallowed or cut is lost. */
  pass(): void {
    this.#cutAfterBytes = null
    this.#cutsOnReply = 0
    for (const direction of ['requests', 'replies'] as const) {
      this.#flows[direction] = 'pass'
      for (const connection of this.#connections) {
        const pipe = connection[direction]
        for (const chunk of pipe.held.splice(0)) pipe.to.write(chunk)
        pipe.from.resume()
      }
    }
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.refuse()
    else this.cut()
  }

  #newServer(): Server {
    return createServer((client) => this.#accept(client))
  }

  #accept(client: Socket): void {
    this.#accepted++
    const target = connect(this.#target)
    const connection: Connection = {
      requests: { from: client, to: target, held: [] },
      replies: { from: target, to: client, held: [] },
      requestBytes: 0,
    }
    this.#connections.add(connection)
    for (const direction of ['requests', 'replies'] as const) {
      const { from, to } = connection[direction]
      from.setNoDelay(true)
      from.on('data', (chunk: Buffer) => this.#carry(connection, direction, chunk))
      from.on('end', () => to.end())
      // Whatever befell one side, the other is told by its end.
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#connections.delete(connection)
        to.destroy()
      })
      if (this.#flows[direction] === 'stall') from.pause()
    }
  }

  #carry(connection: Connection, direction: Direction, chunk: Buffer): void {
    const { from, to, held } = connection[direction]
    const flow = this.#flows[direction]
    if (flow === 'swallow') return
    if (flow === 'hold') {
      held.push(chunk)
      return
    }
    if (direction === 'replies' && this.#cutsOnReply > 0) {
      this.#cutsOnReply--
      this.#reset(connection)
      return
    }
    const bytesLeft = this.#bytesLeft(connection, direction)
    if (chunk.length >= bytesLeft) {
      this.#cutAfterBytes = null
      to.write(chunk.subarray(0, bytesLeft), () => this.#reset(connection))
      return
    }
    connection.requestBytes += direction === 'requests' ? chunk.length : 0
    if (to.write(chunk)) return
    from.pause()
    to.once('drain', () => {
      if (this.#flows[direction] !== 'stall') from.resume()
    })
  }

  #bytesLeft(connection: Connection, direction: Direction): number {
    if (direction === 'replies' || this.#cutAfterBytes === null) return Number.POSITIVE_INFINITY
    return Math.max(0, this.#cutAfterBytes - connection.requestBytes)
  }

  #reset({ requests, replies }: Connection): void {
    requests.from.resetAndDestroy()
    replies.from.resetAndDestroy()
  }
}

/** Ready to be connected to, with nothing wrong yet. */
export async function startFaultyProxy(targetUrl: string): Promise<FaultyProxy> {
  const proxy = new FaultyProxy(targetUrl)
  await proxy.listen()
  return proxy
}
