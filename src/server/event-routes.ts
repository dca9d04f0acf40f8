/** POST /v1/events: records become durable, or are told why not. */

import { RecordError, RequestError } from '../errors.ts'
import { ingestAnswer } from './answers.ts'
import { ADMIN, type Api, ERRORS } from './api.ts'
import { eventsBody, eventsQuery, RECORDS_MAX } from './requests.ts'
import type { FreshetService } from './service.ts'

const NDJSON = ['application/x-ndjson', 'application/jsonl', 'application/x-jsonlines']
/** One record in its topic's own bytes: Avro, in whatever frame the topic has. */
const RAW = ['application/octet-stream', 'application/vnd.confluent.avro', 'avro/binary']

export function eventRoutes(app: Api, service: FreshetService): void {
  app.addContentTypeParser(NDJSON, { parseAs: 'string' }, (_request, body, done) =>
    done(null, linesOf(body as string)),
  )
  app.addContentTypeParser(RAW, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.route({
    method: 'POST',
    url: '/v1/events',
    config: ADMIN,
    schema: {
      operationId: 'ingest',
      summary: 'Take in events',
      description:
        `One JSON object, a list of them, or one a line (${NDJSON[0]}); ${RECORDS_MAX} at most. Each names its topic. ` +
        'Of a list, what is right is taken and the rest is listed; a single object that is wrong is an error. ' +
        `Or one record in the bytes of its topic's format (${RAW[0]}), with topic and key in the query.`,
      consumes: ['application/json', NDJSON[0]!, RAW[0]!],
      querystring: eventsQuery,
      body: eventsBody,
      response: { 200: ingestAnswer, ...ERRORS },
    },
    handler: async ({ body, query }) => {
      const { topic, key } = query
      const isRaw = body instanceof Uint8Array
      if (isRaw !== (topic !== undefined) || isRaw !== (key !== undefined))
        throw new RequestError(
          'request-record-place',
          'expected topic and key in the query with one record in raw bytes, and only then: JSON records name their topic themselves',
        )
      if (Array.isArray(body)) return service.ingest(body)
      const result = isRaw
        ? await service.ingestRaw({ topic: topic!, key: key!, value: body })
        : await service.ingest([body])
      const refused = result.rejected[0]
      if (refused !== undefined) throw new RefusedRecord(refused)
      return result
    },
  })
}

/** Code and message are those that the service gave to the record. */
class RefusedRecord extends RecordError {
  constructor({ code, message }: { code: string; message: string }) {
    super(code, message)
    this.name = 'RecordError'
  }
}

/** A line that is no JSON stays a string, which no record is: so it is refused in its own place. */
function linesOf(body: string): unknown[] {
  const lines = body.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line) => {
    try {
      return JSON.parse(line)
    } catch {
      return line
    }
  })
}
