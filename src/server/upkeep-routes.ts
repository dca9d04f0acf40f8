/** For operators: what was set aside, what could not be read, and whether what is stored is right. */

import {
  letterAnswer,
  lettersAnswer,
  parkedAnswer,
  purgedAnswer,
  recallAnswer,
  retriedAnswer,
  verifyAnswer,
} from './answers.ts'
import { ADMIN, type Api, ERRORS } from './api.ts'
import {
  letterPath,
  lettersBody,
  lettersQuery,
  parkedQuery,
  recallBody,
  retryParkedBody,
  verifyBody,
} from './requests.ts'
import type { FreshetService } from './service.ts'

/** A sample of 1,000 users is embedded anew for a verification, or searched for exactly among millions. */
const SAMPLE_TIMEOUT_MS = 600_000

export function upkeepRoutes(app: Api, service: FreshetService): void {
  app.route({
    method: 'POST',
    url: '/v1/verify',
    config: ADMIN,
    handlerTimeout: SAMPLE_TIMEOUT_MS,
    schema: {
      operationId: 'verify',
      summary: 'Embed users anew and compare with what is stored',
      body: verifyBody,
      response: { 200: verifyAnswer, ...ERRORS },
    },
    handler: ({ body }) => service.verify(body),
  })

  app.route({
    method: 'POST',
    url: '/v1/recall',
    config: ADMIN,
    handlerTimeout: SAMPLE_TIMEOUT_MS,
    schema: {
      operationId: 'recall',
      summary: 'Compare the search that readers get with an exact one',
      body: recallBody,
      response: { 200: recallAnswer, ...ERRORS },
    },
    handler: ({ body }) => service.recall(body),
  })

  app.route({
    method: 'GET',
    url: '/v1/parked',
    config: ADMIN,
    schema: {
      operationId: 'parked',
      summary: 'Users who could not be embedded',
      querystring: parkedQuery,
      response: { 200: parkedAnswer, ...ERRORS },
    },
    handler: async ({ query }) => ({ users: await service.parked(query) }),
  })

  app.route({
    method: 'POST',
    url: '/v1/parked/retry',
    config: ADMIN,
    schema: {
      operationId: 'retryParked',
      summary: 'Try parked users again',
      body: retryParkedBody,
      response: { 200: retriedAnswer, ...ERRORS },
    },
    handler: async ({ body }) => ({ retried: await service.retryParked(body.users) }),
  })

  letterRoutes(app, service)
}

function letterRoutes(app: Api, service: FreshetService): void {
  app.route({
    method: 'GET',
    url: '/v1/dead-letters',
    config: ADMIN,
    schema: {
      operationId: 'deadLetters',
      summary: 'Records that could not be read, oldest first',
      querystring: lettersQuery,
      response: { 200: lettersAnswer, ...ERRORS },
    },
    handler: async ({ query }) => ({ letters: await service.deadLetters(query) }),
  })

  app.route({
    method: 'GET',
    url: '/v1/dead-letters/:id',
    config: ADMIN,
    schema: {
      operationId: 'deadLetter',
      summary: 'One of them, with its raw bytes',
      params: letterPath,
      response: { 200: letterAnswer, ...ERRORS },
    },
    handler: ({ params }) => service.deadLetter(params.id),
  })

  app.route({
    method: 'POST',
    url: '/v1/dead-letters/retry',
    config: ADMIN,
    schema: {
      operationId: 'retryDeadLetters',
      summary: 'Put their raw bytes back on their topics',
      body: lettersBody,
      response: { 200: retriedAnswer, ...ERRORS },
    },
    handler: async ({ body }) => ({ retried: await service.retryDeadLetters(body) }),
  })

  app.route({
    method: 'POST',
    url: '/v1/dead-letters/purge',
    config: ADMIN,
    schema: {
      operationId: 'purgeDeadLetters',
      summary: 'Remove them for good',
      body: lettersBody,
      response: { 200: purgedAnswer, ...ERRORS },
    },
    handler: async ({ body }) => ({ purged: await service.purgeDeadLetters(body) }),
  })
}
