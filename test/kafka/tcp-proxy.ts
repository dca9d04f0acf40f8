/** Stands between clients and a broker: cuts their connections, holds back answers, turns clients away. */

import { createConnection, createServer, type Server, type Socket } from 'node:net'

interface Pair {
  client: Socket
  broker: Socket
}

export class TcpProxy {
  readonly port: number
  private readonly server: Server
  private readonly pairs = new Set<Pair>()
  private isRefusing = false
  private isHolding = false
  /** Answers that were held back, in order, by the connection they are for. */
  private readonly held = new Map<Pair, Buffer[]>()

  private constructor(server: Server, port: number) {
    this.server = server
    this.port = port
  }

  /** @param target of the broker, on this machine */
  static async start(port: number, target: number): Promise<TcpProxy> {
    const server = createServer()
    const proxy = new TcpProxy(server, port)
    server.on('connection', (client) => proxy.connect(client, target))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return proxy
  }

  /** All connections end now; new ones are taken. */
  cut(): void {
    for (const { client, broker } of this.pairs) {
      client.destroy()
      broker.destroy()
    }
  }

  /** Requests go through, answers don't: who asked can't know what came of it. */
  holdAnswers(): void {
    this.isHolding = true
  }

  /** Answers go through again, those held back first. */
  release(): void {
    this.isHolding = false
    for (const [pair, answers] of this.held) for (const answer of answers) pair.client.write(answer)
    this.held.clear()
  }

  /** Nobody gets through, until `admit`. */
  refuse(): void {
    this.isRefusing = true
    this.cut()
  }

  admit(): void {
    this.isRefusing = false
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private connect(client: Socket, target: number): void {
    if (this.isRefusing) {
      client.destroy()
      return
    }
    const broker = createConnection({ port: target, host: '127.0.0.1' })
    const pair = { client, broker }
    this.pairs.add(pair)
    const end = () => {
      this.pairs.delete(pair)
      this.held.delete(pair)
      client.destroy()
      broker.destroy()
    }
    for (const socket of [client, broker]) {
      socket.on('error', end)
      socket.on('close', end)
    }
    client.on('data', (request) => broker.write(request))
    broker.on('data', (answer) => {
      if (!this.isHolding) client.write(answer)
      else this.held.set(pair, [...(this.held.get(pair) ?? []), answer])
    })
  }
}
