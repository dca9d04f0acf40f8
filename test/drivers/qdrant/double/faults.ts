/** Faults that a test lays in the way of requests: what they befall, how often, and what happens instead. */

/** A request as the double saw it; a test reads it, and chooses by it. */
export interface SeenRequest {
  protocol: 'grpc' | 'rest'
  /** REST: `PUT /collections/{collection_name}/points`; gRPC: `qdrant.Points/Upsert`. */
  endpoint: string
  /** As it came, without its query string. */
  path: string
  query: Readonly<Record<string, unknown>>
  sizeBytes: number
  /** Parsed; undefined when there was none, or once the log has become too large. */
  body: unknown
}

/** Where a fault strikes: before the request has had its effect, or after it, so that only the answer is lost. */
export type Moment = 'before' | 'after'

export type Fault =
  | { kind: 'answer'; moment: Moment; status: number; headers: Record<string, string>; body: unknown }
  | { kind: 'hang'; moment: Moment }
  | { kind: 'cut'; moment: Moment }
  | { kind: 'hold'; moment: Moment; released: Promise<void> }
  | { kind: 'status'; moment: Moment; status: 'acknowledged' | 'wait_timeout' }

/** Answers with another status: over gRPC with the code that goes with it. A string is sent as HTML. */
export function answer(
  status: number,
  {
    moment = 'before',
    headers = {},
    body,
  }: { moment?: Moment; headers?: Record<string, string>; body?: unknown } = {},
): Fault {
  return { kind: 'answer', moment, status, headers, body }
}

/** Never answers; the client must give up by itself. */
export function hang(moment: Moment = 'before'): Fault {
  return { kind: 'hang', moment }
}

/** Closes the connection without an answer. */
export function cut(moment: Moment = 'before'): Fault {
  return { kind: 'cut', moment }
}

/** Waits until the test lets it go on. */
export function hold(released: Promise<void>, moment: Moment = 'before'): Fault {
  return { kind: 'hold', moment, released }
}

/** Says 200 and a status that isn't `completed`, whether the write was applied or not. */
export function reportStatus(status: 'acknowledged' | 'wait_timeout', moment: Moment = 'after'): Fault {
  return { kind: 'status', moment, status }
}

type Befalls = string | ((request: SeenRequest) => boolean)

interface Laid {
  befalls: Befalls
  fault: Fault
  left: number
}

export class FaultQueue {
  #laid: Laid[] = []

  /**
   * @param befalls an endpoint as `SeenRequest` names it, or any choice
   * @param times how many requests it strikes before it is gone
   */
  add(befalls: Befalls, fault: Fault, times = 1): void {
    this.#laid.push({ befalls, fault, left: times })
  }

  clear(): void {
    this.#laid = []
  }

  /** How many strikes are still to come. */
  get left(): number {
    return this.#laid.reduce((sum, { left }) => sum + left, 0)
  }

  /** @returns the first fault that befalls the request, spent once */
  take(request: SeenRequest): Fault | null {
    const laid = this.#laid.find(({ befalls }) =>
      typeof befalls === 'string' ? befalls === request.endpoint : befalls(request),
    )
    if (laid === undefined) return null
    laid.left--
    if (laid.left <= 0) this.#laid = this.#laid.filter((other) => other !== laid)
    return laid.fault
  }
}
