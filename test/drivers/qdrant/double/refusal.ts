/** An answer that is no success, with the words and the status that a real Qdrant 1.19 gives it. */

import { Code } from '@connectrpc/connect'

type Kind =
  | 'already-exists'
  | 'bad-input'
  | 'bad-request'
  | 'forbidden'
  | 'malformed'
  | 'not-found'
  | 'too-large'
  | 'unauthorized'
  | 'unknown-path'
  | 'invalid'

/** What each kind is over HTTP and over gRPC, and the words before its description. */
const KINDS: Record<Kind, { status: number; code: Code; before: string }> = {
  'already-exists': { status: 409, code: Code.AlreadyExists, before: 'Wrong input: ' },
  'bad-input': { status: 400, code: Code.InvalidArgument, before: 'Wrong input: ' },
  'bad-request': { status: 400, code: Code.InvalidArgument, before: 'Bad request: ' },
  forbidden: { status: 403, code: Code.PermissionDenied, before: 'Forbidden: ' },
  malformed: { status: 400, code: Code.InvalidArgument, before: '' },
  'too-large': { status: 400, code: Code.InvalidArgument, before: '' },
  'not-found': { status: 404, code: Code.NotFound, before: 'Not found: ' },
  unauthorized: { status: 401, code: Code.Unauthenticated, before: '' },
  'unknown-path': { status: 404, code: Code.Unimplemented, before: '' },
  // Out of range: well-formed, so 422 and not 400.
  invalid: { status: 422, code: Code.InvalidArgument, before: 'Validation error in ' },
}

export class Refusal extends Error {
  readonly kind: Kind
  readonly status: number
  readonly code: Code

  constructor(kind: Kind, description: string) {
    super(`${KINDS[kind].before}${description}`)
    this.kind = kind
    this.status = KINDS[kind].status
    this.code = KINDS[kind].code
  }
}
