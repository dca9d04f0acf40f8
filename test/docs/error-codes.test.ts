/** Holds docs/errors.md against the code, both ways. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseSources, ROOT, readSources, type ThrowFact } from '../tidy/source-tree.ts'

const CLASSES = ['BugError', 'ConfigError', 'RecordError', 'RequestError', 'UnavailableError']

/** Files that pass on the code of an error that was thrown elsewhere. */
const PASSED_ON: Record<string, string> = {
  'src/server/remote-service.ts': 'throws again here what the server answered',
}

interface Section {
  code: string
  className: string
  lines: string[]
}

function readSections(markdown: string): Section[] {
  return markdown
    .split(/^## /m)
    .slice(1)
    .map((text) => {
      const [code = '', ...rest] = text.trim().split('\n')
      const lines = rest.filter((line) => line.trim() !== '')
      return { code, className: /^(\w+)(?: \(\d{3}\))?\. /.exec(lines[0] ?? '')?.[1] ?? '', lines }
    })
}

/** Of any class that is one of ours; a code that isn't a literal can't be looked up by whoever meets it. */
function ours(errors: readonly ThrowFact[]): ThrowFact[] {
  return errors.filter(({ className }) => CLASSES.includes(className))
}

const thrown = readSources(globSync('src/**/*.ts', { cwd: fileURLToPath(ROOT) }))
  .flatMap((file) => ours(file.errors).map((error) => ({ ...error, path: file.path })))
  .filter(({ code, path }) => code !== null || PASSED_ON[path] === undefined)
const sections = readSections(readFileSync(new URL('docs/errors.md', ROOT), 'utf8'))

test('a code is found in an expression over several lines, and missed when it is computed', () => {
  const text =
    "throw new ConfigError(\n  'a-b',\n  'expected'\n)\nnew RecordError(code, 'x')\n// new BugError('no')"
  const [file] = parseSources({ 'src/x.ts': text })
  assert.deepEqual(ours(file!.errors), [
    { className: 'ConfigError', code: 'a-b', line: 1 },
    { className: 'RecordError', code: null, line: 5 },
  ])
  assert.deepEqual(readSections('# E\n\n## a-b\n\nConfigError. It broke.\nDo this.\n'), [
    { code: 'a-b', className: 'ConfigError', lines: ['ConfigError. It broke.', 'Do this.'] },
  ])
})

test('every code is a literal in kebab-case', () => {
  const odd = thrown.filter(({ code }) => code === null || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(code))
  assert.deepEqual(odd, [])
})

test('every code has a section, and every section a code', () => {
  assert.ok(thrown.length > 50, `only ${thrown.length} errors found`)
  const codes = [...new Set(thrown.map(({ code }) => code))].sort()
  assert.deepEqual(sections.map(({ code }) => code).sort(), codes)
})

test('a section names the class that the code throws', () => {
  const wrong = thrown.filter(({ code, className }) =>
    sections.some((section) => section.code === code && section.className !== className),
  )
  assert.deepEqual(wrong, [])
})

test('sections are sorted, and say enough without telling a story', () => {
  const codes = sections.map(({ code }) => code)
  assert.deepEqual(codes, codes.toSorted())
  assert.deepEqual(
    sections.filter(({ lines }) => lines.length > 6 || lines.join(' ').length < 60),
    [],
  )
})
