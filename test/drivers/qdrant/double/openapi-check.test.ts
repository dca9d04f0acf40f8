import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { differences, type OpenapiDocument, requestDifferences } from './openapi-check.ts'
import { broken, type Schema, uncovered } from './openapi-schema.ts'

const root = {
  schemas: {
    Node: {
      type: 'object',
      required: ['id'],
      properties: {
        id: { type: 'integer', minimum: 0 },
        kind: { type: 'string', enum: ['a', 'b'] },
        next: { anyOf: [{ $ref: '#/schemas/Node' }, { nullable: true }] },
      },
    },
  },
}
const node: Schema = { $ref: '#/schemas/Node' }

const ours = (schema: z.ZodType) => {
  const json = z.toJSONSchema(schema) as Schema
  return { schema: json, root: json }
}

/** What we accept, and what of it a `Node` of the document wouldn't take. */
const accepted: Record<string, [z.ZodType, RegExp | null]> = {
  'the same': [z.strictObject({ id: z.int().min(0), kind: z.enum(['a', 'b']).optional() }), null],
  'less: fewer words, a higher minimum': [z.strictObject({ id: z.int().min(1), kind: z.enum(['b']) }), null],
  'an unknown field': [z.strictObject({ id: z.int().min(0), idd: z.int() }), /\.idd: no such field there/],
  'a required field that we leave open': [
    z.strictObject({ id: z.int().min(0).optional() }),
    /\.id: optional here/,
  ],
  'another type': [z.strictObject({ id: z.string() }), /\.id: string here, integer there/],
  'a fraction for a whole number': [
    z.strictObject({ id: z.number().min(0) }),
    /\.id: number here, integer there/,
  ],
  'a lower minimum': [z.strictObject({ id: z.int().min(-1) }), /\.id: from -1 here, from 0 there/],
  'an unknown word': [
    z.strictObject({ id: z.int().min(0), kind: z.enum(['a', 'c']) }),
    /\.kind: c is none of a, b/,
  ],
  'any word': [z.strictObject({ id: z.int().min(0), kind: z.string() }), /\.kind: anything is none of a, b/],
  'null where none is taken': [z.strictObject({ id: z.int().min(0).nullable() }), /\.id: null is not taken/],
  'a wrong field deep inside': [
    z.strictObject({
      id: z.int().min(0),
      next: z.strictObject({ id: z.int().min(0), x: z.int() }).nullish(),
    }),
    /\.next\.x: no such field there/,
  ],
  'any field at all': [z.record(z.string(), z.int()), /\.id: optional here, required there/],
}

const answers: Record<string, [unknown, RegExp | null]> = {
  'all as it should be': [{ id: 1, kind: 'a', next: { id: 2, next: null } }, null],
  'a missing field': [{ kind: 'a' }, /\.id: missing/],
  'an unknown field': [{ id: 1, idd: 1 }, /\.idd: no such field/],
  'an unknown word': [{ id: 1, kind: 'c' }, /\.kind: c is none of a, b/],
  'a fraction': [{ id: 1.5 }, /\.id: 1\.5 is no integer/],
  'out of range': [{ id: -1 }, /\.id: -1 is out of range/],
  'null where none may be': [{ id: null }, /\.id: null/],
  'a list for an object': [[], /a list/],
  'wrong deep inside': [{ id: 1, next: { id: 'x' } }, /\.next\.id: "x" is no integer/],
}

describe('the check against a document', () => {
  for (const [what, [schema, complaint]] of Object.entries(accepted))
    test(`what we accept, ${what}: ${complaint === null ? 'fine' : 'told'}`, () => {
      const complaints = uncovered(ours(schema), { schema: node, root }, '')
      if (complaint === null) assert.deepEqual(complaints, [])
      else assert.match(complaints.join('\n'), complaint)
    })

  for (const [what, [value, complaint]] of Object.entries(answers))
    test(`an answer, ${what}: ${complaint === null ? 'fine' : 'told'}`, () => {
      const complaints = broken(value, { schema: node, root }, '')
      if (complaint === null) assert.deepEqual(complaints, [])
      else assert.match(complaints.join('\n'), complaint)
    })

  test('schemas that hold themselves are walked to an end', () => {
    interface Chain {
      id: number
      next?: Chain | null | undefined
    }
    const chain: z.ZodType<Chain> = z.lazy(() =>
      z.strictObject({ id: z.int().min(0), next: chain.nullish() }),
    )
    assert.deepEqual(uncovered(ours(chain), { schema: node, root }, ''), [])
  })

  test('an endpoint, a parameter or a body that the document doesn’t have is told', () => {
    const one = endpoint('POST /things/{name}', {
      path: z.strictObject({ name: z.string() }),
      query: z.strictObject({ wait: z.boolean().optional(), extra: z.int().optional() }),
      body: z.strictObject({ id: z.int().min(0) }),
      access: 'read',
      answer: () => null,
    })
    const name = { name: 'name', in: 'path', required: true, schema: { type: 'string' } }
    const wait = { name: 'wait', in: 'query', schema: { type: 'boolean' } }
    const post = { parameters: [name, wait], responses: {} }
    assert.deepEqual(requestDifferences(one, { paths: {} }), ['POST /things/{name}: not in the document'])
    assert.deepEqual(requestDifferences(one, { paths: { '/things/{name}': { post } } }), [
      'POST /things/{name} query.extra: no such field there',
      'POST /things/{name}: no body there',
    ])
  })

  // The document is Qdrant's, and not ours to carry about.
  const { QDRANT_OPENAPI: path } = process.env
  if (path !== undefined) {
    const read = (): OpenapiDocument => JSON.parse(readFileSync(path, 'utf8'))

    test('the double accepts and answers nothing that Qdrant’s document doesn’t know', async () => {
      assert.deepEqual(await differences(read()), [])
    })

    test('a field that Qdrant’s document has under another name is told', async () => {
      const document = JSON.parse(JSON.stringify(read()).replaceAll('"update_filter"', '"update_fliter"'))
      assert.match((await differences(document)).join('\n'), /body\.update_filter: no such field there/)
    })
  }
})
