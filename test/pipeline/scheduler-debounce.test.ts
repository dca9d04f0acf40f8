/** Many events of one user become few refreshes: the debounce holds while one is under way as well. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openFixture, ref, search } from '../cli/standalone-fixture.ts'

test('events that come while their user is embedded wait for the debounce like any others', async () => {
  const flags = { 'refresh.quietMs': 2_000, 'refresh.maxDelayMs': 3_000, 'refresh.minEvents': 100 }
  const fixture = await openFixture(flags)
  try {
    const { standalone, service, clock } = fixture
    const { updater, opened } = standalone.parts
    const runs = () => opened.model.counts().backboneRuns
    const startRuns = runs()
    await service.ingest([search('ada', 'first', 6)])
    await fixture.read()
    // An event every 50 ms for 12 s; each look at the queue ends before the next event, but not before one came.
    for (let n = 0; n < 240; n++) {
      const work = updater.refreshOnce()
      await service.ingest([search('ada', `more ${n}`, 5 - n / 100)])
      await fixture.read()
      await work
      clock.nowMs += 50
    }
    // One refresh at most in each maxDelayMs: 12 s hold four.
    const refreshed = runs() - startRuns
    assert.ok(refreshed >= 3 && refreshed <= 4, `expected 3 or 4 refreshes in 12 s, got ${refreshed}`)
    clock.nowMs += 3_000
    await updater.refreshOnce()
    assert.equal((await service.user(ref('ada'))).stale, false)
  } finally {
    await fixture.close()
  }
})
