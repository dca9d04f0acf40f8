/** What a request may say: zod schemas that check it, type it and document it. Unknown keys are refused. */

import { z } from 'zod'
import { DEFAULT_TENANT, ID_LENGTH_MAX, type TenantId, type UserId } from '../events/ids.ts'
import {
  GENERAL,
  type GroupName,
  INSTRUCTION_LENGTH_MAX,
  type InstructionId,
  NAME_PATTERN,
} from '../instructions/instruction.ts'
import type { ModelId } from '../model/embedding-model.ts'
import { K_MAX } from '../vectors/vector-store.ts'
import { CURSOR_LENGTH_MAX } from './pages.ts'

/** Texts of one embed call: a few seconds of a CPU. Guess. */
const TEXTS_MAX = 256
/** UTF-16 units of a text; the model's own limit, in positions, is lower. It bounds what is tokenized. */
const TEXT_LENGTH_MAX = 20_000
/** Records of one request; the body has a limit in bytes as well. */
export const RECORDS_MAX = 10_000
/** Users of one request. */
export const USERS_MAX = 1_000
/** Numbers of one vector: above the hidden size of any model that fits. */
const DIMENSIONS_MAX = 16_384
const LIST_MAX = 1_000
const LIST_DEFAULT = 100
const LIMITED = `1 to ${LIST_MAX}; ${LIST_DEFAULT} by default.`
const K_DEFAULT = 10
const SAMPLE_DEFAULT = 100

/** The same schema, whose output bears the brand: a transform would do it too, but hide examples and defaults from the document. */
const branded = <Brand extends string>(schema: z.ZodString) => schema as unknown as z.ZodType<Brand, string>

/** Users and tenants are opaque; NUL separates the two in our keys, and half a surrogate pair is stored as U+FFFD. */
const opaqueId = <Id extends string>(what: string) =>
  branded<Id>(
    z
      .string()
      .min(1)
      .max(ID_LENGTH_MAX)
      .refine(
        (id) => !id.includes('\0') && !id.includes('\ufffd') && id.isWellFormed(),
        `a ${what} holds no NUL, no U+FFFD and no half of a surrogate pair`,
      ),
  )

const named = <Name extends string>(what: string) =>
  branded<Name>(z.string().regex(NAME_PATTERN, `a ${what} is 1 to 40 of a-z, 0-9 and -`))

const tenantId = () => opaqueId<TenantId>('tenant')
const userId = () => opaqueId<UserId>('user')
const instructionId = () => named<InstructionId>('instruction id')

/** A whole number in a query string. */
/** A topic of 249 characters, a partition and an offset. */
const LETTER_ID_LENGTH_MAX = 300

const queryInt = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max))

const queryFlag = () => z.enum(['true', 'false']).transform((flag) => flag === 'true')

const EXACT = 'Compares every vector: slower where the store has an index, and misses none.'

const score = () => z.number().min(-1).max(1)

const userRef = z.strictObject({ tenant: tenantId().default(DEFAULT_TENANT), user: userId() })

export const userPath = z.strictObject({ id: userId() })
export const instructionPath = z.strictObject({ id: instructionId() })
export const groupPath = z.strictObject({ name: named<GroupName>('group') })
const letterId = () => z.string().min(1).max(LETTER_ID_LENGTH_MAX)
export const letterPath = z.strictObject({ id: letterId() })

export const tenantQuery = z.strictObject({ tenant: tenantId().default(DEFAULT_TENANT) })

export const userQuery = z.strictObject({
  tenant: tenantId().default(DEFAULT_TENANT),
  vectors: queryFlag().default(false).describe('Whether the answer holds the vectors themselves.'),
})

const pageCursor = () =>
  z
    .exactOptional(z.string().min(1).max(CURSOR_LENGTH_MAX))
    .describe(
      "The page behind this one: `next` of an answer to the same request, whose model's vectors are searched again.",
    )

const queryTime = (what: string) =>
  z
    .exactOptional(
      z
        .string()
        .max(40)
        .refine(
          (text) => Number.isFinite(timeOf(text)),
          'expected milliseconds or a time such as 2026-01-31T08:00:00Z',
        )
        .transform(timeOf),
    )
    .describe(`Only users whose last event is ${what} this time: milliseconds, or ISO 8601 with its zone.`)

export const nearestQuery = z.strictObject({
  instruction: instructionId()
    .default(GENERAL)
    .describe(`Under which instruction users are compared; ${GENERAL} by default.`),
  k: queryInt(1, K_MAX).default(K_DEFAULT).describe(`Of one page: 1 to ${K_MAX}; ${K_DEFAULT} by default.`),
  tenant: tenantId()
    .default(DEFAULT_TENANT)
    .describe('Of the user who asks; neighbours are of the same tenant.'),
  segment: z.exactOptional(z.string().min(1).max(256)),
  lastEventSince: queryTime('at or after'),
  lastEventBefore: queryTime('before'),
  scoreThreshold: z.exactOptional(
    z
      .string()
      .regex(/^-?\d*\.?\d{1,16}$/, 'expected a number from -1 to 1')
      .transform(Number)
      .pipe(score()),
  ),
  exact: queryFlag().default(false).describe(EXACT),
  after: pageCursor(),
})

/** @returns milliseconds since the Unix epoch; NaN for what is neither milliseconds nor a day or time of ISO 8601 */
export function timeOf(text: string): number {
  if (/^\d{1,16}$/.test(text)) return Number(text)
  return /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
}

const searchFilter = z.strictObject({
  tenantId: z.exactOptional(tenantId()),
  segment: z.exactOptional(z.string().min(1).max(256)),
  lastEventSinceMs: z.exactOptional(z.int().min(0)).describe('Last event at or after this time.'),
  lastEventBeforeMs: z.exactOptional(z.int().min(0)).describe('Last event before this time.'),
})

export const nearestBody = z
  .strictObject({
    instruction: instructionId().default(GENERAL),
    k: z.int().min(1).max(K_MAX).default(K_DEFAULT).describe('Of one page.'),
    filter: z.exactOptional(searchFilter),
    scoreThreshold: z.exactOptional(score()),
    exact: z.exactOptional(z.boolean()).describe(EXACT),
    after: pageCursor(),
    users: z
      .exactOptional(z.array(userRef).min(1).max(USERS_MAX))
      .describe('Their mean direction is searched; they are left out of the answer.'),
    vector: z
      .exactOptional(z.array(z.number()).min(1).max(DIMENSIONS_MAX))
      .describe('A direction of your own; `model` must name the model that gave it.'),
    model: z.exactOptional(named<ModelId>('model id')),
    text: z.exactOptional(z.string().min(1).max(TEXT_LENGTH_MAX)).describe('Embedded by the answer tower.'),
  })
  .superRefine(({ users, vector, text, model }, context) => {
    const given = [users, vector, text].filter((from) => from !== undefined).length
    if (given !== 1)
      context.addIssue({ code: 'custom', message: 'expected exactly one of users, vector and text' })
    if ((vector === undefined) !== (model === undefined))
      context.addIssue({ code: 'custom', message: 'expected vector and model together' })
  })
  .meta({
    examples: [
      {
        instruction: 'general',
        k: 5,
        users: [{ tenant: 'default', user: 'ada' }],
        filter: { segment: 'gold', lastEventBeforeMs: 1_769_846_400_000 },
        exact: true,
      },
    ],
  })

export const recallBody = z
  .strictObject({
    instruction: instructionId().default(GENERAL),
    k: z.int().min(1).max(K_MAX).default(K_DEFAULT),
    sample: z.int().min(1).max(USERS_MAX).default(SAMPLE_DEFAULT),
  })
  .meta({ examples: [{ instruction: 'general', k: 10, sample: 100 }] })

export const embedBody = z
  .strictObject({ texts: z.array(z.string().min(1).max(TEXT_LENGTH_MAX)).min(1).max(TEXTS_MAX) })
  .meta({ examples: [{ texts: ['a quiet hotel near the station'] }] })

/** The bytes of one record: of a body that is no text. */
const recordBytes = z.custom<Uint8Array>((body) => body instanceof Uint8Array)

export const eventsQuery = z.strictObject({
  topic: z.exactOptional(z.string().min(1).max(249)).describe('Of the one record whose bytes are the body.'),
  key: z.exactOptional(userId()).describe('Its key: the user id.'),
})

export const eventsBody = z
  .union([recordBytes, z.record(z.string(), z.unknown()), z.array(z.unknown()).max(RECORDS_MAX)])
  .meta({
    examples: [
      [
        {
          topic: 'behavior.search',
          header: {
            event_id: 'q-1',
            user_id: 'ada',
            event_time: '2026-01-31T08:00:00Z',
            source: '//search.example',
          },
          query: 'hotels in lyon',
        },
      ],
    ],
  })

export const instructionBody = z
  .strictObject({
    id: instructionId(),
    text: z.string().min(1).max(INSTRUCTION_LENGTH_MAX).nullable(),
    lang: z.exactOptional(z.string().min(1).max(35)),
    group: z.exactOptional(named<GroupName>('group')),
    status: z.exactOptional(z.enum(['shadow', 'active'])),
    maxStalenessMs: z.exactOptional(z.int().min(0)),
    owner: z.exactOptional(z.string().min(1).max(256)),
  })
  .meta({ examples: [{ id: 'next-need', text: 'What will this user need next?', group: 'main' }] })

export const groupBody = z
  .strictObject({ minRefreshMs: z.int().min(0).default(0), paused: z.boolean().default(false) })
  .meta({ examples: [{ minRefreshMs: 3_600_000, paused: false }] })

export const verifyBody = z
  .strictObject({
    users: z.exactOptional(z.array(userRef).min(1).max(USERS_MAX)),
    sample: z.exactOptional(z.int().min(1).max(USERS_MAX)),
  })
  .refine(
    ({ users, sample }) => users === undefined || sample === undefined,
    'expected users or sample, not both',
  )
  .meta({ examples: [{ sample: 100 }] })

export const parkedQuery = z.strictObject({
  limit: queryInt(1, LIST_MAX).default(LIST_DEFAULT).describe(LIMITED),
})

export const retryParkedBody = z
  .strictObject({ users: z.exactOptional(z.array(userRef).min(1).max(USERS_MAX)) })
  .describe('Without users: all that are parked.')
  .meta({ examples: [{ users: [{ user: 'ada' }] }] })

export const lettersQuery = z.strictObject({
  limit: queryInt(1, LIST_MAX).default(LIST_DEFAULT).describe(LIMITED),
  after: z
    .exactOptional(letterId())
    .describe('Only letters behind this one: the last id of the page before.'),
  reason: z.exactOptional(z.string().min(1).max(100)).describe('Code of the error.'),
})

export const lettersBody = z
  .strictObject({
    ids: z.exactOptional(z.array(letterId()).min(1).max(LIST_MAX)),
    reason: z.exactOptional(z.string().min(1).max(100)),
  })
  .describe('Without ids and reason: all of them.')
  .meta({ examples: [{ reason: 'record-schema-unknown' }] })
