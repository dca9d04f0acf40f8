/** Instruction files: what ships is valid, and what is wrong is told with its line. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { readInstructionDirectory, readInstructionFile } from '../../src/config/instruction-files.ts'
import { ConfigError } from '../../src/errors.ts'
import {
  GENERAL,
  INSTRUCTION_LENGTH_MAX,
  MAIN_GROUP,
  NAME_PATTERN,
} from '../../src/instructions/instruction.ts'

const ROOT = path.join(import.meta.dirname, '../..')

function inDirectory(files: Record<string, string>, use: (directory: string) => void): void {
  const directory = mkdtempSync(path.join(tmpdir(), 'freshet-instructions-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(directory, name), text)
    use(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function messageOf(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  return assert.fail('expected a ConfigError')
}

test('the instructions that ship are valid, of different texts, in the group main', () => {
  for (const instructions of [
    readInstructionDirectory(path.join(ROOT, 'configs/instructions'), {}),
    readInstructionFile(path.join(ROOT, 'examples/movielens/instructions.yaml'), {}),
  ]) {
    assert.ok(instructions.length >= 3)
    assert.equal(new Set(instructions.map(({ text }) => text)).size, instructions.length)
    assert.ok(instructions.every(({ group, status }) => group === MAIN_GROUP && status === 'active'))
  }
})

test('what is left out has its default, and all files of a directory are read by name', () => {
  const files = {
    'b.yml':
      '- { id: second, text: What next?, group: slow, owner: growth, maxStalenessMs: 60000, status: shadow }\n',
    'a.yaml': '- id: first\n  text: "  Will they come back?  "\n',
    'notes.txt': 'not read',
  }
  inDirectory(files, (directory) => {
    assert.deepEqual(readInstructionDirectory(directory, {}), [
      {
        id: 'first',
        text: 'Will they come back?',
        lang: 'en',
        group: 'main',
        status: 'active',
        maxStalenessMs: 86_400_000,
        owner: null,
      },
      {
        id: 'second',
        text: 'What next?',
        lang: 'en',
        group: 'slow',
        status: 'shadow',
        maxStalenessMs: 60_000,
        owner: 'growth',
      },
    ])
  })
})

test('everything that is wrong is told with file and line, duplicates across files too', () => {
  const long = 'x'.repeat(INSTRUCTION_LENGTH_MAX + 1)
  const files = {
    'a.yaml': `- id: Not Good\n  text: one\n- id: fine\n  text: ${long}\n- id: general\n  text: two\n- id: ok\n  txt: three\n`,
    'b.yaml': '- id: same\n  text: one\n',
    'c.yaml': '# the same again\n- id: same\n  text: two\n',
    'd.yaml': 'id: alone\ntext: no list\n',
    'e.yaml': '- id: [unclosed\n',
  }
  inDirectory(files, (directory) => {
    const message = messageOf(() => readInstructionDirectory(directory, {}))
    const at = (place: string) => `${path.join(directory, place)}`
    for (const expected of [
      `${at('a.yaml:1')}: 0.id: must be valid (expected 1 to 40 of a-z, 0-9 and -), got "Not Good"`,
      `${at('a.yaml:4')}: 1.text: must be at most ${INSTRUCTION_LENGTH_MAX} characters long`,
      `${at('a.yaml:5')}: 2.id: must be valid (general is built in and has no text), got "${GENERAL}"`,
      `${at('a.yaml:8')}: 3.txt: no such setting`,
      `${at('c.yaml:2')}: same stands in ${at('b.yaml:1')} already`,
      `${at('d.yaml')}`,
      `${at('e.yaml:')}`,
    ])
      assert.ok(message.includes(expected), `${expected}\nis not in\n${message}`)
  })
  assert.match(
    messageOf(() => readInstructionDirectory('/nowhere/at/all', {})),
    /readable instructions in \/nowhere\/at\/all/,
  )
})

test('names and lengths are those of the registry', () => {
  for (const [id, isGood] of [
    ['a'.repeat(40), true],
    ['a'.repeat(41), false],
    ['0-9', true],
    ['a_b', false],
  ] as const) {
    assert.equal(NAME_PATTERN.test(id), isGood)
    inDirectory(
      { 'a.yaml': `- id: "${id}"\n  text: ${'x'.repeat(INSTRUCTION_LENGTH_MAX)}\n` },
      (directory) => {
        const read = () => readInstructionDirectory(directory, {})
        if (isGood) assert.equal(read()[0]!.id, id)
        else assert.throws(read, ConfigError)
      },
    )
  }
})
