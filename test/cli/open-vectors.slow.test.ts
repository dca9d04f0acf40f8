/** Vectors on a server and the data directory that wrote them: whose they are, what was lost, and who waits for whom. */

import assert from 'node:assert/strict'
import { cpSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openQdrant } from '../../src/drivers/qdrant/open-qdrant.ts'
import { ConfigError, UnavailableError } from '../../src/errors.ts'
import type { GroupName, InstructionId } from '../../src/instructions/instruction.ts'
import { vectorName } from '../../src/instructions/instruction.ts'
import type { CollectionName } from '../../src/vectors/vector-store.ts'
import { answer, cut } from '../drivers/qdrant/double/faults.ts'
import { settingsOf } from '../drivers/qdrant/settings-of.ts'
import {
  assertRight,
  clock,
  event,
  idOf,
  type QdrantStandalone,
  type Running,
  until,
  WRITE,
  withQdrant,
} from './qdrant-standalone.ts'
import { ref } from './standalone-fixture.ts'

const PATCH = 'PATCH /collections/{collection_name}'
const MAIN = 'freshet_main_golden-linear' as CollectionName
const NEXT = 'next' as InstructionId

/** Starts, embeds what is due, and says how the vectors were found. */
async function restarted(
  qdrant: QdrantStandalone,
  flags: Record<string, unknown> = {},
): Promise<{ isRebuilt: boolean; users: string[] }> {
  return qdrant.running(async ({ standalone }) => {
    await standalone.untilIdle()
    return { isRebuilt: standalone.isRebuilt, users: await usersOf(standalone) }
  }, flags)
}

async function usersOf(standalone: Running['standalone']): Promise<string[]> {
  const users = ['ada', 'ben']
  const found = await standalone.parts.vectors.get(MAIN, users.map(idOf))
  return users.filter((user) => found.get(idOf(user))?.point.kind === 'vectors')
}

async function ingest({ service, standalone }: Running, ...events: unknown[]): Promise<void> {
  await service.ingest(events)
  await standalone.untilIdle()
}

test('a directory needs no vectors.db where its vectors lie on a server, and finds them there again', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running(async (running) => {
      await ingest(running, event('ada', 1))
      await assertRight(running, 1)
    })
    assert.equal(existsSync(join(qdrant.dataDir, 'vectors.db')), false)
    const before = qdrant.writes.filter((endpoint) => endpoint === WRITE).length
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ada'] })
    assert.equal(qdrant.writes.filter((endpoint) => endpoint === WRITE).length, before)
  }))

test('vectors move to a server by setting it, and back, and nobody’s old vectors are taken for new', () =>
  withQdrant(async (qdrant) => {
    const here = { 'vectors.driver': 'sqlite' }
    await qdrant.running((running) => ingest(running, event('ada', 1)), here)
    const moved = await qdrant.running(async (running) => {
      assert.equal(running.standalone.isRebuilt, true)
      await ingest(running, event('ben', 2), event('ada', 3))
      await assertRight(running, 2)
      return usersOf(running.standalone)
    })
    assert.deepEqual(moved, ['ada', 'ben'])
    // vectors.db still holds ada as she was before: it has to be told from what the states know.
    assert.deepEqual(await restarted(qdrant, here), { isRebuilt: true, users: ['ada', 'ben'] })
    await qdrant.running((running) => assertRight(running, 2), here)
    await qdrant.running(async (running) => {
      assert.equal(running.standalone.isRebuilt, true)
      await assertRight(running, 2)
    })
  }))

test('a second data directory is refused on the collections of the first before anything is written', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    const before = qdrant.writes.length
    const second = { dataDir: join(qdrant.root, 'second') }
    await assert.rejects(qdrant.open(second), (error: Error) => {
      assert.ok(error instanceof ConfigError)
      assert.equal(error.code, 'vectors-not-ours')
      assert.match(error.message, /freshet_main_golden-linear .*vectors\.qdrant\.prefix.*--take-over/)
      return true
    })
    assert.equal(qdrant.writes.length, before)

    const beside = { ...second, 'vectors.qdrant.prefix': 'second-' }
    await qdrant.running((running) => ingest(running, event('ben', 1)), beside)
    assert.deepEqual(
      [...qdrant.double.store.collections.keys()].sort(),
      [MAIN, `second-${MAIN}`],
      'with a prefix both live on one server',
    )
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ada'] })
  }))

test('collections whose writer is gone are taken over when that is asked for, and hold nobody of before', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    rmSync(qdrant.dataDir, { recursive: true })
    await assert.rejects(qdrant.open(), { code: 'vectors-not-ours' })
    const takeOver = { takeOver: true }
    await qdrant.running((running) => ingest(running, event('ben', 1)), {}, takeOver)
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ben'] })
  }))

test('a collection that nobody says to write is not taken for ours', () =>
  withQdrant(async (qdrant) => {
    const store = await openQdrant(settingsOf(qdrant.double.url), clock)
    const kind = { precision: 'fp32', provider: 'cpu', dimensions: 4, horizonDays: null } as const
    const spec = { ...kind, name: MAIN, group: 'main' as never, model: 'golden-linear' as never }
    await store.ensureCollection(spec)
    await store.close()
    await assert.rejects(qdrant.open(), { code: 'vectors-not-ours' })
  }))

for (const [what, lose] of [
  ['a collection', (qdrant: QdrantStandalone) => qdrant.double.store.drop(MAIN)],
  [
    'the collection of another group',
    (qdrant: QdrantStandalone) => qdrant.double.store.drop('freshet_risk_golden-linear'),
  ],
  ['a vector name', (qdrant: QdrantStandalone) => dropName(qdrant)],
] as const)
  test(`${what} that was deleted is noticed at the start, and everybody is embedded anew`, () =>
    withQdrant(async (qdrant) => {
      await qdrant.running(async (running) => {
        await running.service.addInstruction({ id: NEXT, text: 'What next?' })
        const risk = { id: 'repay' as InstructionId, text: 'Will they repay?', group: 'risk' as GroupName }
        await running.service.addInstruction(risk)
        await ingest(running, event('ada', 1), event('ben', 2))
        await assertRight(running, 2)
        // As the loop does every minute: what is there now counts as there.
        await running.standalone.parts.opensVectors.agree(running.standalone.parts.updater.control.view)
      })
      lose(qdrant)
      await qdrant.running(async (running) => {
        assert.equal(running.standalone.isRebuilt, true)
        await assertRight(running, 2)
      })
      assert.equal((await restarted(qdrant)).isRebuilt, false)
    }))

async function dropName(qdrant: QdrantStandalone): Promise<void> {
  const name = encodeURIComponent(vectorName(NEXT, 'What next?'))
  const url = `${qdrant.double.url}/collections/${MAIN}/vectors/${name}?wait=true`
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 200)
}

test('a group that was registered just before a crash has lost nothing', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running(async (running) => {
      await ingest(running, event('ada', 1))
      const instruction = await running.service.addInstruction({ id: NEXT, text: 'What next?' })
      await running.standalone.untilIdle()
      const later = { ...instruction, id: 'repay' as InstructionId, group: 'risk' as GroupName }
      // The record is durable, and the process ends before it has read it.
      await running.standalone.parts.updater.control.betweenReadings(async () => {
        await running.standalone.parts.controlLog.appendInstruction(later)
      })
    })
    assert.equal((await restarted(qdrant)).isRebuilt, false)
  }))

test('collections that came back from a snapshot are known by their mark', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    const store = await openQdrant(settingsOf(qdrant.double.url), clock)
    const note = (await store.notes()).get(MAIN)!
    await qdrant.running((running) => ingest(running, event('ada', 2)))
    await store.noteAll(note)
    await store.close()
    assert.deepEqual(await restarted(qdrant), { isRebuilt: true, users: ['ada'] })
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ada'] })
  }))

test('a collection that is put back under a running freshet stops it, instead of getting a new mark', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    const store = await openQdrant(settingsOf(qdrant.double.url), clock)
    const note = (await store.notes()).get(MAIN)!
    await qdrant.running(async (running) => {
      await ingest(running, event('ada', 2))
      await store.noteAll(note)
      const { opensVectors, updater } = running.standalone.parts
      await assert.rejects(opensVectors.agree(updater.control.view), { code: 'vectors-lost' })
      const other = note.replace(/"owner":"[^"]*"/, '"owner":"somebody"')
      await store.noteAll(other)
      await assert.rejects(opensVectors.agree(updater.control.view), { code: 'vectors-not-ours' })
      await store.noteAll(note)
    })
    await store.close()
    assert.deepEqual(await restarted(qdrant), { isRebuilt: true, users: ['ada'] })
  }))

test('points that came back from a snapshot, under the mark of today, are known by their versions', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1), event('ben', 1)))
    const points = new Map(qdrant.collection!.points)
    await qdrant.running((running) => ingest(running, event('ada', 2)))
    assert.equal((await restarted(qdrant)).isRebuilt, false)
    // As Qdrant recovers a snapshot into a collection that is there: its points, and none of its metadata.
    for (const [id, point] of points) qdrant.collection!.points.set(id, point)
    await qdrant.running(async (running) => {
      assert.equal(running.standalone.isRebuilt, true)
      await assertRight(running, 2)
    })
    assert.equal((await restarted(qdrant)).isRebuilt, false)
  }))

test('vectors that nobody has any more are no sign of a snapshot', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    await qdrant.running(async ({ service, standalone }) => {
      await service.forget(ref('ada'))
      await standalone.untilIdle()
    })
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: [] })
  }))

test('beside states from a backup no user stays whom only later vectors knew', () =>
  withQdrant(async (qdrant) => {
    const [file, backup] = [join(qdrant.dataDir, 'freshet.db'), join(qdrant.root, 'backup.db')]
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    cpSync(file, backup)
    await qdrant.running((running) => ingest(running, event('ben', 2)))
    cpSync(backup, file)
    assert.deepEqual(await restarted(qdrant), { isRebuilt: true, users: ['ada'] })
  }))

for (const which of [1, 2])
  test(`a crash while marks are renewed, at step ${which}, is not taken for a loss`, () =>
    withQdrant(async (qdrant) => {
      await qdrant.running((running) => ingest(running, event('ada', 1)))
      await qdrant.running(async ({ standalone }) => {
        const { opensVectors, updater } = standalone.parts
        let patches = 0
        const isStep = ({ endpoint, body }: { endpoint: string; body: unknown }) =>
          endpoint === PATCH && JSON.stringify(body).includes('freshet_writer') && ++patches >= which
        qdrant.double.faults.add(isStep, cut(), Number.POSITIVE_INFINITY)
        const { view } = updater.control
        // As if names had changed, so that marks are due.
        const changed = { ...view, targets: new Map() }
        await assert.rejects(opensVectors.agree(changed), UnavailableError)
        qdrant.double.faults.clear()
      })
      assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ada'] })
    }))

test('a key that may write points but not change collections does not have to renew marks', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    const forbidden = { status: { error: 'Forbidden: Global manage access is required' }, time: 0 }
    qdrant.double.faults.add(PATCH, answer(403, { body: forbidden }), Number.POSITIVE_INFINITY)
    await qdrant.running(async (running) => {
      await ingest(running, event('ben', 2))
      await assertRight(running, 2)
    })
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: ['ada', 'ben'] })
  }))

test('a verb that answers once fails at once while the server is down, and leaves nothing open', () =>
  withQdrant(async (qdrant) => {
    await qdrant.proxy.refuse()
    await assert.rejects(qdrant.open(), { name: 'UnavailableError', code: 'qdrant-unavailable' })
    await qdrant.proxy.listen()
    assert.deepEqual(await restarted(qdrant), { isRebuilt: false, users: [] })
  }))

test('a service waits for its server: events are taken meanwhile, and it goes on by itself', () =>
  withQdrant(async (qdrant) => {
    await qdrant.running((running) => ingest(running, event('ada', 1)))
    await qdrant.proxy.refuse()
    const waiting = { unreachable: 'wait' } as const
    await qdrant.running(
      async (running) => {
        const { service, standalone, health } = running
        assert.deepEqual(await service.ingest([event('ben', 2)]), { accepted: 1, rejected: [] })
        assert.deepEqual(health.degraded, ['vectors: qdrant-unavailable'])
        const { ready, why } = await service.ready()
        assert.equal(ready, false)
        assert.match(why!, /not taken over yet.*vectors: qdrant-unavailable/)
        assert.equal(health.live().live, true)
        await assert.rejects(service.user(ref('ada')), UnavailableError)
        await assert.rejects(service.instructions(), UnavailableError)
        await qdrant.proxy.listen()
        await standalone.takenOver()
        await assertRight(running, 2)
        assert.deepEqual(await service.ready(), { ready: true, why: null })
        await until('nothing is degraded', () => health.degraded.length === 0)
      },
      {},
      waiting,
    )
  }))

test('a service that waits can be stopped, and one whose key is refused stops by itself', () =>
  withQdrant(
    async (qdrant) => {
      await qdrant.proxy.refuse()
      await qdrant.running(async () => {}, {}, { unreachable: 'wait' })
      const other = qdrant.open({ 'vectors.qdrant.apiKey': 'wrong' }, { unreachable: 'wait' })
      const standalone = await other
      assert.equal(await standalone.start(), false)
      await qdrant.proxy.listen()
      await assert.rejects(standalone.takenOver(), { code: 'qdrant-key' })
      await standalone.close(0)
    },
    { apiKey: 'right' },
  ))
