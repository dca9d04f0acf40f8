/** R7 on the whole program: whatever the sink does, nothing is lost, nobody is a dead letter, and it recovers by itself. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Standalone } from '../../../src/cli/standalone.ts'
import { ConfigError } from '../../../src/errors.ts'
import { type InstructionId, vectorName } from '../../../src/instructions/instruction.ts'
import { unavailable } from '../../../src/pipeline/channels.ts'
import {
  answer,
  type Fault,
  hang,
  reportStatus,
  type SeenRequest,
} from '../../drivers/qdrant/double/faults.ts'
import {
  assertRight,
  busy,
  event,
  heldWrite,
  IMPATIENT,
  ingest,
  MAIN,
  type QdrantStandalone,
  stored,
  until,
  users,
  WRITE,
  withQdrant,
  writesOf,
} from '../qdrant-standalone.ts'

const NEXT = 'next' as InstructionId

/** As many as were handed out and not committed, by the group's offsets. */
async function uncommitted({ parts: { source, log } }: Standalone): Promise<number> {
  return log.endOffset() - source.keepFrom()
}

suite('R7: the sink is down, slow, over its limits, or half of a batch is bad', () => {
  /** Small limits, so that they are met; who is in a request doesn't count, so that is far smaller. */
  const BOUNDS = {
    'refresh.dirtyUsersMax': 60,
    'refresh.batchUsersMax': 4,
    ...IMPATIENT,
  }
  const USERS = 200

  const outages: [what: string, code: string, begin: (qdrant: QdrantStandalone) => unknown][] = [
    ['refuses connections', 'qdrant-unavailable', ({ proxy }) => proxy.refuse()],
    ['never answers', 'qdrant-unavailable', ({ proxy }) => proxy.swallowReplies()],
    ['answers 429', 'qdrant-unavailable', always(busy())],
    ['answers 429 and asks for patience', 'qdrant-unavailable', always(busy('30'))],
    ['answers 503', 'qdrant-unavailable', always(answer(503))],
    ['applies what it answers with 500', 'qdrant-unavailable', always(answer(500, { moment: 'after' }))],
    ['only says that it has heard', 'qdrant-unavailable', always(reportStatus('acknowledged'))],
    ['says that waiting took too long', 'qdrant-unavailable', always(reportStatus('wait_timeout'))],
    ['hangs after applying', 'qdrant-unavailable', always(hang('after'))],
  ]

  for (const [what, code, begin] of outages)
    test(`a server that ${what}: reading pauses, nothing is lost or committed, and it recovers by itself`, () =>
      withQdrant((qdrant) =>
        qdrant.running(async (running) => {
          const { standalone, service, health } = running
          await ingest(running, event('user-0', 0))
          await begin(qdrant)
          const committedBefore = standalone.parts.source.keepFrom()
          const [first, rest] = [users(USERS).slice(0, USERS / 2), users(USERS).slice(USERS / 2)]
          for (let i = 0; i < first.length; i += 10)
            await service.ingest(first.slice(i, i + 10).map((user) => event(user, 1)))
          await until('reading pauses', () => isPaused(standalone))
          await until('it is told', () => health.degraded.includes(`vectors: ${code}`))
          const left = await standalone.lag()
          await service.ingest(rest.map((user) => event(user, 1)))
          for (let attempts = 0; attempts < 2; attempts++) await nextOutage()
          assert.equal(await standalone.lag(), left + rest.length, 'what comes now stays in the log')
          assert.equal(standalone.parts.source.keepFrom(), committedBefore)
          const status = await service.status()
          assert.deepEqual([status.events.deadLetters, status.users.parked], [0, 0])
          assert.deepEqual(status.degraded, [`vectors: ${code}`])
          assert.deepEqual(await service.ready(), { ready: true, why: null })

          qdrant.double.faults.clear()
          qdrant.proxy.pass()
          await qdrant.proxy.listen()
          await assertRight(running, USERS)
          assert.equal(await uncommitted(standalone), 0)
          assert.deepEqual(health.degraded, [])
          assert.deepEqual((await service.status()).users.parked, 0)
        }, BOUNDS),
      ))

  /** Resolves when the next attempt has failed: what would be read in between has been. */
  function nextOutage(): Promise<void> {
    return new Promise((resolve) => {
      const unsubscribe = unavailable.subscribe(() => {
        unsubscribe()
        resolve()
      })
    })
  }

  function always(fault: Fault) {
    return ({ double }: QdrantStandalone) => double.faults.add(WRITE, fault, Number.POSITIVE_INFINITY)
  }

  function isPaused({ parts: { source } }: Standalone): boolean {
    return (source as unknown as { isPaused: boolean }).isPaused
  }

  test('of a batch that the server refuses exactly the bad users are parked, and the others are written', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        const { standalone, service } = running
        const bad = ['user-3', 'user-4', 'user-11']
        const isBad = (request: SeenRequest) => bad.some((user) => writesOf(user)(request))
        const refused = { status: { error: 'Wrong input: this point is bad' }, time: 0 }
        qdrant.double.faults.add(isBad, answer(400, { body: refused }), Number.POSITIVE_INFINITY)
        standalone.parts.updater.refreshing = false
        await service.ingest(users(16).map((user) => event(user, 1)))
        await standalone.caughtUp()
        await standalone.untilIdle()
        const parked = await service.parked({ limit: 100 })
        assert.deepEqual(parked.map(({ user }) => user as string).sort(), bad.toSorted())
        assert.deepEqual([...new Set(parked.map(({ reason }) => reason))], ['point-refused'])
        for (const user of users(16))
          assert.equal((await stored(running, user)) !== undefined, !bad.includes(user), user)
        assert.equal(await uncommitted(standalone), 0, 'a parked user holds no partition back')
        assert.equal((await service.status()).events.deadLetters, 0)

        qdrant.double.faults.clear()
        assert.equal(await service.retryParked(), 3)
        await assertRight(running, 16)
        assert.deepEqual(await service.parked({ limit: 100 }), [])
      }),
    ))

  test('a key that the server no longer takes stops everything with what to do', () =>
    withQdrant((qdrant) =>
      qdrant.running(async ({ standalone, service }) => {
        qdrant.double.faults.add(
          WRITE,
          answer(401, { body: 'Invalid API key or JWT' }),
          Number.POSITIVE_INFINITY,
        )
        const ended = assert.rejects(standalone.ended(), (error: Error) => {
          assert.ok(error instanceof ConfigError)
          assert.equal(error.code, 'qdrant-key')
          assert.match(error.message, /FRESHET_VECTORS__QDRANT__API_KEY/)
          return true
        })
        await service.ingest([event('ada', 1)])
        await ended
      }),
    ))

  test('a collection that is deleted under it stops everything, and the next start embeds everybody anew', () =>
    withQdrant(async (qdrant) => {
      await qdrant.running(async (running) => {
        await ingest(running, event('ada', 1), event('ben', 1))
        qdrant.double.store.drop(MAIN)
        const ended = assert.rejects(running.standalone.ended(), {
          name: 'ConfigError',
          code: 'vectors-lost',
        })
        await running.service.ingest([event('ada', 2)])
        await ended
      })
      await qdrant.running(async (running) => {
        assert.equal(running.standalone.isRebuilt, true)
        await assertRight(running, 2)
      })
    }))

  test('housekeeping sees a deleted collection where nobody writes', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        await ingest(running, event('ada', 1))
        qdrant.double.store.drop(MAIN)
        await assert.rejects(running.standalone.parts.housekeeping.tick(), { code: 'vectors-lost' })
      }),
    ))

  test('a write of a vector name that was retired meanwhile is no loss: its users are embedded afresh', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        const { standalone, service } = running
        await service.addInstruction({ id: NEXT, text: 'What next?' })
        await ingest(running, event('ada', 1))
        const { release, isHeld } = heldWrite(qdrant, 'ada')
        await service.ingest([event('ada', 2)])
        await until('the write is on its way', isHeld)
        await service.retireInstruction(NEXT)
        await until('its vectors are dropped', async () => {
          await standalone.parts.housekeeping.tick()
          return !(await standalone.parts.vectors.collections())[0]!.vectorNames.includes(
            vectorName(NEXT, 'What next?'),
          )
        })
        await release()
        await assertRight(running, 1)
        const { point } = (await stored(running, 'ada'))!
        assert.deepEqual(point.kind === 'vectors' && [...point.vectors.keys()], [
          vectorName('general' as never, null),
        ])
      }),
    ))
})
