/** The HTTP API: freshet's answers over one port, checked, limited, documented, and closed gracefully. */

import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import { fastify } from 'fastify'
import {
  createJsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import { ConfigError, RequestError } from '../errors.ts'
import type { Health } from '../observability/health.ts'
import type { Metrics } from '../observability/metrics.ts'
import { adminGuard } from './access.ts'
import { type Api, PROBE } from './api.ts'
import { asFreshetError, sendError, statusOf } from './error-replies.ts'
import { eventRoutes } from './event-routes.ts'
import { homePage } from './home-page.ts'
import { instructionRoutes } from './instruction-routes.ts'
import { probeRoutes } from './probe-routes.ts'
import { searchRoutes } from './search-routes.ts'
import type { FreshetService } from './service.ts'
import { upkeepRoutes } from './upkeep-routes.ts'
import { userRoutes } from './user-routes.ts'

/** An id of 256 characters takes up to 9 characters each when percent-encoded. */
const PARAM_LENGTH_MAX = 256 * 9
/** Idle connections are kept so long for the next request. */
const KEEP_ALIVE_MS = 72_000
/** Connections open at a time; more are refused. Far above what a machine serves, below what its file handles allow. Guess. */
const CONNECTIONS_MAX = 4_096
/** Addresses whose requests are counted at a time; the least recently seen are forgotten first. */
const ADDRESSES_MAX = 5_000

export interface ServerOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  adminSecret: string | null
  bodyBytesMax: number
  requestsPerMinuteMax: number
  /** Milliseconds to receive a request, and to answer it. */
  requestTimeoutMs?: number
  /** Milliseconds that requests under way have when the server closes. */
  closeTimeoutMs?: number
  version: string
  health: Health
  metrics: Metrics
  /** Told of every answer of 500: what was thrown, and by which route. For the log. */
  failed?: (error: unknown, route: string) => void
}

export interface FreshetServer {
  /** For `inject`. */
  readonly app: Api
  /** @returns the URL that it answers under. @throws {ConfigError} `port-taken`, `address-unusable` */
  listen(): Promise<string>
  /** Takes no new request, lets those under way end, and closes all connections. */
  close(): Promise<void>
}

/**
 * @throws {ConfigError} `admin-secret-missing`, when other machines can reach the address and no secret is set
 */
export async function createServer(service: FreshetService, options: ServerOptions): Promise<FreshetServer> {
  const { host, port, bodyBytesMax, requestTimeoutMs = 30_000, closeTimeoutMs = 10_000 } = options
  const guard = adminGuard(options)
  const app: Api = fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    handlerTimeout: requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    frameworkErrors: (error, request, reply) => sendError(reply, asFreshetError(error, request)),
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  watch(app, options)
  await limitRate(app, options.requestsPerMinuteMax)
  // After the rate, before the body: guessing is limited, and no stranger's body is read.
  app.addHook('preParsing', async (request) => {
    const { access } = request.routeOptions.config
    if (access !== 'open' && access !== 'probe' && !request.is404) guard(request.headers)
  })
  // Else a connection that is busy now would be kept for the next request, and the close would wait for it.
  const isClosing = { current: false }
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing.current) reply.header('connection', 'close')
  })
  await document(app, options.version)
  homePage(app, service)
  eventRoutes(app, service)
  searchRoutes(app, service)
  userRoutes(app, service)
  instructionRoutes(app, service)
  upkeepRoutes(app, service)
  probeRoutes(app, service, options)
  app.get(
    '/openapi.json',
    { config: PROBE, schema: { hide: true, summary: 'This API, as an OpenAPI document' } },
    () => app.swagger(),
  )
  app.server.maxConnections = CONNECTIONS_MAX
  await app.ready()
  return {
    app,
    listen: () => listen(app, host, port),
    close: () => close(app, isClosing, closeTimeoutMs),
  }
}

/** Errors become answers, and every answer is counted under its route. */
function watch(app: Api, { metrics, failed }: ServerOptions): void {
  app.setErrorHandler((thrown, request, reply) => {
    const error = asFreshetError(thrown, request)
    if (statusOf(error) === 500)
      failed?.(thrown, `${request.method} ${request.routeOptions.url ?? 'unknown'}`)
    return sendError(reply, error)
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown')
    metrics.requestAnswered(request.method, route, reply.statusCode, reply.elapsedTime / 1000)
  })
}

async function limitRate(app: Api, requestsPerMinuteMax: number): Promise<void> {
  await app.register(rateLimit, {
    max: requestsPerMinuteMax,
    timeWindow: 60_000,
    cache: ADDRESSES_MAX,
    errorResponseBuilder: (_request, { max, ttl }) =>
      new RequestError(
        'request-rate',
        `expected at most ${max} requests a minute from one address, got more: try again in ${Math.ceil(ttl / 1000)} s, or raise server.requestsPerMinuteMax`,
        { status: 429 },
      ),
  })
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (request, reply) =>
    sendError(
      reply,
      new RequestError(
        'route-unknown',
        `expected a route of GET /openapi.json, got ${request.method} ${pathOf(request.url)}`,
        {
          status: 404,
        },
      ),
    ),
  )
}

function pathOf(url: string): string {
  return url.split('?')[0]!.slice(0, 200)
}

/** Raw bytes have no JSON schema. */
const jsonSchemaTransform = createJsonSchemaTransform({ zodToJsonConfig: { unrepresentable: 'any' } })

async function document(app: Api, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'freshet',
        description:
          'Instruction-aware user embeddings, kept fresh. Every answer says model, asOf and stale.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { admin: { type: 'http', scheme: 'bearer' } } },
    },
    transform: (given) => {
      const transformed = jsonSchemaTransform(given)
      const { access = 'admin' } = given.route.config ?? {}
      if (access === 'admin') Object.assign(transformed.schema ?? {}, { security: [{ admin: [] }] })
      return transformed
    },
  })
}

export function portTaken(host: string, port: number, cause?: unknown): ConfigError {
  return new ConfigError(
    'port-taken',
    `expected port ${port} of ${host} to be free, got one in use: stop the other program, or set server.port`,
    { cause },
  )
}

async function listen(app: Api, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') throw portTaken(host, port, cause)
    throw new ConfigError(
      'address-unusable',
      `expected to listen on ${host}:${port}, got ${(cause as Error).message}: correct server.host and server.port`,
      { cause },
    )
  }
}

async function close(app: Api, isClosing: { current: boolean }, timeoutMs: number): Promise<void> {
  isClosing.current = true
  const timer = setTimeout(() => app.server.closeAllConnections(), timeoutMs)
  try {
    await app.close()
  } finally {
    clearTimeout(timer)
  }
}
