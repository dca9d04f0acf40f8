/** The fastify that all routes share: typed by zod, with an access level on every route. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Access } from './access.ts'
import { errorAnswer } from './answers.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A route that doesn't say is an admin call. */
    access?: Access
  }
}

export type Api = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** Answers that every route may give. */
export const ERRORS = { '4xx': errorAnswer, '5xx': errorAnswer }

export const OPEN = { access: 'open' } as const
export const ADMIN = { access: 'admin' } as const
/** Not limited: whoever watches must see most when the most is asked. */
export const PROBE = { access: 'probe', rateLimit: false } as const
