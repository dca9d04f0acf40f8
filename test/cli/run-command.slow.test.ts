/** The program itself, before it runs: what it says of brokers that are away, and how it is told to stop. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { until } from '../kafka/driver-fixture.ts'

const PROGRAM = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))

test('a worker that still looks for brokers says so, and ends at the first signal', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-run-'))
  const settings = {
    'events.driver': 'kafka',
    // Nobody listens there: it is looked for as long as it was told to.
    'events.kafka.brokers': '["127.0.0.1:9"]',
    'events.kafka.startTimeoutMs': '600000',
    'vectors.sqliteFile': join(directory, 'vectors.db'),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])
  const child = spawn(process.execPath, [PROGRAM, 'run', '-d', directory, ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = once(child, 'exit')
  try {
    // Signals are listened for before it is written.
    await until('it holds its directory', () => existsSync(join(directory, 'lock.json')), 30_000)
    await until('it is told', () => log.includes('no broker answers yet; tried: 127.0.0.1:9;'), 30_000)
    assert.match(log, /ECONNREFUSED.*given up in \d+ s \(events\.kafka\.startTimeoutMs\)/)
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
  } finally {
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
})
