import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, isDropped, judge, reasonOf, retryAfterMs } from '../../../src/drivers/qdrant/answers.ts'
import { UnavailableError } from '../../../src/errors.ts'

const NOW_MS = Date.parse('2026-11-24T12:00:00Z')
const ASKED = { what: 'write points', collection: 'freshet_main_m1' }

const saying = (status: number, error: string, retryAfter: string | null = null): Answer => ({
  kind: 'http',
  status,
  body: { status: { error }, time: 0 },
  retryAfter,
})
const plain = (status: number, body: unknown): Answer => ({ kind: 'http', status, body, retryAfter: null })
const success = (result: unknown): Answer => plain(200, { result, status: 'ok', time: 0 })
const broken = (code: string | null): Answer => ({ kind: 'network', code, cause: new Error('fetch failed') })

/** The words are those of a server 1.19.0, or of what stands before one. */
const TABLE: [answer: Answer, verdict: string][] = [
  [success({ operation_id: 7, status: 'completed' }), 'done'],
  [success(true), 'done'],
  [success({ points: [] }), 'done'],
  [success({ operation_id: 7, status: 'acknowledged' }), 'UnavailableError qdrant-unavailable'],
  [success({ operation_id: 7, status: 'wait_timeout' }), 'UnavailableError qdrant-unavailable'],
  [success({ status: 'acknowledged' }), 'UnavailableError qdrant-unavailable'],
  [success({ status: 'clock_rejected' }), 'UnavailableError qdrant-unavailable'],
  [success({ status: 'completed' }), 'done'],
  [success({ status: 'grey', optimizer_status: 'ok', segments_count: 1 }), 'done'],
  [plain(200, '<html>Log in</html>'), 'UnavailableError qdrant-unavailable'],
  [plain(200, null), 'UnavailableError qdrant-unavailable'],
  [plain(202, { status: 'accepted', time: 0 }), 'UnavailableError qdrant-unavailable'],
  [plain(302, ''), 'ConfigError qdrant-url'],
  [saying(400, 'Wrong input: Not existing vector name error: zz'), 'ConfigError vector-name-unknown'],
  [
    saying(400, "Wrong input: Vector dimension error: expected dim: 4, got 2 for vector 'v'"),
    'ConfigError vector-dimension',
  ],
  [saying(400, 'JSON payload (40000000 bytes) is larger than allowed (limit: 33554432 bytes).'), 'too-large'],
  [saying(400, 'JSON payload has exceeded limit (33554432 bytes).'), 'too-large'],
  [saying(400, 'Bad request: Limit exceeded 101 > 100 for "upsert limit". Help: …'), 'too-large'],
  [plain(413, '<html>Request Entity Too Large</html>'), 'too-large'],
  [broken('EPIPE'), 'cut-off'],
  [saying(400, 'Format error in JSON body: unexpected end of hex escape'), 'refused'],
  [saying(400, 'Bad request: Index required but not found for "x"'), 'refused'],
  [saying(422, 'Validation error in JSON body: [limit: value 0 invalid]'), 'refused'],
  [plain(401, 'Invalid API key or JWT'), 'ConfigError qdrant-key'],
  [saying(403, 'Forbidden: Global manage access is required'), 'ConfigError qdrant-key-read-only'],
  [
    saying(403, 'Forbidden: Write access to collection freshet_main_m1 is required'),
    'ConfigError qdrant-key-read-only',
  ],
  [
    saying(403, 'Forbidden: Access to collection freshet_main_m1 is required'),
    'ConfigError qdrant-key-rights',
  ],
  [saying(403, 'Forbidden: Global access is required'), 'ConfigError qdrant-key-rights'],
  [saying(403, 'Storage locked: a snapshot is being restored'), 'UnavailableError qdrant-unavailable'],
  [saying(404, "Not found: Collection `freshet_main_m1` doesn't exist!"), 'ConfigError collection-missing'],
  [saying(404, 'Not found: No point with id 1 found'), 'refused'],
  [plain(404, 'default backend - 404'), 'UnavailableError qdrant-unavailable'],
  [saying(405, 'Qdrant is running in standalone mode'), 'ConfigError qdrant-refused'],
  [saying(408, 'Timeout: Operation timed out'), 'UnavailableError qdrant-unavailable'],
  [saying(409, 'Wrong input: Collection `c` already exists!'), 'exists'],
  [
    saying(429, 'Rate limiting exceeded: Write rate limit exceeded: Operation requires 64 tokens', '7'),
    'UnavailableError qdrant-unavailable',
  ],
  [
    saying(
      429,
      'Rate limiting exceeded: Write rate limit exceeded, request larger than rate limiter capacity',
    ),
    'too-large',
  ],
  [saying(500, 'Service internal error: disk on fire'), 'UnavailableError qdrant-unavailable'],
  [plain(502, '<html>Bad gateway</html>'), 'UnavailableError qdrant-unavailable'],
  [saying(503, 'Shard temporarily unavailable'), 'UnavailableError qdrant-unavailable'],
  [saying(507, 'Insufficient storage: quota reached'), 'UnavailableError qdrant-unavailable'],
  [broken('ECONNREFUSED'), 'UnavailableError qdrant-unavailable'],
  [broken('ECONNRESET'), 'UnavailableError qdrant-unavailable'],
  [broken('UND_ERR_SOCKET'), 'UnavailableError qdrant-unavailable'],
  [broken(null), 'UnavailableError qdrant-unavailable'],
  [{ kind: 'timeout', afterMs: 30_000 }, 'UnavailableError qdrant-unavailable'],
]

for (const [answer, expected] of TABLE) {
  const said = answer.kind === 'http' ? `${answer.status} ${reasonOf(answer.body)}` : JSON.stringify(answer)
  test(`${said}: ${expected}`, () => {
    const verdict = judge(answer, ASKED, NOW_MS)
    const { kind } = verdict
    assert.equal(kind === 'error' ? `${verdict.error.name} ${verdict.error.code}` : kind, expected)
    if (kind === 'error') assert.match(verdict.error.message, /expected .* got .*: ./s)
  })
}

test('only a connection that died is worth a second try at once', () => {
  const dropped = TABLE.map(([answer]) => answer).filter(isDropped)
  const codes = dropped.map((answer) => answer.kind === 'network' && answer.code)
  assert.deepEqual(codes.sort(), ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
})

test('Retry-After is read in seconds and as a date, at least 100 ms and at most a minute', () => {
  const read: [string | null, number | undefined][] = [
    ['37', 37_000],
    ['5', 5_000],
    ['0', 100],
    ['0.25', 250],
    [' 12 ', 12_000],
    ['3600', 60_000],
    ['Tue, 24 Nov 2026 12:00:05 GMT', 5_000],
    ['Tue, 24 Nov 2026 11:00:00 GMT', 100],
    ['Wed, 25 Nov 2026 12:00:00 GMT', 60_000],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ]
  for (const [header, ms] of read) assert.equal(retryAfterMs(header, NOW_MS), ms, `${header}`)
})

test('who waits is told how long the server asked for', () => {
  const waits = (answer: Answer) => {
    const verdict = judge(answer, ASKED, NOW_MS)
    assert.ok(verdict.kind === 'error' && verdict.error instanceof UnavailableError)
    return verdict.error.retryAfterMs
  }
  assert.equal(waits(saying(429, 'Rate limiting exceeded: Retry after 37s', '37')), 37_000)
  assert.equal(waits(saying(503, 'Shard temporarily unavailable', '2')), 2_000)
  assert.equal(waits(saying(500, 'Service internal error: x')), 1_000)
})

test('the server’s own words are found wherever it puts them, and a page of HTML is cut', () => {
  assert.equal(reasonOf({ status: { error: 'Wrong input: x' } }), 'Wrong input: x')
  assert.equal(reasonOf('Must provide an API key'), 'Must provide an API key')
  assert.equal(reasonOf({ other: 1 }), '{"other":1}')
  assert.equal(reasonOf(undefined), 'nothing')
  assert.equal(reasonOf(''), 'nothing')
  assert.ok(reasonOf(`<html>${'x'.repeat(10_000)}`).length < 600)
})
