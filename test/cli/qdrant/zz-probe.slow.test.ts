import { test } from 'node:test'
import { LocalService } from '../../../src/cli/local-service.ts'
import { openStandalone } from '../../../src/cli/open-standalone.ts'
import { Health } from '../../../src/observability/health.ts'
import { Recent } from '../../../src/observability/recent.ts'
import { systemClock } from '../../../src/pipeline/clock.ts'
import { event, ingest, withQdrant } from '../qdrant-standalone.ts'

test('probe', () =>
  withQdrant(async (q) => {
    const clock = systemClock
    for (const mode of ['stall', 'refuse'] as const) {
      const s = await openStandalone(q.settings({ 'vectors.qdrant.timeoutMs': 3_000, 'refresh.batchUsersMax': 1 }), { clock })
      const recent = new Recent(clock),
        health = new Health({ clock })
      const service = new LocalService(s, recent, health)
      await s.start()
      await ingest({ standalone: s, service, health }, event('a', 1))
      if (mode === 'stall') q.proxy.stall('replies')
      else await q.proxy.refuse()
      await service.ingest([...['b','c','d','e','f','g','h'].map((u, i) => event(u, 2 + i))])
      await new Promise((r) => setTimeout(r, 1500))
      const t = Date.now()
      service.close()
      recent.close()
      health.close()
      await s.close(1_000)
      console.log(mode, 'close took', Date.now() - t)
      q.proxy.pass()
      if (mode === 'refuse') await q.proxy.listen().catch(() => {})
    }
  }))
