/** Who is embedded next: what one group waits for holds no other group back. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { userKey } from '../../src/events/ids.ts'
import { Scheduler } from '../../src/pipeline/scheduler.ts'
import { DEFAULT_PIPELINE_SETTINGS } from '../../src/pipeline/settings.ts'
import { UserEntry } from '../../src/pipeline/user-entry.ts'
import type { View } from '../../src/pipeline/view.ts'
import { emptyState } from '../../src/window/apply.ts'

test('an event of a user whom a slow group has planned for later is due when its own debounce ends', () => {
  const target = (key: string) => ({ key, texts: { group: { paused: false } } })
  const [main, slow] = [target('main/text'), target('slow/text')]
  const view = {
    main,
    targets: new Map([
      [main.key, main],
      [slow.key, slow],
    ]),
  } as unknown as View
  const [tenant, user] = ['default' as never, 'u1' as never]
  const entry = new UserEntry(userKey(tenant, user), { owned: true } as never)
  entry.state = emptyState(tenant, user)
  entry.state.dueMs.set('slow/text', 3_600_000)
  const scheduler = new Scheduler(DEFAULT_PIPELINE_SETTINGS)
  scheduler.schedule(entry, view, 0)
  assert.equal(scheduler.nextMs, 3_600_000)
  entry.dirty = true
  scheduler.recordRead(entry, view, 10, 10)
  assert.equal(scheduler.nextMs, 10 + DEFAULT_PIPELINE_SETTINGS.quietMs)
})
