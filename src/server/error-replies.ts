/** Whatever goes wrong becomes `{code, message, docs}` and a status that says who must act. */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors, isResponseSerializationError } from 'fastify-type-provider-zod'
import { BugError, FreshetError, RecordError, RequestError, UnavailableError } from '../errors.ts'

interface ErrorBody {
  code: string
  message: string
  /** The page, and the section of it, that says what to do. */
  docs: string
}

/** Faults listed in one message; a body of a thousand wrong users says enough with these. */
const ISSUES_MAX = 5

function errorBody({ code, message }: { code: string; message: string }): ErrorBody {
  return { code, message, docs: `docs/errors.md#${code}` }
}

/** 400-499: the caller; 503: nobody yet; 500: the operator, or us. */
export function statusOf(error: FreshetError): number {
  if (error instanceof RequestError) return error.status
  if (error instanceof RecordError) return 400
  return error instanceof UnavailableError ? 503 : 500
}

export function sendError(reply: FastifyReply, error: FreshetError): FastifyReply {
  if (error instanceof UnavailableError)
    reply.header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
  return reply.code(statusOf(error)).type('application/json').send(errorBody(error))
}

/** Anything thrown on the way to an answer, as one of ours. */
export function asFreshetError(error: unknown, request: FastifyRequest): FreshetError {
  if (error instanceof FreshetError) return error
  if (hasZodFastifySchemaValidationErrors(error)) return invalid(error)
  if (isResponseSerializationError(error))
    return new BugError(
      'answer-shape',
      `expected an answer as the API documents it, got another from ${request.method} ${request.routeOptions.url ?? ''}: report it`,
      { cause: error.cause },
    )
  return ofFastify(error as Partial<FastifyError>, request)
}

function invalid({ validation, validationContext }: Pick<FastifyError, 'validation' | 'validationContext'>) {
  const issues = (validation ?? []).map(
    ({ instancePath, message }) =>
      `${validationContext ?? 'request'}${instancePath}: ${message ?? 'is wrong'}`,
  )
  const more = issues.length > ISSUES_MAX ? `; and ${issues.length - ISSUES_MAX} more` : ''
  return new RequestError(
    'request-invalid',
    `${issues.slice(0, ISSUES_MAX).join('; ')}${more}: GET /openapi.json says what is expected`,
  )
}

function ofFastify(error: Partial<FastifyError>, request: FastifyRequest): FreshetError {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new RequestError(
        'request-too-large',
        `expected a body of at most ${request.routeOptions.bodyLimit} bytes, got more: send less at once, or raise server.bodyBytesMax`,
        { status: 413 },
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_INVALID_CONTENT_TYPE':
      return new RequestError(
        'request-media-type',
        `expected content-type application/json (events: application/x-ndjson as well), got ${request.headers['content-type'] ?? 'none'}: set it`,
        { status: 415 },
      )
    case 'FST_ERR_HANDLER_TIMEOUT':
      return new UnavailableError(
        'request-timeout',
        'expected an answer in time, got none: the machine is busy; try again, or ask for less at once',
        { cause: error },
      )
    case 'FST_ERR_BAD_URL':
      return new RequestError(
        'request-url',
        'expected a URL with valid percent-encoding, got another: encode ids',
      )
  }
  const status = error.statusCode ?? 500
  if (status >= 400 && status < 500)
    return new RequestError(
      'request-body',
      `expected a JSON body, got ${error.message ?? 'none'}: correct it`,
      {
        status,
        cause: error,
      },
    )
  // What nobody foresaw may hold anything in its message: it goes to the log, not to the caller.
  return new BugError('unexpected', 'expected an answer, got an error that nobody foresaw: see the log', {
    cause: error,
  })
}
