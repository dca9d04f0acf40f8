/** The registry folded from its records: who ends an old text never undoes what was changed meanwhile. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Instruction,
  type InstructionId,
  MAIN_GROUP,
  vectorName,
} from '../../src/instructions/instruction.ts'
import { InstructionRegistry, type RegistryRecord } from '../../src/instructions/registry.ts'

const ID = 'next' as InstructionId

function asked(text: string, previous: Instruction['previous'] = null): RegistryRecord {
  const about = { lang: 'en', group: MAIN_GROUP, maxStalenessMs: 1_000, owner: null }
  return {
    offset: 0,
    kind: 'instruction',
    instruction: { id: ID, text, status: 'active', previous, ...about },
  }
}

function ended(text: string, retireAtMs: number): RegistryRecord {
  return { offset: 0, kind: 'retired-text', retired: { id: ID, text, retireAtMs } }
}

function fold(records: readonly RegistryRecord[]): InstructionRegistry {
  return records.reduce(
    (registry, record, offset) => registry.apply({ ...record, offset }),
    InstructionRegistry.initial(),
  )
}

test('the end of an old text takes its vector out of the group, under a new change number', () => {
  const before = fold([asked('A'), asked('B', { text: 'A', retireAtMs: 5 })])
  const after = before.apply({ ...ended('A', 5), offset: 2 })
  assert.ok(before.groups.get(MAIN_GROUP)!.texts.has(vectorName(ID, 'A')))
  const { texts, changeNumber } = after.groups.get(MAIN_GROUP)!
  assert.deepEqual([texts.has(vectorName(ID, 'A')), texts.has(vectorName(ID, 'B'))], [false, true])
  assert.equal(changeNumber, 2)
  assert.equal(after.instructions.get(ID)!.previous, null)
})

test('the end of an old text that comes behind a later change leaves that as it is', () => {
  const later: RegistryRecord[][] = [
    [asked('C', { text: 'B', retireAtMs: 9 })],
    [asked('A', { text: 'B', retireAtMs: 9 })],
    // The same text is old once more, until another time.
    [asked('A', { text: 'B', retireAtMs: 9 }), asked('C', { text: 'A', retireAtMs: 12 })],
  ]
  for (const changes of later) {
    const records = [asked('A'), asked('B', { text: 'A', retireAtMs: 5 }), ...changes]
    const before = fold(records)
    const after = before.apply({ ...ended('A', 5), offset: records.length })
    assert.deepEqual(after.instructions, before.instructions)
    assert.deepEqual(after.groups, before.groups)
  }
})

test('the end of a text of an instruction that nobody knows changes nothing', () => {
  const after = InstructionRegistry.initial().apply({ ...ended('A', 5), offset: 0 })
  assert.deepEqual([...after.instructions.keys()], [...InstructionRegistry.initial().instructions.keys()])
})
