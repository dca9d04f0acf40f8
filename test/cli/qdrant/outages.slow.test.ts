/** R7 on the whole program: whatever the sink does, nothing is lost, nobody is a dead letter, and it recovers by itself. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ConfigError } from '../../../src/errors.ts'
import { type InstructionId, vectorName } from '../../../src/instructions/instruction.ts'
import {
  answer,
  type Fault,
  hang,
  reportStatus,
  type SeenRequest,
} from '../../drivers/qdrant/double/faults.ts'
import {
  assertRight,
  assertSurvives,
  busy,
  event,
  heldWrite,
  ingest,
  MAIN,
  OUTAGE_BOUNDS,
  type QdrantStandalone,
  stored,
  uncommitted,
  until,
  users,
  WRITE,
  withQdrant,
  writesOf,
} from '../qdrant-standalone.ts'

const NEXT = 'next' as InstructionId

suite('R7: the sink is down, slow, over its limits, or half of a batch is bad', () => {
  const outages: [what: string, begin: (qdrant: QdrantStandalone) => unknown][] = [
    ['answers 429', always(busy())],
    ['answers 429 and asks for patience', always(busy('30'))],
    ['answers 503', always(answer(503))],
    ['applies what it answers with 500', always(answer(500, { moment: 'after' }))],
    ['only says that it has heard', always(reportStatus('acknowledged'))],
    ['says that waiting took too long', always(reportStatus('wait_timeout'))],
    ['hangs after applying', always(hang('after'))],
  ]

  for (const [what, begin] of outages)
    test(`a server that ${what}: reading pauses, nothing is lost or committed, and it recovers by itself`, () =>
      withQdrant((qdrant) =>
        qdrant.running((running) => {
          const end = async () => {
            qdrant.double.faults.clear()
            qdrant.proxy.pass()
            await qdrant.proxy.listen()
          }
          return assertSurvives(running, () => begin(qdrant), end)
        }, OUTAGE_BOUNDS),
      ))

  function always(fault: Fault) {
    return ({ double }: QdrantStandalone) => double.faults.add(WRITE, fault, Number.POSITIVE_INFINITY)
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
