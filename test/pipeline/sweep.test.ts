/** The sweep at its pace, and what makes it find everybody stale. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { openFixture, ref, search } from '../cli/standalone-fixture.ts'

suite('the sweep', () => {
  test('it looks at no more users in a second than it may', async () => {
    const fixture = await openFixture({ 'refresh.sweepUsersPerSecondMax': 2 })
    try {
      const { sweep } = fixture.standalone.parts.updater
      await fixture.service.ingest(['a', 'b', 'c', 'd', 'e'].map((user) => search(user, 'hotels')))
      await fixture.settle()
      fixture.clock.nowMs += 10_000
      sweep.restart()
      const seen: number[] = []
      for (let half = 0; half < 5; half++) {
        while (sweep.step());
        seen.push(sweep.progress.usersSeen)
        fixture.clock.nowMs += 500
      }
      assert.deepEqual(seen, [2, 3, 4, 5, 5])
    } finally {
      await fixture.close()
    }
  })

  test('a hash of another time zone is another hash, as every sentence may be another one', async () => {
    const hashes: string[] = []
    for (const zone of ['UTC', 'Asia/Shanghai', 'UTC']) {
      const fixture = await openFixture({ 'model.timezone': zone })
      try {
        await fixture.service.ingest([search('ada', 'hotels')])
        await fixture.settle()
        hashes.push((await fixture.service.explain(ref('ada'))).targets[0]!.currentHash)
      } finally {
        await fixture.close()
      }
    }
    assert.equal(hashes[0], hashes[2])
    assert.notEqual(hashes[0], hashes[1])
  })
})
