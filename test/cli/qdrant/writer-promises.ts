/** R4, R5 and R7 on the whole program and any server: late writes, zombies, deletions and outages, without its help. */

import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import {
  assertForgotten,
  assertRight,
  assertSurvives,
  event,
  IMPATIENT,
  ingest,
  OUTAGE_BOUNDS,
  type QdrantStandalone,
  type Running,
  rebuild,
  stored,
  until,
  type withQdrant,
} from '../qdrant-standalone.ts'
import { ref } from '../standalone-fixture.ts'

/** @param withServer gives a freshet on a server, and cleans up after it */
export function writerPromises(what: string, withServer: typeof withQdrant): void {
  suite(`R4 on ${what}: a stale worker cannot overwrite`, () => {
    test('what a stalled process had sent lands after the newer owner’s write, and changes nothing', () =>
      withServer((qdrant) =>
        qdrant.running(async (stalled) => {
          await ingest(stalled, event('ada', 1))
          await cloned(qdrant, async (owner) => {
            qdrant.proxy.hold('requests')
            await stalled.service.ingest([event('ada', 2)])
            await until('it is on its way', () => stalled.standalone.waiting === 0)
            await ingest(owner, event('ada', 3))
            const newest = await stored(owner, 'ada')
            qdrant.proxy.pass()
            await stalled.standalone.untilIdle()
            assert.deepEqual(await stored(owner, 'ada'), newest)
            await assertRight(owner, 1)
          })
        }),
      ))

    test('a process that went on in a copy of its directory leaves the newer owner’s vectors alone', () =>
      withServer((qdrant) =>
        qdrant.running(async (zombie) => {
          await ingest(zombie, event('ada', 1))
          await cloned(qdrant, async (owner) => {
            await ingest(owner, event('ada', 2))
            const newest = await stored(owner, 'ada')
            await ingest(zombie, event('ada', 3))
            assert.deepEqual(await stored(owner, 'ada'), newest)
            await assertRight(owner, 1)
          })
        }),
      ))
  })

  /** A machine that was cloned while it ran: both believe that they own everything. The clone needs no proxy. */
  function cloned(qdrant: QdrantStandalone, use: (owner: Running) => Promise<void>): Promise<void> {
    const dataDir = join(qdrant.root, 'clone')
    cpSync(qdrant.dataDir, dataDir, { recursive: true, filter: (path) => !path.includes('lock.') })
    return qdrant.running(use, { dataDir, 'vectors.qdrant.url': qdrant.server.url })
  }

  suite(`R5 on ${what}: a deletion wins over a late replay`, () => {
    test('a user who was forgotten while no answer came stays so, through a restart and a rebuild', () =>
      withServer(async (qdrant) => {
        await qdrant.running(async (running) => {
          await ingest(running, event('ada', 1), event('ben', 1))
          qdrant.proxy.swallowReplies()
          await running.service.ingest([event('ada', 2)])
          await until('her write is on its way', () => running.standalone.waiting === 0)
          await running.service.forget(ref('ada'))
          qdrant.proxy.pass()
          await running.standalone.untilIdle()
          await assertForgotten(running, 'ada', 'ben')
        }, IMPATIENT)
        await qdrant.running(async (running) => {
          await running.standalone.untilIdle()
          await rebuild(running)
          await assertForgotten(running, 'ada', 'ben')
          await assertRight(running, 2)
        })
      }))
  })

  suite(`R7 on ${what}: it is down or slow`, () => {
    for (const [kind, begin] of [
      ['nobody can connect', ({ proxy }: QdrantStandalone) => proxy.refuse()],
      ['no answer comes back', ({ proxy }: QdrantStandalone) => proxy.swallowReplies()],
    ] as const)
      test(`${kind}: reading pauses, nothing is lost or committed, and it recovers by itself`, () =>
        withServer((qdrant) =>
          qdrant.running((running) => {
            const end = async () => {
              qdrant.proxy.pass()
              await qdrant.proxy.listen()
            }
            return assertSurvives(running, () => begin(qdrant), end)
          }, OUTAGE_BOUNDS),
        ))
  })
}
