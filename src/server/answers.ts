/** What an answer holds, checked before it leaves and documented with an example each; the types are those of service.ts. */

import { z } from 'zod'

const example = <Schema extends z.ZodType>(schema: Schema, value: z.input<Schema>) =>
  schema.meta({ examples: [value] })

const head = { model: z.string(), asOf: z.string(), stale: z.boolean() }
const headExample = { model: 'tiny-1', asOf: '2026-01-31', stale: false }
const user = { tenant: z.string(), user: z.string() }
const ada = { tenant: 'default', user: 'ada' }
const parkedState = z.object({ reason: z.string(), sinceMs: z.number() }).nullable()
const at = 1_769_846_400_000

export const errorAnswer = example(
  z.object({
    code: z.string().describe('Names a section of the page that `docs` points to.'),
    message: z.string().describe('What was expected, what came, and what to do.'),
    docs: z.string(),
  }),
  {
    code: 'request-invalid',
    message: 'querystring/k: Too big: expected number to be <=1000',
    docs: 'docs/errors.md#request-invalid',
  },
)

export const ingestAnswer = example(
  z.object({
    accepted: z.int().describe('Records that are durable now.'),
    rejected: z.array(z.object({ index: z.int(), code: z.string(), message: z.string() })),
  }),
  { accepted: 1, rejected: [{ index: 1, code: 'record-field-missing', message: 'event_time is missing' }] },
)

export const nearestAnswer = example(
  z.object({
    ...head,
    instruction: z.string(),
    vectorName: z.string(),
    neighbours: z.array(
      z.object({
        ...user,
        score: z.number().describe('Cosine, -1 to 1.'),
        segment: z.string().nullable(),
        lastEventAtMs: z.number().nullable(),
      }),
    ),
    next: z
      .string()
      .nullable()
      .describe(
        '`after` of the next page; null: there is none. Behind a page of 1,000 the next may be empty.',
      ),
  }),
  {
    ...headExample,
    instruction: 'general',
    vectorName: 'general@6e340b9c',
    neighbours: [{ tenant: 'default', user: 'bob', score: 0.93, segment: 'gold', lastEventAtMs: at }],
    next: 'WyJ0aW55LTEiLCJnZW5lcmFsQDZlMzQwYjljIiwxLCJuTndLRzhDUnNYV0RrYTVpIl0',
  },
)

const quantile = z.number().nullable()
const latency = z.object({ p50: z.number(), p95: z.number() }).nullable()

export const recallAnswer = example(
  z.object({
    ...head,
    instruction: z.string(),
    vectorName: z.string(),
    k: z.int(),
    users: z.int().describe('Whose neighbours were looked for.'),
    alwaysExact: z.boolean().describe('The store has no index that could miss a vector.'),
    recall: z
      .object({ mean: z.number(), p5: z.number() })
      .nullable()
      .describe('Share of the k nearest that the search of readers finds, 0 to 1; null: nobody to ask for.'),
    searchMs: latency.describe('A search as readers get it.'),
    exactMs: latency.describe('A search that compares every vector.'),
  }),
  {
    ...headExample,
    instruction: 'general',
    vectorName: 'general@6e340b9c',
    k: 10,
    users: 100,
    alwaysExact: false,
    recall: { mean: 0.987, p5: 0.9 },
    searchMs: { p50: 1.4, p95: 2.9 },
    exactMs: { p50: 11.8, p95: 16.2 },
  },
)

export const embedAnswer = example(
  z.object({ ...head, vectors: z.array(z.array(z.number())).describe('L2 norm 1, one for each text.') }),
  { ...headExample, vectors: [[0.6, -0.8]] },
)

export const userAnswer = example(
  z.object({
    ...head,
    ...user,
    instructions: z.array(
      z.object({
        id: z.string(),
        vectorName: z.string(),
        inputHash: z.string(),
        writtenAtMs: z.number(),
        vector: z.exactOptional(z.array(z.number())),
      }),
    ),
    events: z.record(z.string(), z.int()).describe('Events in the window, by modality.'),
    lastEventAtMs: z.number().nullable(),
    tombstoneMs: z.number().nullable(),
    parked: parkedState,
  }),
  {
    ...headExample,
    ...ada,
    instructions: [{ id: 'general', vectorName: 'general@6e340b9c', inputHash: '9f2c', writtenAtMs: at }],
    events: { search: 3 },
    lastEventAtMs: at,
    tombstoneMs: null,
    parked: null,
  },
)

export const explainAnswer = example(
  z.object({
    ...head,
    ...user,
    window: z
      .record(
        z.string(),
        z.array(
          z.object({ eventId: z.string(), source: z.string(), eventTimeMs: z.number(), text: z.string() }),
        ),
      )
      .describe('Per modality, oldest first: what the model read.'),
    tabular: z.record(z.string(), z.number()).nullable(),
    tombstoneMs: z.number().nullable(),
    parked: parkedState,
    positions: z.int(),
    targets: z.array(
      z.object({
        target: z.string(),
        currentHash: z.string(),
        acknowledgedHash: z.string().nullable(),
        acknowledgedEpoch: z.number().nullable(),
        dueMs: z.number().nullable(),
        stored: z
          .object({
            epoch: z.number(),
            write: z.number(),
            writtenAtMs: z.number(),
            stub: z.boolean(),
            vectorNames: z.array(z.string()),
          })
          .nullable(),
      }),
    ),
  }),
  {
    ...headExample,
    ...ada,
    window: { search: [{ eventId: 'e1', source: 'shop', eventTimeMs: at, text: 'searched for hotel' }] },
    tabular: null,
    tombstoneMs: null,
    parked: null,
    positions: 41,
    targets: [
      {
        target: 'main/tiny-1',
        currentHash: '9f2c',
        acknowledgedHash: '9f2c',
        acknowledgedEpoch: 1_769_846_000,
        dueMs: null,
        stored: {
          epoch: 1_769_846_000,
          write: 7,
          writtenAtMs: at,
          stub: false,
          vectorNames: ['general@6e340b9c'],
        },
      },
    ],
  },
)

export const forgetAnswer = example(
  z.object({
    ...user,
    atMs: z.number(),
    state: z.enum(['pending', 'done']).describe('done: no collection holds a vector of the user any more.'),
  }),
  { ...ada, atMs: at, state: 'pending' },
)

export const verifyAnswer = example(
  z.object({
    checked: z.int(),
    wrong: z.array(
      z.object({ ...user, instruction: z.string(), cosine: z.number().nullable(), why: z.string() }),
    ),
  }),
  { checked: 100, wrong: [] },
)

const instructionShape = z.object({
  id: z.string(),
  text: z.string().nullable(),
  lang: z.string(),
  group: z.string(),
  status: z.enum(['shadow', 'active', 'retired']),
  maxStalenessMs: z.number(),
  owner: z.string().nullable(),
  previous: z.object({ text: z.string().nullable(), retireAtMs: z.number() }).nullable(),
})
const instructionExample = {
  id: 'next-need',
  text: 'What will this user need next?',
  lang: 'en',
  group: 'main',
  status: 'active' as const,
  maxStalenessMs: 86_400_000,
  owner: null,
  previous: null,
}
const groupShape = z.object({ name: z.string(), minRefreshMs: z.number(), paused: z.boolean() })
const groupExample = { name: 'main', minRefreshMs: 0, paused: false }

export const instructionAnswer = example(instructionShape, instructionExample)
export const groupAnswer = example(groupShape, groupExample)
export const instructionsAnswer = example(
  z.object({
    instructions: z.array(instructionShape),
    groups: z.array(groupShape),
    backfill: z.object({ underWay: z.boolean(), waiting: z.int() }),
  }),
  { instructions: [instructionExample], groups: [groupExample], backfill: { underWay: false, waiting: 0 } },
)

export const parkedAnswer = example(
  z.object({ users: z.array(z.object({ ...user, reason: z.string(), sinceMs: z.number() })) }),
  { users: [{ ...ada, reason: 'inference-failed', sinceMs: at }] },
)

export const retriedAnswer = example(z.object({ retried: z.int() }), { retried: 3 })
export const purgedAnswer = example(z.object({ purged: z.int() }), { purged: 3 })

const letter = {
  id: z.string(),
  topic: z.string(),
  partition: z.int(),
  offset: z.number(),
  reason: z.string(),
  error: z.string(),
  failedAtMs: z.number(),
  attempts: z.int(),
  sizeBytes: z.int(),
}
const letterExample = {
  id: '12',
  topic: 'behavior.search',
  partition: 0,
  offset: 4711,
  reason: 'record-json',
  error: 'expected one JSON object, got a list',
  failedAtMs: at,
  attempts: 1,
  sizeBytes: 2,
}

export const lettersAnswer = example(z.object({ letters: z.array(z.object(letter)) }), {
  letters: [letterExample],
})
export const letterAnswer = example(
  z.object({
    ...letter,
    key: z.string().nullable(),
    valueBase64: z.string().nullable(),
    headers: z.record(z.string(), z.string()),
  }),
  { ...letterExample, key: 'ada', valueBase64: 'W10=', headers: {} },
)

export const statusAnswer = example(
  z.object({
    version: z.string(),
    stage: z.string(),
    epoch: z.number(),
    partitions: z.array(z.int()),
    restoring: z.array(
      z.object({
        partition: z.int(),
        records: z.int().describe('Read of its changelog so far.'),
        left: z.int().nullable().describe('To be read yet, at most; null: its turn has not come.'),
      }),
    ),
    degraded: z.array(z.string()),
    model: z
      .object({
        id: z.string(),
        provider: z.string(),
        precision: z.string(),
        dimensions: z.int(),
        contentHash: z.string(),
      })
      .nullable(),
    asOf: z.string(),
    users: z.object({
      known: z.int(),
      waiting: z.int(),
      ready: z.int(),
      swept: z.int(),
      parked: z.int(),
    }),
    events: z.object({
      read: z.int(),
      perSecond: z.number(),
      lag: z.number(),
      late: z.int(),
      deadLetters: z.int().nullable(),
    }),
    freshnessMs: z.object({ p50: quantile, p95: quantile, p99: quantile }),
    sweep: z.object({ underWay: z.boolean(), usersSeen: z.int(), usersMarked: z.int() }),
    tokens: z
      .object({
        encoderComputed: z.number(),
        encoderCached: z.number(),
        backboneComputed: z.number(),
        backboneShared: z.number(),
        eventsEncoded: z.number(),
        eventsCached: z.number(),
        backboneRuns: z.number(),
        encodeMs: z.number(),
        backboneMs: z.number(),
      })
      .nullable(),
    memoryBytes: z.number(),
  }),
  {
    version: '0.1.0',
    stage: 'owner',
    epoch: 1_769_846_000,
    partitions: [0],
    restoring: [{ partition: 1, records: 12_000, left: 3_400 }],
    degraded: [],
    model: { id: 'tiny-1', provider: 'cpu', precision: 'fp32', dimensions: 128, contentHash: '3fa9' },
    asOf: '2026-01-31',
    users: { known: 300, waiting: 2, ready: 0, swept: 0, parked: 0 },
    events: { read: 9_000, perSecond: 20.5, lag: 0, late: 0, deadLetters: 0 },
    freshnessMs: { p50: 2_100, p95: 2_600, p99: 3_000 },
    sweep: { underWay: false, usersSeen: 300, usersMarked: 0 },
    tokens: null,
    memoryBytes: 210_000_000,
  },
)

export const liveAnswer = example(z.object({ live: z.boolean(), why: z.string().nullable() }), {
  live: true,
  why: null,
})
export const readyAnswer = example(
  z.object({ ready: z.boolean(), why: z.string().nullable(), degraded: z.array(z.string()) }),
  { ready: true, why: null, degraded: ['vectors: sink-timeout'] },
)
export const versionAnswer = example(z.object({ version: z.string(), node: z.string() }), {
  version: '0.1.0',
  node: '24.21.0',
})
