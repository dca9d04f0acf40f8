/** One user: what is stored, why it is so, and how it is forgotten. */

import { explainAnswer, forgetAnswer, userAnswer } from './answers.ts'
import { ADMIN, type Api, ERRORS, OPEN } from './api.ts'
import { tenantQuery, userPath, userQuery } from './requests.ts'
import type { FreshetService, UserRef } from './service.ts'

export function userRoutes(app: Api, service: FreshetService): void {
  app.route({
    method: 'GET',
    url: '/v1/users/:id',
    config: OPEN,
    schema: {
      operationId: 'user',
      summary: 'What is stored of a user',
      params: userPath,
      querystring: userQuery,
      response: { 200: userAnswer, ...ERRORS },
    },
    handler: ({ params, query }) =>
      service.user({ tenant: query.tenant, user: params.id }, { vectors: query.vectors }),
  })

  app.route({
    method: 'GET',
    url: '/v1/users/:id/explain',
    config: ADMIN,
    schema: {
      operationId: 'explain',
      summary: "Why a user's vectors are what they are",
      description: 'Shows the texts of the events, so it is an admin call.',
      params: userPath,
      querystring: tenantQuery,
      response: { 200: explainAnswer, ...ERRORS },
    },
    handler: ({ params, query }) => service.explain({ tenant: query.tenant, user: params.id }),
  })

  app.route({
    method: 'DELETE',
    url: '/v1/users/:id',
    config: ADMIN,
    schema: {
      operationId: 'forget',
      summary: 'Forget a user',
      description: 'Durable when answered; `Location` says where to see that no vector is left.',
      params: userPath,
      querystring: tenantQuery,
      response: { 202: forgetAnswer, ...ERRORS },
    },
    handler: async ({ params, query }, reply) => {
      const ref = { tenant: query.tenant, user: params.id }
      const status = await service.forget(ref)
      return reply.code(202).header('location', forgetPath(ref)).send(status)
    },
  })

  app.route({
    method: 'GET',
    url: '/v1/users/:id/forget',
    config: OPEN,
    schema: {
      operationId: 'forgetStatus',
      summary: 'How far a user is forgotten',
      params: userPath,
      querystring: tenantQuery,
      response: { 200: forgetAnswer, ...ERRORS },
    },
    handler: ({ params, query }) => service.forgetStatus({ tenant: query.tenant, user: params.id }),
  })
}

function forgetPath({ tenant, user }: UserRef): string {
  return `/v1/users/${encodeURIComponent(user)}/forget?tenant=${encodeURIComponent(tenant)}`
}
