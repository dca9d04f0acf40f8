/** Events that freshet itself puts into a topic of a registry's format. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LocalService } from '../../src/cli/local-service.ts'
import { openStandalone } from '../../src/cli/open-standalone.ts'
import { loadSettings } from '../../src/config/load-settings.ts'
import type { UserId } from '../../src/events/ids.ts'
import { ownSchema } from '../../src/events/own-schemas.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import { startRegistryDouble } from '../drivers/registry/registry-double.ts'
import { GOLDEN_BUNDLE, ref } from './standalone-fixture.ts'

test('events wait for the registration of their schema, and bear its id from then on without a restart', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-ids-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const registry = await startRegistryDouble()
  t.after(() => registry.close())
  // So that the first id isn't the one to be found.
  registry.put('other-value', ownSchema('app'))
  const { settings } = loadSettings({
    file: null,
    env: {},
    flags: {
      dataDir,
      'model.bundle': GOLDEN_BUNDLE,
      'model.threads': 1,
      'events.registry.urls': [registry.url],
      'events.topics': [{ topic: 'searches', holds: 'search', format: 'avro-confluent' }],
    },
  })
  const standalone = await openStandalone(settings)
  const recent = new Recent(systemClock)
  const health = new Health({ clock: systemClock })
  const service = new LocalService(standalone, recent, health)
  t.after(async () => {
    service.close()
    recent.close()
    health.close()
    await standalone.close()
  })
  await standalone.start()
  const header = { event_id: 'e1', user_id: 'ada', event_time: Date.now() - 60_000, source: 'test' }
  const events = [{ topic: 'searches', header, query: 'tea' }]
  await assert.rejects(service.ingest(events), { code: 'schema-not-registered' })
  const { id } = registry.put('searches-value', ownSchema('search'))
  registry.requests.length = 0
  for (let round = 0; round < 2; round++)
    assert.deepEqual(await service.ingest(events), { accepted: 1, rejected: [] })
  assert.deepEqual(
    registry.requests.filter((one) => one.startsWith('POST')),
    ['POST /subjects/searches-value'],
  )
  const frames: number[] = []
  const { backend } = standalone.parts
  for await (const page of backend.history(backend.partitionOf('ada' as UserId)))
    frames.push(...page.map(({ value }) => Buffer.from(value!).readUInt32BE(1)))
  assert.deepEqual(frames, [id, id])
  await standalone.untilIdle()
  assert.equal((await service.user(ref('ada'))).events.search, 1)
})
