/** Who is near whom, and texts into the users' space. */

import type { SearchFilter } from '../vectors/vector-store.ts'
import { embedAnswer, nearestAnswer } from './answers.ts'
import { type Api, ERRORS, OPEN } from './api.ts'
import { embedBody, nearestBody, nearestQuery, userPath } from './requests.ts'
import type { FreshetService, NearestRequest } from './service.ts'

export function searchRoutes(app: Api, service: FreshetService): void {
  app.route({
    method: 'GET',
    url: '/v1/users/:id/nearest',
    config: OPEN,
    schema: {
      operationId: 'nearestToUser',
      summary: 'Who is nearest to a user under an instruction',
      params: userPath,
      querystring: nearestQuery,
      response: { 200: nearestAnswer, ...ERRORS },
    },
    handler: ({ params, query }) => {
      const { instruction, k, tenant, segment, lastEventSince, lastEventBefore, scoreThreshold } = query
      const filter: SearchFilter = {
        tenantId: tenant,
        ...(segment === undefined ? {} : { segment }),
        ...(lastEventSince === undefined ? {} : { lastEventSinceMs: lastEventSince }),
        ...(lastEventBefore === undefined ? {} : { lastEventBeforeMs: lastEventBefore }),
      }
      return service.nearest({
        instruction,
        k,
        filter,
        from: { users: [{ tenant, user: params.id }] },
        exact: query.exact,
        ...(scoreThreshold === undefined ? {} : { scoreThreshold }),
        ...(query.after === undefined ? {} : { after: query.after }),
      })
    },
  })

  app.route({
    method: 'POST',
    url: '/v1/nearest',
    config: OPEN,
    schema: {
      operationId: 'nearest',
      summary: 'Who is nearest to users, a vector or a text',
      description:
        "A vector must name its model: vectors of two models are not comparable (409). Pages go on in the first page's model (410 once it is gone).",
      body: nearestBody,
      response: { 200: nearestAnswer, ...ERRORS },
    },
    handler: ({ body }) => {
      const { users, vector, model, text, ...request } = body
      return service.nearest({ ...request, from: fromOf({ users, vector, model, text }) })
    },
  })

  app.route({
    method: 'POST',
    url: '/v1/embed',
    config: OPEN,
    schema: {
      operationId: 'embedTexts',
      summary: 'Texts into the space of users',
      description: 'For items that are to be searched beside users: the answer names the model.',
      body: embedBody,
      response: { 200: embedAnswer, ...ERRORS },
    },
    handler: ({ body }) => service.embedTexts(body.texts),
  })
}

/** The schema has seen to it that one of them is given. */
function fromOf(given: {
  users: Extract<NearestRequest['from'], { users: unknown }>['users'] | undefined
  vector: number[] | undefined
  model: Extract<NearestRequest['from'], { vector: unknown }>['model'] | undefined
  text: string | undefined
}): NearestRequest['from'] {
  const { users, vector, model, text } = given
  if (users !== undefined) return { users }
  if (vector !== undefined && model !== undefined) return { vector, model }
  return { text: text! }
}
