import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as rules from './rules.ts'
import { parseSources, type SourceFile } from './source-tree.ts'

const HEAD = '/** Holds a sample. */\n'

function one(path: string, text: string): SourceFile {
  return parseSources({ [path]: text })[0]!
}

function lines(count: number): string {
  return `${'  void 0\n'.repeat(count)}`
}

test('an import against the stream is found, whatever its form', () => {
  const table = { 'errors.ts': [], window: ['errors.ts'], pipeline: ['window'] }
  const forms = [
    "import { a } from '../pipeline/a.ts'",
    "import type { a } from '../pipeline/a.ts'",
    "import {\n  a,\n} from '../pipeline/a.ts'",
    "const a = await import('../pipeline/a.ts')",
    "type A = import('../pipeline/a.ts').A",
    "export { a } from '../pipeline/a.ts'",
    'const a = await import(name)',
    "import a from '../../test/a.ts'",
  ]
  for (const form of forms) {
    assert.equal(rules.foreignImports(one('src/window/x.ts', HEAD + form), table).length, 1, form)
  }
  const fine =
    "import { E } from '../errors.ts'\n// import { a } from '../pipeline/a.ts'\nconst s = `import '../pipeline/a.ts'`"
  assert.deepEqual(rules.foreignImports(one('src/window/x.ts', HEAD + fine), table), [])
  assert.equal(rules.foreignImports(one('src/new/x.ts', HEAD), table).length, 1)
  const cli = { cli: ['*'], window: [] }
  assert.deepEqual(rules.foreignImports(one('src/cli.ts', "import './window/x.ts'"), cli), [])
  const driver = "import '../src/drivers/sqlite/x.ts'"
  assert.equal(rules.foreignImports(one('examples/x.ts', driver), table).length, 1)
  assert.deepEqual(rules.foreignImports(one('bench/x.ts', driver), table), [])
})

test('a package is imported by its home, by tests and by nobody else', () => {
  const homes = {
    avsc: ['src/events'],
    'node:sqlite': ['src/drivers/sqlite'],
    '@a/b': ['src/config', 'src/model'],
  }
  const stray = (path: string, specifier: string) =>
    rules.strayPackages(one(path, `import '${specifier}'`), homes).length
  assert.equal(stray('src/events/x.ts', 'avsc'), 0)
  assert.equal(stray('src/window/x.ts', 'avsc'), 1)
  assert.equal(stray('test/window/x.ts', 'avsc'), 0)
  assert.equal(stray('src/model/x.ts', '@a/b/deep/file.js'), 0)
  assert.equal(stray('src/window/x.ts', 'node:sqlite'), 1)
  assert.equal(stray('src/window/x.ts', 'node:fs'), 0)
  assert.equal(stray('test/window/x.ts', 'unheard-of'), 1)
})

test('a file must open with a sentence, an exemption with a reason', () => {
  const complaints = (text: string) => rules.opening(one('src/a/x.ts', text)).length
  assert.equal(complaints('/** Says what it is for. */\nlet a = 1'), 0)
  assert.equal(complaints('#!/usr/bin/env node\n// Starts the program.\nlet a = 1'), 0)
  assert.equal(complaints('let a = 1 /* Too late to say it. */'), 1)
  assert.equal(complaints('// no sentence'), 1)
  assert.equal(complaints('let a = 1 // tidy(opening): generated from the schema'), 0)
  assert.equal(complaints('let a = 1 // tidy(opening):'), 1)
})

test('a long function is found in any form; a list of tests is none', () => {
  const forms = [
    `function f() {\n${lines(69)}}`,
    `const f = () => {\n${lines(69)}}`,
    `class A {\n  f() {\n${lines(69)}  }\n}`,
    `class A {\n  constructor() {\n${lines(69)}  }\n}`,
  ]
  for (const form of forms) {
    assert.equal(rules.functionLength(one('src/a/x.ts', HEAD + form)).length, 1, form.slice(0, 30))
    const shorter = form.replace('  void 0\n', '')
    assert.deepEqual(rules.functionLength(one('src/a/x.ts', HEAD + shorter)), [], form.slice(0, 30))
  }
  const list = `function contract() {\n  test('a', () => {\n${lines(60)}  })\n  test('b', () => {\n${lines(60)}  })\n}`
  assert.deepEqual(rules.functionLength(one('test/a/x.ts', HEAD + list)), [])
  const suite = (inner: string) => one('test/a/x.test.ts', `describe('a', () => {\n${inner}})`)
  assert.deepEqual(rules.functionLength(suite(lines(80))), [])
  assert.equal(rules.functionLength(suite(`const f = () => {\n${lines(69)}}\n`)).length, 1)
  assert.equal(rules.functionLength(one('src/a/x.ts', `const s = '{{{'\n${forms[0]}`)).length, 1)
  assert.equal(rules.length(one('src/a/x.ts', lines(401))).length, 1)
  assert.deepEqual(rules.length(one('src/a/x.ts', lines(400))), [])
})

test('a name that says nothing, a barrel, a log and unfinished work are found', () => {
  assert.equal(rules.badName('src/window/utils.ts').length, 1)
  assert.equal(rules.badName('src/window/string-helpers.ts').length, 1)
  assert.equal(rules.badName('src/common/day.ts').length, 1)
  assert.equal(rules.badName('src/window/index.ts').length, 1)
  assert.equal(rules.badName('src/window/userWindow.ts').length, 1)
  assert.deepEqual(rules.badName('src/model/common-words.ts'), [])
  assert.deepEqual(rules.badName('test/window/name-index.test.ts'), [])
  assert.equal(rules.barrel(one('src/a/x.ts', "export * from './y.ts'")).length, 1)
  assert.deepEqual(rules.barrel(one('src/a/x.ts', 'const a = 1\nexport { a }')), [])
  const logs = "console.error('x')\nprocess.stdout.write('x')\n// console.log\nconst s = 'console.log'"
  assert.equal(rules.logging(one('src/a/x.ts', logs)).length, 2)
  assert.equal(rules.unfinished('a.md', `well\n${'TO'}${'DO'}: later\n`).length, 1)
})

test('a hook outside every suite is found, whatever its form; one that a function adds is not', () => {
  const hooks = (text: string) => rules.rootHook(one('test/a/x.test.ts', text)).length
  for (const form of [
    'before(() => {})',
    'if (ready) after(close)',
    'test.beforeEach(() => {})',
    'for (;;) afterEach(f)',
  ])
    assert.equal(hooks(form), 1, form)
  assert.equal(hooks("describe('a', () => {\n  before(() => {})\n  after(close)\n})"), 0)
  assert.equal(hooks("test('a', (t) => {\n  t.after(close)\n})"), 0)
  assert.equal(rules.rootHook(one('src/a/x.ts', 'before(start)')).length, 0)
})

test('a test lies beside its file', () => {
  const exists = (path: string) => ['src/window', 'src/window/day.ts', 'src'].includes(path)
  const complaints = (path: string) => rules.mirror(one(path, ''), exists, ['test/golden']).length
  assert.equal(complaints('test/window/day.test.ts'), 0)
  assert.equal(complaints('test/window/day-zones.test.ts'), 0)
  assert.equal(complaints('test/window/day.slow.test.ts'), 0)
  assert.equal(complaints('test/window/day.kafka.test.ts'), 0)
  assert.equal(complaints('test/window/week.test.ts'), 1)
  assert.equal(complaints('test/window/week.slow.test.ts'), 1)
  assert.equal(complaints('test/elsewhere/day.test.ts'), 1)
  assert.equal(complaints('test/golden/anything.test.ts'), 0)
})

test('code counts as tested when an import that runs leads to it', () => {
  const files = parseSources({
    'test/a.test.ts': "import '../src/a.ts'\nimport type { C } from '../src/c.ts'",
    'src/a.ts':
      "const worker = new URL(built ? './b.js' : './b.ts', import.meta.url)\nexport function a() {}",
    'src/b.ts': 'export function b() {}',
    'src/c.ts': 'export function c() {}\nexport interface C {}',
    'src/d.ts': 'export interface D {}',
  })
  const found = rules.unreached(files, files.slice(0, 1), /^src\//)
  assert.deepEqual(found, ['src/c.ts: no test loads it [untested]'])
})

test('a bench without a result is found; what benches share is none', () => {
  const files = parseSources({
    'bench/embed.ts': "import { shared } from './shared.ts'\nwriteResult({ bench: 'embed' })",
    'bench/store.ts': "writeResult({ bench: 'embed' })",
    'bench/shared.ts': 'export const shared = 1',
  })
  assert.deepEqual(
    rules.benchResults(files).map((complaint) => complaint.split(':')[0]),
    ['bench/store.ts'],
  )
})
