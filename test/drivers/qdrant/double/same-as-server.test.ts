import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Change, change, type GivenPoint, type Question, question } from './arbitrary-requests.ts'
import { onDouble, onServer, type Place } from './facts.ts'

const VECTORS = {
  v: { size: 2, distance: 'Cosine' },
  w: { size: 3, distance: 'Dot', datatype: 'float16' },
} as const

/** Whatever was said to a change: its status, or the refusal. */
async function apply({ client }: Place, name: string, one: Change): Promise<unknown> {
  const done =
    one.kind === 'upsert'
      ? client.upsert(name, {
          wait: true,
          points: one.points,
          ...(one.filter === null ? {} : { update_filter: one.filter }),
          update_mode: one.mode,
        })
      : one.kind === 'delete-ids'
        ? client.delete(name, { wait: true, points: one.ids })
        : one.kind === 'delete-filter'
          ? client.delete(name, { wait: true, filter: one.filter as never })
          : one.kind === 'drop-w'
            ? client.deleteVectorName(name, 'w')
            : one.kind === 'make-w'
              ? client.createVectorName(name, 'w', { dense: VECTORS.w })
              : client.createPayloadIndex(name, {
                  wait: true,
                  field_name: one.field,
                  field_schema: one.schema,
                })
  return done.then(
    ({ status }) => status,
    ({ status }: { status: number }) => status,
  )
}

/** Float32 sums differ in their last bits from machine to machine. */
const TOLERANCE = 1e-6

function assertAlike(ours: unknown, theirs: unknown, at: string): void {
  if (typeof ours === 'number' && typeof theirs === 'number') {
    assert.ok(Math.abs(ours - theirs) <= TOLERANCE, `${at}: ${ours} here, ${theirs} there`)
    return
  }
  if (typeof ours !== 'object' || ours === null || typeof theirs !== 'object' || theirs === null) {
    assert.equal(ours, theirs, at)
    return
  }
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(theirs).sort(), at)
  for (const [name, value] of Object.entries(ours))
    assertAlike(value, (theirs as Record<string, unknown>)[name], `${at}.${name}`)
}

async function answers(
  { client }: Place,
  name: string,
  { filter, vector, threshold }: Question,
): Promise<unknown> {
  const everything = await client.scroll(name, { limit: 100, with_vector: true })
  const passing = await client.scroll(name, { limit: 100, filter: filter as never, with_payload: false })
  const ask = { query: vector, using: 'v', limit: 100, filter: filter as never, params: { exact: true } }
  const found = await client.query(name, threshold === null ? ask : { ...ask, score_threshold: threshold })
  return {
    everything: everything.points,
    passing: passing.points.map(({ id }) => id),
    count: (await client.count(name, { filter: filter as never })).count,
    // Equal scores come in any order.
    found: found.points.map(({ id, score }) => [`${id}`, score]).sort(),
  }
}

const withoutW = ({ vector: { w: _, ...vector }, ...point }: GivenPoint): GivenPoint => ({ ...point, vector })

async function run(place: Place, changes: Change[], questions: Question[]): Promise<unknown> {
  const name = await place.made({ vectors: VECTORS })
  const said: unknown[] = []
  let withW = true
  for (const one of changes) {
    if (one.kind === 'drop-w' || one.kind === 'make-w') withW = one.kind === 'make-w'
    // Which points an unknown name leaves unwritten is up to the server.
    const sent = one.kind === 'upsert' && !withW ? { ...one, points: one.points.map(withoutW) } : one
    said.push(await apply(place, name, sent))
  }
  for (const one of questions) said.push(await answers(place, name, one))
  return said
}

/** It has no meaning without a server to compare with. */
if (process.env.QDRANT_URL !== undefined)
  describe('the double and the server', () => {
    test('the same requests get the same answers and leave the same points', async () => {
      await onServer((server) =>
        onDouble(async (double) => {
          const property = fc.asyncProperty(
            fc.array(change, { minLength: 1, maxLength: 8 }),
            fc.array(question, { minLength: 1, maxLength: 6 }),
            async (changes, questions) => {
              assertAlike(await run(double, changes, questions), await run(server, changes, questions), '')
            },
          )
          await fc.assert(property, { seed: Number(process.env.QDRANT_SEED ?? 4), numRuns: 25 })
        }),
      )
    })
  })
