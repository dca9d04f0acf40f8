/** HTTP in front of the endpoints: keys, size limits, faults, and the envelope around every answer. */

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { grants, type Keys } from './access.ts'
import type { Endpoint, Server } from './endpoint.ts'
import type { Fault, FaultQueue, SeenRequest } from './faults.ts'
import { jsonOf, parsedCall, queryOf, routeOf } from './read-request.ts'
import { Refusal } from './refusal.ts'
import type { RequestLog } from './request-log.ts'

export interface RestSettings {
  server: Server
  keys: Keys
  faults: FaultQueue
  log: RequestLog
  lenient: boolean
  bodyBytesMax: number
}

export function restFront(settings: RestSettings): HttpServer {
  return createServer((request, response) => {
    respond(settings, request, response).catch((error: unknown) => {
      if (!response.headersSent) send(response, 500, {}, { status: { error: String(error) }, time: 0 })
    })
  })
}

async function respond(
  settings: RestSettings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://double')
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const seen: SeenRequest = {
    protocol: 'rest',
    endpoint: '',
    path: url.pathname,
    query: queryOf(url.searchParams),
    sizeBytes: bytes.length,
    body: undefined,
  }
  const startedAtMs = performance.now()
  const route = routeOf(request.method ?? 'GET', url.pathname)
  if (route !== null) seen.endpoint = `${route.endpoint.method} ${route.endpoint.template}`
  const answered = (): Answer => {
    grants(settings.keys, route?.endpoint.access ?? 'read', keyOf(request))
    if (route === null) throw new Refusal('unknown-path', '')
    if (bytes.length > settings.bodyBytesMax) throw tooLarge(request, bytes.length, settings.bodyBytesMax)
    const call = parsedCall(route, seen.query as Record<string, unknown>, seen.body, settings.lenient)
    return { endpoint: route.endpoint, result: route.endpoint.answer({ server: settings.server, ...call }) }
  }
  if (bytes.length > 0 && bytes.length <= settings.bodyBytesMax) seen.body = readable(bytes)
  settings.log.add(seen)
  await deliver(
    settings.faults.take(seen),
    answered,
    response,
    () => (performance.now() - startedAtMs) / 1000,
  )
}

/** Two wordings: of a body that comes in chunks the server doesn't know the size. */
function tooLarge(request: IncomingMessage, sizeBytes: number, limit: number): Refusal {
  const known = request.headers['content-length'] !== undefined
  return new Refusal(
    'too-large',
    known
      ? `JSON payload (${sizeBytes} bytes) is larger than allowed (limit: ${limit} bytes).`
      : `JSON payload has exceeded limit (${limit} bytes).`,
  )
}

/** For the log; a body that is no JSON is told by the endpoint. */
function readable(bytes: Buffer): unknown {
  try {
    return jsonOf(bytes)
  } catch {
    return bytes.toString('utf8')
  }
}

function keyOf(request: IncomingMessage): string | undefined {
  const key = request.headers['api-key']
  if (typeof key === 'string') return key
  return /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1]
}

interface Answer {
  endpoint: Endpoint
  result: unknown
}

/** Strikes with the fault where it belongs, before or after the request takes effect. */
async function deliver(
  fault: Fault | null,
  answered: () => Answer,
  response: ServerResponse,
  elapsedS: () => number,
): Promise<void> {
  if (fault?.kind === 'hold' && fault.moment === 'before') await fault.released
  const instead = fault !== null && fault.kind !== 'hold'
  if (instead && fault.moment === 'before') return strike(fault, response, elapsedS())
  let answer: Answer
  try {
    answer = answered()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return refuse(error, response, elapsedS())
  }
  if (fault?.kind === 'hold') await fault.released
  if (instead) return strike(fault, response, elapsedS())
  const { endpoint, result } = answer
  if (!endpoint.bare) send(response, 200, {}, { result, status: 'ok', time: elapsedS() })
  else if (typeof result === 'string') sendText(response, 200, {}, result)
  else send(response, 200, {}, result)
}

function strike(fault: Exclude<Fault, { kind: 'hold' }>, response: ServerResponse, time: number): void {
  if (fault.kind === 'hang') return
  if (fault.kind === 'cut') {
    response.destroy()
    return
  }
  if (fault.kind === 'status') {
    send(response, 200, {}, { result: { operation_id: 0, status: fault.status }, status: 'ok', time })
    return
  }
  const { status, headers, body } = fault
  if (typeof body === 'string') sendText(response, status, { 'content-type': 'text/html', ...headers }, body)
  else send(response, status, headers, body ?? { status: { error: `Fault of the double: ${status}` }, time })
}

function refuse(refusal: Refusal, response: ServerResponse, time: number): void {
  // An unknown path and a missing key are answered by layers that know no envelope.
  const { kind, status, message } = refusal
  if (kind === 'unauthorized' || kind === 'unknown-path') sendText(response, status, {}, message)
  // Of a body that is too large the rest isn't read: the connection is of no more use.
  else
    send(response, status, kind === 'too-large' ? { connection: 'close' } : {}, {
      status: { error: message },
      time,
    })
}

function send(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: unknown,
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}

function sendText(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  text: string,
): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}
