import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const REPORTER = fileURLToPath(new URL('summary-reporter.ts', import.meta.url))
let directory: string

function run(body: string | null, ci: string): { status: number | null; lines: string[] } {
  const file = join(directory, 'sample.test.mjs')
  rmSync(file, { force: true })
  if (body !== null) writeFileSync(file, `import { describe, test } from 'node:test'\n${body}\n`)
  // Inside a test run, node hands its own context down; the child must not think that it reports to us.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = [
    '--test',
    '--test-isolation=none',
    `--test-reporter=${REPORTER}`,
    join(directory, '*.test.mjs'),
  ]
  const { status, stdout } = spawnSync(process.execPath, args, { env: { ...env, CI: ci }, encoding: 'utf8' })
  return { status, lines: stdout.trimEnd().split('\n') }
}

const PASS = "describe('all', () => { test('one', () => {}); test('two', () => {}) })"
const SKIP = "test('three', { skip: 'no driver' }, () => {})"

describe('the summary of a run', () => {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'freshet-reporter-'))
  })
  after(() => rmSync(directory, { recursive: true }))

  test('the last line counts tests and not suites, and a failure fails the run', () => {
    assert.deepEqual([run(PASS, '').status, run(PASS, '').lines.at(-1)], [0, '2 passed, 0 failed'])
    const failed = run(`${PASS}\ntest('bad', () => { throw new Error('no') })`, '')
    assert.deepEqual([failed.status, failed.lines.at(-1)], [1, '2 passed, 1 failed'])
  })

  test('a skipped test is named with its reason; in CI it fails the run', () => {
    const here = run(`${PASS}\n${SKIP}`, '')
    assert.equal(here.status, 0)
    assert.deepEqual(here.lines.slice(-2), ['skipped: three: no driver', '2 passed, 0 failed'])
    assert.equal(run(`${PASS}\n${SKIP}`, 'true').status, 1)
    assert.equal(run(PASS, 'true').status, 0)
  })

  test('a run without tests fails', () => {
    assert.deepEqual([run(null, '').status, run(null, '').lines.at(-1)], [1, '0 passed, 0 failed'])
  })
})
