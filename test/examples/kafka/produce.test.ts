import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('../../../examples/kafka/produce.ts', import.meta.url))

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}

test('the example producer says how it is used, and what was typed wrong', async () => {
  const at = ['--brokers', '127.0.0.1:1']
  const wrong: [string[], RegExp][] = [
    [[], /--brokers as HOST:PORT.*got none/],
    [['--brokers', 'kafka.example'], /got kafka\.example/],
    [[...at, '--users', '1'], /--users between 2 and 100000, got 1/],
    [[...at, '--users', '2.5'], /whole number, got 2\.5/],
    [[...at, '--rate', 'fast'], /--rate .* got fast/],
    [[...at, '--events', ''], /--events between 1 /],
    [[...at, '--topics', 'a'], /Unknown option '--topics'/],
  ]
  const [help, ...answers] = await Promise.all([run('--help'), ...wrong.map(([args]) => run(...args))])
  assert.equal(help!.code, 0)
  for (const option of ['brokers', 'users', 'rate', 'events', 'seed'])
    assert.match(help!.stdout, RegExp(`--${option} `))
  for (const [i, { code, stdout, stderr }] of answers.entries()) {
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, wrong[i]![1])
    assert.match(stderr, /^usage: /m)
  }
})
