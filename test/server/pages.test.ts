/** Cursors: what they carry, whom they refuse, and what a page asks of the store. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TenantId, UserId } from '../../src/events/ids.ts'
import { type InstructionId, vectorName } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import {
  CURSOR_LENGTH_MAX,
  type PageCursor,
  pageSize,
  readCursor,
  writeCursor,
} from '../../src/server/pages.ts'
import type { NearestRequest } from '../../src/server/service.ts'
import { codePoint } from '../tools/code-point.ts'

const SEED = 20261301
const nameOf = fc.stringMatching(/^[a-z0-9-]{1,40}$/)
const text = fc.string({ unit: codePoint, maxLength: 20 })

const start: fc.Arbitrary<NearestRequest['from']> = fc.oneof(
  fc.record({
    users: fc.array(
      fc.record({ tenant: text.map((id) => id as TenantId), user: text.map((id) => id as UserId) }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ text }),
  fc.record({
    vector: fc.array(fc.double({ noNaN: true }), { maxLength: 4 }),
    model: nameOf.map((id) => id as ModelId),
  }),
)

const filter = fc.record(
  {
    tenantId: text.map((id) => id as TenantId),
    segment: text,
    lastEventSinceMs: fc.nat(),
    lastEventBeforeMs: fc.nat(),
  },
  { requiredKeys: [] },
)

const request: fc.Arbitrary<NearestRequest> = fc.record(
  {
    instruction: nameOf.map((id) => id as InstructionId),
    k: fc.integer({ min: 1, max: 1_000 }),
    from: start,
    filter,
    scoreThreshold: fc.double({ min: -1, max: 1, noNaN: true }),
    exact: fc.boolean(),
  },
  { requiredKeys: ['instruction', 'k', 'from'] },
)

const cursor: fc.Arbitrary<PageCursor> = fc.record(
  {
    model: nameOf.map((id) => id as ModelId),
    vectorName: nameOf.map((id) => vectorName(id as InstructionId, 'text')),
    offset: fc.integer({ min: 1, max: 10_000 }),
  },
  { noNullPrototype: true },
)

/** What decides which hits come: a filter that is empty, and `exact` that is false, are as if they weren't there. */
function questionOf({ k: _, filter: given = {}, exact = false, ...rest }: NearestRequest): unknown {
  return { ...rest, filter: given, exact }
}

test('a cursor brings back what was put in, whatever the request, and whatever k the next page has', () => {
  fc.assert(
    fc.property(cursor, request, fc.integer({ min: 1, max: 1_000 }), (given, asked, k) => {
      const after = writeCursor(given, asked)
      assert.match(after, /^[\w-]+$/)
      assert.ok(after.length <= CURSOR_LENGTH_MAX)
      assert.deepEqual(readCursor(after, { ...asked, k }), given)
    }),
    { seed: SEED },
  )
})

test('a request that differs in anything but k is another question, and its cursor is refused', () => {
  fc.assert(
    fc.property(
      cursor,
      request,
      request,
      fc.constantFrom('instruction', 'from', 'filter', 'scoreThreshold', 'exact'),
      (given, asked, other, part) => {
        const changed: NearestRequest = { ...asked, [part]: other[part as keyof NearestRequest] }
        if (changed[part as keyof NearestRequest] === undefined) delete changed[part as 'filter']
        const isSame = JSON.stringify(questionOf(changed)) === JSON.stringify(questionOf(asked))
        fc.pre(!isSame)
        assert.throws(() => readCursor(writeCursor(given, asked), changed), {
          name: 'RequestError',
          code: 'page-of-other-question',
          status: 400,
        })
      },
    ),
    { seed: SEED },
  )
})

test('a cursor that is damaged, cut off or made up is refused, unless an answer could have given that very word', () => {
  const damaged = fc.tuple(cursor, request, fc.nat(), fc.string({ unit: codePoint, maxLength: 3 }))
  fc.assert(
    fc.property(damaged, ([given, asked, at, replacement]) => {
      const whole = writeCursor(given, asked)
      const place = at % whole.length
      const after = `${whole.slice(0, place)}${replacement}${whole.slice(place + 1)}`
      fc.pre(after !== whole)
      try {
        const read = readCursor(after, asked)
        // Base64 of a name or a number with another character in it: a word that an answer could have given.
        assert.equal(writeCursor(read, asked), after)
      } catch (error) {
        assert.match((error as { code: string }).code, /^page-(cursor|of-other-question)$/)
      }
    }),
    { seed: SEED, numRuns: 500 },
  )
  const asked: NearestRequest = { instruction: 'x' as InstructionId, k: 1, from: { text: 'y' } }
  const written = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
  const name = vectorName('x' as InstructionId, 'text')
  const madeUp = [
    [],
    {},
    7,
    ['m', name, 1],
    ['m', name, 0, 'q'],
    ['m', name, 1.5, 'q'],
    ['m', name, '1', 'q'],
  ]
  madeUp.push(['..', name, 1, 'q'], ['m', '..', 1, 'q'], ['m', name, 1, 'q', 'more'])
  for (const after of ['', '!', 'bm9uZQ', ...madeUp.map(written)])
    assert.throws(() => readCursor(after, asked), { name: 'RequestError', code: 'page-cursor', status: 400 })
})

test('a page asks for one hit more than it shows, as far as a store may be asked', () => {
  assert.deepEqual(pageSize(10, 0), { shown: 10, asked: 11 })
  assert.deepEqual(pageSize(1_000, 0), { shown: 1_000, asked: 1_000 })
  assert.deepEqual(pageSize(10, 9_990), { shown: 10, asked: 10 })
  assert.deepEqual(pageSize(300, 9_900), { shown: 100, asked: 100 })
  assert.throws(() => pageSize(1, 10_000), { name: 'RequestError', code: 'search-depth' })
  for (const k of [0, -1, 1.5, 1_001, Number.NaN])
    assert.throws(() => pageSize(k, 0), { name: 'RequestError', code: 'search-k' })
})
