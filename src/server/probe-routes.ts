/** What orchestrators, Prometheus and people who wonder ask: alive, ready, metrics, status, version. */

import { z } from 'zod'
import { liveAnswer, readyAnswer, statusAnswer, versionAnswer } from './answers.ts'
import { type Api, ERRORS, OPEN, PROBE } from './api.ts'
import type { FreshetService } from './service.ts'

/** What the program tells about itself; `observability/` has it. */
export interface ProbeParts {
  version: string
  health: {
    live(): { live: boolean; why: string | null }
    readonly degraded: string[]
  }
  metrics: { exposition(): Promise<{ contentType: string; text: string }> }
}

export function probeRoutes(app: Api, service: FreshetService, parts: ProbeParts): void {
  const { health } = parts

  app.route({
    method: 'GET',
    url: '/live',
    config: PROBE,
    schema: {
      operationId: 'live',
      summary: 'Whether a restart would help: 503 if so',
      response: { 200: liveAnswer, 503: liveAnswer },
    },
    handler: async (_request, reply) => {
      const answer = health.live()
      return reply.code(answer.live ? 200 : 503).send(answer)
    },
  })

  app.route({
    method: 'GET',
    url: '/ready',
    config: PROBE,
    schema: {
      operationId: 'ready',
      summary: 'Whether it can answer now: 503 if not',
      description: 'An outage of a neighbour is listed as degraded and takes nobody out of service.',
      response: { 200: readyAnswer, 503: readyAnswer },
    },
    handler: async (_request, reply) => {
      const { live, why } = health.live()
      const answer = live ? await service.ready() : { ready: false, why }
      return reply.code(answer.ready ? 200 : 503).send({ ...answer, degraded: health.degraded })
    },
  })
  numberRoutes(app, service, parts)
}

function numberRoutes(app: Api, service: FreshetService, { version, metrics }: ProbeParts): void {
  app.route({
    method: 'GET',
    url: '/metrics',
    config: PROBE,
    schema: {
      operationId: 'metrics',
      summary: 'Metrics in the text format of Prometheus',
      produces: ['text/plain'],
      response: { 200: z.string().meta({ examples: ['freshet_epoch 1769846000\n'] }), ...ERRORS },
    },
    handler: async (_request, reply) => {
      const { contentType, text } = await metrics.exposition()
      return reply.type(contentType).serializer(String).send(text)
    },
  })

  app.route({
    method: 'GET',
    url: '/status',
    config: OPEN,
    schema: {
      operationId: 'status',
      summary: 'What it is doing, in numbers',
      response: { 200: statusAnswer, ...ERRORS },
    },
    handler: () => service.status(),
  })

  app.route({
    method: 'GET',
    url: '/version',
    config: PROBE,
    schema: {
      operationId: 'version',
      summary: 'Which freshet this is',
      response: { 200: versionAnswer, ...ERRORS },
    },
    handler: async () => ({ version, node: process.versions.node }),
  })
}
