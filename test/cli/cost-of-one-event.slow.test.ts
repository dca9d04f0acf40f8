/** What one more event costs, end to end with a real model: counted, because it decides what freshet costs to run. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Standalone } from '../../src/cli/open-standalone.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { TokenCounts } from '../../src/model/embedding-model.ts'

const START_MS = Date.now() - 60_000
const ENCODED = { eventsEncoded: 1, backboneRuns: 1 }

async function search(standalone: Standalone, id: string, query: string): Promise<TokenCounts> {
  const { encoder, log, opened } = standalone.parts
  const before = opened.model.counts()
  const { topic, key, value, headers } = encoder.object({
    topic: 'behavior.search',
    header: {
      event_id: id,
      user_id: 'ada',
      event_time: START_MS + 1_000 * Number(id.split('-')[1]),
      source: 'test',
    },
    query,
  })
  await log.append([{ topic, key, value, appendTimeMs: Date.now(), headers }])
  await standalone.untilIdle()
  const after = opened.model.counts()
  const spent = Object.entries(after).map(([name, count]) => [
    name,
    count - before[name as keyof TokenCounts],
  ])
  return Object.fromEntries(spent) as TokenCounts
}

test('one new event costs one event encoding and one packed pass, whatever the window holds', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-cost-'))
  const { settings } = loadSettings({ file: null, env: {}, flags: { dataDir, 'refresh.quietMs': 0 } })
  const standalone = await openStandalone(settings)
  try {
    await standalone.start()
    for (let i = 0; i < 5; i++) await search(standalone, `old-${10 + i}`, `trains to the sea ${i}`)

    const first = await search(standalone, 'new-21', 'a hotel by the harbour')
    assert.equal(first.eventsEncoded, ENCODED.eventsEncoded)
    assert.equal(first.eventsCached, 5)
    assert.equal(first.backboneRuns, ENCODED.backboneRuns)

    const again = await search(standalone, 'new-22', 'a hotel by the harbour')
    assert.equal(again.eventsEncoded, 0, 'a text that was encoded before is not encoded again')
    assert.equal(again.encoderComputed, 0)
    assert.equal(again.backboneRuns, 1)

    const replayed = await search(standalone, 'new-22', 'a hotel by the harbour')
    assert.equal(replayed.backboneRuns, 0, 'a replayed event changes no window, and so costs no pass')
  } finally {
    await standalone.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
})
