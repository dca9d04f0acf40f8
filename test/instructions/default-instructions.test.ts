/** The instructions that ship are valid, so that a first start can't fail on our own file. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { INSTRUCTION_LENGTH_MAX, NAME_PATTERN } from '../../src/instructions/instruction.ts'

for (const file of ['configs/instructions/default.yaml', 'examples/movielens/instructions.yaml']) {
  test(`${file} has different ids, texts of their own and the group main`, () => {
    const instructions = parse(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))
    for (const { id, text, lang, group, ...rest } of instructions) {
      assert.match(id, NAME_PATTERN)
      assert.notEqual(id, 'general')
      assert.ok(text.length > 0 && text.length <= INSTRUCTION_LENGTH_MAX)
      assert.deepEqual([lang, group, rest], ['en', 'main', {}])
    }
    const different = (key: string) =>
      new Set(instructions.map((one: Record<string, string>) => one[key])).size
    assert.deepEqual([different('id'), different('text')], [instructions.length, instructions.length])
    assert.ok(instructions.length >= 3)
  })
}
