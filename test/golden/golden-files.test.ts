/** GOLDEN_DIR may name any set: a part, under other names, by a relative path; never an empty one. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

const OWN_DIR = import.meta.dirname
/** The tests that read whichever set is named; webgpu's takes minutes and reads it the same way. */
const SUITES = ['kinds', 'answers', 'embed', 'qwen2-hf', 'tokenizer', 'metrics'].map((name) =>
  join(OWN_DIR, `${name}.test.ts`),
)
const LIMIT_MS = 120_000

interface Outcome {
  isPassed: boolean
  output: string
}

/** @param env besides the environment of this run */
async function runOver(cwd: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  const inherited = { ...process.env }
  // A run within a run must not report to the outer one.
  delete inherited.NODE_TEST_CONTEXT
  delete inherited.INIT_CWD
  const args = ['--test', '--test-isolation=none', '--test-reporter=tap', ...SUITES]
  return await new Promise((resolve) => {
    const options = { cwd, env: { ...inherited, ...env }, timeout: LIMIT_MS }
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ isPassed: error === null, output: stdout + stderr })
    })
  })
}

async function withSet(fill: (path: string) => void, use: (path: string) => Promise<void>): Promise<void> {
  const path = join(mkdtempSync(join(tmpdir(), 'freshet-golden-')), 'cases')
  mkdirSync(path)
  try {
    fill(path)
    await use(path)
  } finally {
    rmSync(dirname(path), { recursive: true, force: true })
  }
}

/** Two answers of ours under another name, with their bundle beside them. */
function fillWithAnswers(path: string): void {
  const ours = JSON.parse(readFileSync(join(OWN_DIR, 'answers-linear.json'), 'utf8'))
  const answers = ours.answers.slice(0, 2)
  cpSync(join(OWN_DIR, 'bundle-linear'), join(path, 'my-bundle'), { recursive: true })
  writeFileSync(join(path, 'answers-mine.json'), JSON.stringify({ ...ours, answers, bundle: 'my-bundle' }))
}

test('a set with one kind of case only, under another name and by a relative path, is run and passes', async () => {
  await withSet(fillWithAnswers, async (path) => {
    const root = join(OWN_DIR, '..', '..')
    for (const { cwd, env } of [
      { cwd: dirname(path), env: {} },
      // As npm does it: the script runs in the project's root.
      { cwd: root, env: { INIT_CWD: dirname(path) } },
    ]) {
      const { isPassed, output } = await runOver(cwd, { ...env, GOLDEN_DIR: 'cases' })
      assert.ok(isPassed, output)
      assert.match(output, /ok \d+ - answers-mine\.json: the answer tower meets the reference/)
      assert.doesNotMatch(output, /answers-linear/)
    }
  })
})

test('a set whose numbers are not those of its bundle fails', async () => {
  const fill = (path: string) => {
    fillWithAnswers(path)
    const file = join(path, 'answers-mine.json')
    const cases = JSON.parse(readFileSync(file, 'utf8'))
    cases.answers[1].u[0] += 0.01
    writeFileSync(file, JSON.stringify(cases))
  }
  await withSet(fill, async (path) => {
    const { isPassed, output } = await runOver(path, { GOLDEN_DIR: path })
    assert.equal(isPassed, false)
    assert.match(output, /not ok \d+ - answers-mine\.json/)
  })
})

test('a set without any case fails, and says what its files are named like', async () => {
  const fill = (path: string) => writeFileSync(join(path, 'cases.json'), '{}')
  await withSet(fill, async (path) => {
    const { isPassed, output } = await runOver(path, { GOLDEN_DIR: path })
    assert.equal(isPassed, false)
    assert.match(output, /expected in .* a file named like \^embed-/)
  })
})
