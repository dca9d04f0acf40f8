import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

function run(environment: Record<string, string | undefined>) {
  // Inside a test run, `node --test` would think itself a part of it.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment }
  const reporter = '--test-reporter=./test/tools/summary-reporter.ts'
  const args = ['--test', '--test-isolation=none', reporter, 'test/kafka/missing-kafka.ts']
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, env, encoding: 'utf8' })
  return { status, stdout }
}

test('where Kafka can’t be had, a suite is skipped with the reason', () => {
  const { stdout } = run({ CI: undefined })
  assert.match(stdout, /^skipped: a suite on Kafka: expected Java 17, got none: install it$/m)
  assert.match(stdout, /^0 passed, 0 failed$/m)
})

test('in CI, where everything has to be there, it fails with the reason', () => {
  const { status, stdout } = run({ CI: 'true' })
  assert.equal(status, 1)
  assert.match(stdout, /expected Java 17, got none: install it/)
  assert.match(stdout, /^0 passed, 1 failed$/m)
})
