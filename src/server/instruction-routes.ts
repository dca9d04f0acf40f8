/** What is asked about users, and how often. */

import { groupAnswer, instructionAnswer, instructionsAnswer } from './answers.ts'
import { ADMIN, type Api, ERRORS, OPEN } from './api.ts'
import { groupBody, groupPath, instructionBody, instructionPath } from './requests.ts'
import type { FreshetService } from './service.ts'

export function instructionRoutes(app: Api, service: FreshetService): void {
  app.route({
    method: 'GET',
    url: '/v1/instructions',
    config: OPEN,
    schema: {
      operationId: 'instructions',
      summary: 'Instructions, groups, and how far a back-fill is',
      response: { 200: instructionsAnswer, ...ERRORS },
    },
    handler: () => service.instructions(),
  })

  app.route({
    method: 'POST',
    url: '/v1/instructions',
    config: ADMIN,
    schema: {
      operationId: 'addInstruction',
      summary: 'Add an instruction, or change its text',
      description:
        'Every user is embedded under it by a back-fill; a changed text is read once that is done.',
      body: instructionBody,
      response: { 201: instructionAnswer, ...ERRORS },
    },
    handler: async ({ body }, reply) => reply.code(201).send(await service.addInstruction(body)),
  })

  app.route({
    method: 'DELETE',
    url: '/v1/instructions/:id',
    config: ADMIN,
    schema: {
      operationId: 'retireInstruction',
      summary: 'Retire an instruction',
      description: 'Its vectors are removed.',
      params: instructionPath,
      response: { 200: instructionAnswer, ...ERRORS },
    },
    handler: ({ params }) => service.retireInstruction(params.id),
  })

  app.route({
    method: 'PUT',
    url: '/v1/groups/:name',
    config: ADMIN,
    schema: {
      operationId: 'setGroup',
      summary: "Set a group's cadence, or pause it",
      params: groupPath,
      body: groupBody,
      response: { 200: groupAnswer, ...ERRORS },
    },
    handler: ({ params, body }) => service.setGroup({ name: params.name, ...body }),
  })
}
