import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { closeObservers, observe, openLogs } from '../../src/cli/serve.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { GOLDEN_BUNDLE } from './standalone-fixture.ts'

test('a damaged cache of event vectors is begun anew at the start, and the log says so once', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-serve-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const { settings } = loadSettings({
    file: null,
    env: {},
    flags: { dataDir, 'model.bundle': GOLDEN_BUNDLE, 'model.threads': 1, 'log.pretty': false },
  })
  const linesOfAStart = async (quiet: boolean) => {
    const lines: string[] = []
    const standalone = await openStandalone(settings)
    try {
      const logs = openLogs(settings.log, systemClock, quiet, { write: (line) => lines.push(line) })
      closeObservers(observe(logs, standalone))
    } finally {
      await standalone.close()
    }
    return lines.map((line) => JSON.parse(line)).filter(({ component }) => component === 'event-vectors')
  }
  assert.deepEqual(await linesOfAStart(false), [])
  writeFileSync(join(dataDir, 'event-vectors.db'), 'no database '.repeat(1_000))
  const lines = await linesOfAStart(false)
  assert.equal(lines.length, 1)
  assert.equal(lines[0].level, 40)
  assert.match(lines[0].msg, /was begun anew/)
  assert.deepEqual(await linesOfAStart(false), [])
})
