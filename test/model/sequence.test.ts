/** Holds the layout of a user's row to the reference's lengths and slots, and to what packing promises. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { TEXT_MODALITIES } from '../../src/events/behavior-event.ts'
import type { UserInput } from '../../src/model/embedding-model.ts'
import { type Manifest, parseManifest } from '../../src/model/manifest.ts'
import { layoutPrefix, layoutRow, packedLength, type Segment } from '../../src/model/sequence.ts'
import { GOLDEN } from './golden-bundle.ts'

interface Embed {
  users: UserInput[]
  expected: {
    introIds: number[]
    instructionIds: number[][]
    users: { slots: Record<string, number>; prefixLength: number; results: { length: number }[] }[]
  }
}

function manifestOf(name: string): Manifest {
  return parseManifest(readFileSync(join(GOLDEN, name, 'manifest.json'), 'utf8'), name)
}

const linear = manifestOf('bundle-linear')
const mlp = manifestOf('bundle-mlp')

for (const [name, manifest] of Object.entries({ linear, mlp })) {
  test(`slots and lengths of every golden user are the reference's (${name})`, () => {
    const { users, expected } = JSON.parse(readFileSync(join(GOLDEN, `embed-${name}.json`), 'utf8')) as Embed
    for (const [i, user] of users.entries()) {
      const prefix = layoutPrefix(manifest, expected.introIds, user)
      assert.deepEqual(prefix.slots, expected.users[i]!.slots)
      assert.equal(prefix.length, expected.users[i]!.prefixLength)
      const lengths = expected.instructionIds.map((ids) => layoutRow(manifest, prefix, [ids]).length)
      assert.deepEqual(
        lengths,
        expected.users[i]!.results.map(({ length }) => length),
      )
    }
  })
}

test('the positions of a small user, by hand', () => {
  const input: UserInput = {
    events: { search: ['old', 'b', 'c'], app: ['a'] },
    tabular: [1, null, null, null, null, null, null],
  }
  const prefix = layoutPrefix(linear, [7, 8], input)
  const row = layoutRow(linear, prefix, [[], [9, 9]])
  const shown = row.segments.map((segment) => {
    if (segment.kind === 'tokens') return segment.ids.join()
    if (segment.kind === 'special') return linear.specialTokens[segment.row]
    return segment.kind === 'events' ? segment.texts.join() : `tabular*${segment.length}`
  })
  const text =
    '7,8 <start_paybill> <end_paybill> <start_miniprogram> <end_miniprogram> <start_spm> <end_spm> <start_app> a <end_app> '
  const rest = '<start_search> b,c <end_search> <start_tabular> tabular*1 <end_tabular> <USER> 9,9 <USER>'
  assert.equal(shown.join(' '), text + rest)
  assert.equal(prefix.length, 18)
  assert.deepEqual([...row.positions.slice(17)], [17, 18, 18, 19, 20])
  assert.deepEqual([...row.segmentIds.slice(17)], [0, 1, 2, 2, 2])
  assert.deepEqual(row.userIndices, [18, 21])
})

const texts = fc.array(fc.string(), { maxLength: 9 })
const inputs: fc.Arbitrary<UserInput> = fc.record({
  events: fc.record(Object.fromEntries(TEXT_MODALITIES.map((name) => [name, texts])), { requiredKeys: [] }),
  tabular: fc.option(fc.constant([null, null, null, null, null, null, null])),
})
const blocks = fc.array(fc.array(fc.nat(700), { maxLength: 6 }), { minLength: 1, maxLength: 5 })

function tiles(segments: readonly Segment[]): number {
  let at = 0
  for (const { start, length } of segments) {
    assert.equal(start, at)
    assert.ok(length > 0)
    at += length
  }
  return at
}

test('segments tile the row, and every block alone has the positions that it has among others', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(linear, mlp),
      inputs,
      fc.array(fc.nat(700), { maxLength: 5 }),
      blocks,
      (manifest, input, intro, ids) => {
        const prefix = layoutPrefix(manifest, intro, input)
        const row = layoutRow(manifest, prefix, ids)
        assert.equal(tiles(row.segments), row.length)
        assert.equal(packedLength(prefix.length, ids), row.length)
        for (const [i, block] of ids.entries()) {
          const alone = layoutRow(manifest, prefix, [block])
          const members = [...row.segmentIds.keys()].filter((at) => [0, i + 1].includes(row.segmentIds[at]!))
          assert.deepEqual(
            members.map((at) => row.positions[at]),
            [...alone.positions],
          )
          assert.equal(members.at(-1), row.userIndices[i])
          assert.equal(alone.userIndices[0], alone.length - 1)
        }
      },
    ),
    { seed: 17, numRuns: 200 },
  )
})

test('only the newest events up to the slots count', () => {
  fc.assert(
    fc.property(inputs, texts, (input, older) => {
      const full = { ...input, events: { ...input.events, search: ['x', 'y'] } }
      const more = { ...input, events: { ...input.events, search: [...older, 'x', 'y'] } }
      assert.deepEqual(layoutPrefix(linear, [], more), layoutPrefix(linear, [], full))
    }),
    { seed: 19, numRuns: 50 },
  )
})
