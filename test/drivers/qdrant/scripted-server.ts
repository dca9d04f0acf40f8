/** An HTTP server that answers as a test says: for what no Qdrant does, but what stands before one may. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { json } from 'node:stream/consumers'

export interface ScriptedRequest {
  method: string
  url: string
  headers: IncomingMessage['headers']
  /** Parsed; null where there was none. */
  body: unknown
  /** Which request of its connection it is, from 1. */
  ofConnection: number
  socket: Socket
}

/** null: the connection is closed without an answer; `hang`: nothing happens. */
type Reply = { status?: number; headers?: Record<string, string>; body: unknown } | 'hang' | null

export interface ScriptedServer {
  url: string
  requests: ScriptedRequest[]
  /** Connections that were made. */
  connections: number
  close(): Promise<void>
}

/** `result` in the frame of every answer of Qdrant. */
export function framed(result: unknown): Reply {
  return { body: { result, status: 'ok', time: 0.001 } }
}

/** @param tls key and certificate, for one that is reached by https */
export async function startScriptedServer(
  reply: (request: ScriptedRequest) => Reply | Promise<Reply>,
  tls?: { key: string; cert: string },
): Promise<ScriptedServer> {
  const ofConnection = new WeakMap<Socket, number>()
  const scripted: ScriptedServer = { url: '', requests: [], connections: 0, close: async () => {} }
  const respond = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { socket } = incoming
    ofConnection.set(socket, (ofConnection.get(socket) ?? 0) + 1)
    const hasBody = incoming.method === 'PUT' || incoming.method === 'POST' || incoming.method === 'PATCH'
    const request: ScriptedRequest = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      headers: incoming.headers,
      body: hasBody ? await json(incoming).catch(() => null) : null,
      ofConnection: ofConnection.get(socket)!,
      socket,
    }
    scripted.requests.push(request)
    const answer = await reply(request)
    if (answer === 'hang') return
    if (answer === null) {
      socket.destroy()
      return
    }
    const isText = typeof answer.body === 'string'
    response.writeHead(answer.status ?? 200, {
      'content-type': isText ? 'text/html' : 'application/json',
      ...answer.headers,
    })
    response.end(isText ? answer.body : JSON.stringify(answer.body))
  }
  const server = tls === undefined ? createServer(respond) : createTlsServer(tls, respond)
  server.on('connection', () => scripted.connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scripted.url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  scripted.close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return scripted
}
