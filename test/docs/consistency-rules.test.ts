/** Holds docs/consistency.md against the code: each rule is named where the page says that it is kept. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ROOT } from '../tidy/source-tree.ts'

interface Rule {
  id: string
  /** From src/; empty while the part that keeps it is not built. */
  files: string[]
  keptIn: string
}

function readRules(markdown: string): Rule[] {
  return [...markdown.matchAll(/^\| ([SEVO]\d+) \|.*\| ([^|]+) \|$/gm)].map(([, id = '', keptIn = '']) => ({
    id,
    keptIn,
    files: [...keptIn.matchAll(/`([^`]+)`/g)].map((found) => found[1]!),
  }))
}

/** `E3`, `(S1-S3)` and `O4-O6` name a rule, `E30` does not name E3. */
function names(text: string, id: string): boolean {
  if (new RegExp(`\\b${id}\\b`).test(text)) return true
  const ranges = text.matchAll(/\b([SEVO])(\d+)-\1?(\d+)\b/g)
  const [letter, number] = [id[0], Number(id.slice(1))]
  return [...ranges].some(
    ([, of, from, to]) => of === letter && Number(from) <= number && number <= Number(to),
  )
}

const rules = readRules(readFileSync(new URL('docs/consistency.md', ROOT), 'utf8'))

test('a rule is found by its name or inside a range, not inside another name', () => {
  assert.ok(names('// E3: why', 'E3') && names('keeps (O4-O6)', 'O5') && names('S1-S3', 'S3'))
  assert.ok(!names('// E30', 'E3') && !names('O4-O6', 'O7') && !names('S1-S3', 'O2'))
})

test('the page has every rule once', () => {
  const numbered = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${i + 1}`)
  const expected = [...numbered('S', 5), ...numbered('E', 5), ...numbered('V', 6), ...numbered('O', 10)]
  assert.deepEqual(
    rules.map(({ id }) => id),
    expected,
  )
})

test('each rule is named in the files that keep it, or waits for a part that is not built', () => {
  for (const { id, files, keptIn } of rules) {
    if (files.length === 0) assert.match(keptIn, /not built yet/, id)
    for (const file of files) {
      const path = new URL(`src/${file}`, ROOT)
      assert.ok(existsSync(path), `${id}: there is no src/${file}`)
      assert.ok(names(readFileSync(path, 'utf8'), id), `${id} is not named in src/${file}`)
    }
  }
})
