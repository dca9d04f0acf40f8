/** What the double was asked, for tests to look at; bounded, for whole pipelines run against it. */

import type { SeenRequest } from './faults.ts'

const REQUESTS_MAX = 10_000
/** Of request bodies as they came; parsed they take several times as much. */
const BODY_BYTES_MAX = 4 * 1024 * 1024

export class RequestLog {
  readonly requests: SeenRequest[] = []
  #bodyBytes = 0
  #firstWithBody = 0

  add(request: SeenRequest): void {
    this.requests.push(request)
    this.#bodyBytes += request.sizeBytes
    while (this.#bodyBytes > BODY_BYTES_MAX && this.#firstWithBody < this.requests.length - 1) {
      const oldest = this.requests[this.#firstWithBody++]!
      this.#bodyBytes -= oldest.sizeBytes
      oldest.body = undefined
    }
    if (this.requests.length <= REQUESTS_MAX) return
    const gone = this.requests.splice(0, this.requests.length - REQUESTS_MAX)
    this.#bodyBytes -= gone.slice(this.#firstWithBody).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    this.#firstWithBody = Math.max(0, this.#firstWithBody - gone.length)
  }

  clear(): void {
    this.requests.length = 0
    this.#bodyBytes = 0
    this.#firstWithBody = 0
  }

  /** Those of one endpoint, in the order in which they came. */
  of(endpoint: string): SeenRequest[] {
    return this.requests.filter((request) => request.endpoint === endpoint)
  }
}
