/** Holds docs/qdrant.md against the driver: whoever reads Qdrant directly builds on that page. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PAYLOAD_INDEXES } from '../../src/drivers/qdrant/payload-indexes.ts'
import { toServerPayload } from '../../src/drivers/qdrant/point-payload.ts'
import { pointId } from '../../src/vectors/names.ts'
import type { Point } from '../../src/vectors/vector-store.ts'
import { ROOT } from '../tidy/source-tree.ts'

const page = readFileSync(new URL('docs/qdrant.md', ROOT), 'utf8')

/** Payload field -> its cells of type and index. */
const documented = new Map(
  [...page.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*)\| /gm)].map(([, field = '', type, index = '']) => [
    field,
    { type, index: index.trim() },
  ]),
)

const id = pointId('default\0u1' as never)
const payload = {
  userId: 'u1' as never,
  tenantId: 'default' as never,
  segment: 'gold',
  lastEventAtMs: 1,
  asOfDay: '2026-01-15',
  inputHash: 'h',
  model: 'm' as never,
  expiresAtMs: 2,
}
const point: Point = { kind: 'vectors', id, payload, vectors: new Map() }
const stub: Point = { kind: 'stub', id, userId: payload.userId, tenantId: payload.tenantId }

test('every payload field is on the page, and no other', () => {
  const version = { epoch: 1, write: 1 }
  const written = [point, stub].flatMap((one) => Object.keys(toServerPayload(one, version, 3)))
  assert.deepEqual([...documented.keys()].sort(), [...new Set(written)].sort())
})

test('every index is on the page with its type', () => {
  const indexes = [...documented].filter(([, { index }]) => index !== '')
  assert.deepEqual(
    Object.fromEntries(indexes.map(([field, { index }]) => [field, index.split(',')[0]!])),
    Object.fromEntries(Object.entries(PAYLOAD_INDEXES).map(([field, { type }]) => [field, type])),
  )
})

test('the point id of the page is the one that is written', () => {
  assert.match(page, new RegExp(`user \`u1\` of tenant \`default\` is\\s+\`${id}\``))
})

test('every error that the page names is one that the code has', () => {
  const errors = readFileSync(new URL('docs/errors.md', ROOT), 'utf8')
  const named = [...page.matchAll(/`((?:qdrant|vectors|point)-[a-z-]+)`/g)].map(([, code]) => code!)
  assert.ok(named.length >= 5)
  for (const code of named) assert.match(errors, new RegExp(`^## ${code}$`, 'm'))
})
