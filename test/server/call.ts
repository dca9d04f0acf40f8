/** Calls of the API as tests make them: without a socket, the answer parsed, an error held to its form. */

import assert from 'node:assert/strict'
import type { FreshetServer } from '../../src/server/http-server.ts'
import type { ServedFreshet } from './served-freshet.ts'

export interface Sent {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  headers?: Record<string, string>
  on?: FreshetServer
}

/** @param served asked at each call, as a suite has it only once it runs */
export function caller(served: () => ServedFreshet) {
  async function call(url: string, { method = 'GET', body, headers, on = served().server }: Sent = {}) {
    const response = await on.app.inject({
      method,
      url,
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { payload: body as string | Buffer | object }),
    })
    const isJson = String(response.headers['content-type']).startsWith('application/json')
    return {
      status: response.statusCode,
      headers: response.headers,
      text: response.body,
      answer: isJson ? response.json() : undefined,
    }
  }

  /** What an error answer must be, whoever made it. */
  async function refused(url: string, sent: Sent, status: number, code: string) {
    const { answer, status: got } = await call(url, sent)
    assert.deepEqual([got, answer?.code], [status, code], JSON.stringify(answer))
    assert.equal(answer.docs, `docs/errors.md#${code}`)
    assert.ok(answer.message.length > 10)
  }

  return { call, refused }
}
