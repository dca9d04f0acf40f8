/** Promises of the whole program over Qdrant, whatever the server does: nothing lost, nothing stale, nobody's dead letter. */

import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { requestRebuild } from '../../src/cli/rebuild.ts'
import type { Standalone } from '../../src/cli/standalone.ts'
import { ConfigError } from '../../src/errors.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import { vectorName } from '../../src/instructions/instruction.ts'
import { unavailable } from '../../src/pipeline/channels.ts'
import { aliasName } from '../../src/vectors/names.ts'
import type { CollectionName, Point, VectorStore } from '../../src/vectors/vector-store.ts'
import {
  answer,
  type Fault,
  hang,
  hold,
  reportStatus,
  type SeenRequest,
} from '../drivers/qdrant/double/faults.ts'
import {
  assertRight,
  busy,
  event,
  idOf,
  type QdrantStandalone,
  type Running,
  until,
  WRITE,
  withQdrant,
} from './qdrant-standalone.ts'
import { ref } from './standalone-fixture.ts'

const MAIN = 'freshet_main_golden-linear' as CollectionName
const NEXT = 'next' as InstructionId
/** A write that is held counts as lost after so long. */
const IMPATIENT = { 'vectors.qdrant.timeoutMs': 500 }

const users = (count: number) => Array.from({ length: count }, (_, i) => `user-${i}`)

async function ingest({ service, standalone }: Running, ...events: unknown[]): Promise<void> {
  await service.ingest(events)
  await standalone.untilIdle()
}

async function stored({ standalone }: Running, user: string) {
  return (await standalone.parts.vectors.get(MAIN, [idOf(user)])).get(idOf(user))
}

const writesOf = (user: string) => (request: SeenRequest) =>
  request.endpoint === WRITE && JSON.stringify(request.body).includes(idOf(user))

/** Keeps the next write of a user from landing. @returns lets it land */
function heldWrite(
  { double }: QdrantStandalone,
  user: string,
): { release: () => void; isHeld: () => boolean } {
  const released = Promise.withResolvers<void>()
  const before = double.faults.left
  double.faults.add(writesOf(user), hold(released.promise))
  return { release: released.resolve, isHeld: () => double.faults.left === before }
}

/** As many as were handed out and not committed, by the group's offsets. */
async function uncommitted({ parts: { source, log } }: Standalone): Promise<number> {
  return log.endOffset() - source.keepFrom()
}

suite('R4: a stale worker cannot overwrite', () => {
  test('a write that timed out and lands after a newer one changes nothing', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        await ingest(running, event('ada', 1))
        const { release, isHeld } = heldWrite(qdrant, 'ada')
        await running.service.ingest([event('ada', 2)])
        await until('the write is on its way', isHeld)
        await ingest(running, event('ada', 3))
        const newest = await stored(running, 'ada')
        release()
        await landed(qdrant)
        assert.deepEqual(await stored(running, 'ada'), newest)
        await assertRight(running, 1)
      }, IMPATIENT),
    ))

  test('a process that went on in a copy of its directory leaves the newer owner’s vectors alone', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (zombie) => {
        await ingest(zombie, event('ada', 1))
        // A machine that was cloned while it ran: both believe that they own everything.
        const dataDir = join(qdrant.root, 'clone')
        cpSync(qdrant.dataDir, dataDir, { recursive: true, filter: (path) => !path.includes('lock.') })
        await qdrant.running(
          async (owner) => {
            await ingest(owner, event('ada', 2))
            const newest = await stored(owner, 'ada')
            const sent = qdrant.double.log.of(WRITE).length
            await ingest(zombie, event('ada', 3))
            assert.ok(qdrant.double.log.of(WRITE).length > sent, 'it did send')
            assert.deepEqual(await stored(owner, 'ada'), newest)
            await assertRight(owner, 1)
          },
          { dataDir },
        )
      }),
    ))
})

/** What was let go has had its effect once the double has answered somebody else. */
async function landed({ double }: QdrantStandalone): Promise<void> {
  assert.equal((await fetch(double.url)).status, 200)
}

suite('R5: a deletion wins over a late replay', () => {
  test('a user who was forgotten with a write in flight stays so, through replays, a restart and a rebuild', () =>
    withQdrant(async (qdrant) => {
      await qdrant.running(async (running) => {
        await ingest(running, event('ada', 1), event('ben', 1))
        const { release, isHeld } = heldWrite(qdrant, 'ada')
        await running.service.ingest([event('ada', 2)])
        await until('the write is on its way', isHeld)
        await running.service.forget(ref('ada'))
        await until(
          'she is forgotten',
          async () => (await running.service.forgetStatus(ref('ada'))).state === 'done',
        )
        release()
        await landed(qdrant)
        await isGone(running)
      }, IMPATIENT)
      await qdrant.running(async (running) => {
        await running.standalone.untilIdle()
        await isGone(running)
        await requestRebuild(running.standalone.parts.controlLog)
        await running.standalone.parts.updater.control.readToEnd()
        await running.standalone.untilIdle()
        await isGone(running)
        // She counts as checked: nothing of hers is the right answer.
        await assertRight(running, 2)
      })
    }))

  async function isGone(running: Running): Promise<void> {
    assert.equal((await stored(running, 'ada'))?.point.kind, 'stub')
    const request = { instruction: 'general' as InstructionId, k: 10, from: { users: [ref('ben')] } }
    assert.deepEqual((await running.service.nearest(request)).neighbours, [])
  }
})

suite('R7: the sink is down, slow, over its limits, or half of a batch is bad', () => {
  /** Small limits, so that they are met; who is in a request doesn't count, so that is far smaller. */
  const BOUNDS = {
    'refresh.dirtyUsersMax': 60,
    'refresh.batchUsersMax': 4,
    'vectors.qdrant.timeoutMs': 500,
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
        release()
        await assertRight(running, 1)
        const { point } = (await stored(running, 'ada'))!
        assert.deepEqual(point.kind === 'vectors' && [...point.vectors.keys()], [
          vectorName('general' as never, null),
        ])
      }),
    ))
})

suite('R13: what doesn’t fit is refused at the start, in one line, before anything is written', () => {
  type Arrange = (qdrant: QdrantStandalone) => unknown
  const call = async (qdrant: QdrantStandalone, method: string, path: string, body?: unknown) => {
    const init = { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    assert.equal((await fetch(`${qdrant.double.url}${path}`, init)).status, 200)
  }
  const used: Arrange = (qdrant) => qdrant.running((running) => ingest(running, event('ada', 1)))
  const cases: [what: string, code: string, flags: Record<string, unknown>, arrange: Arrange][] = [
    [
      'a collection of that name which freshet did not make',
      'collection-foreign',
      {},
      (qdrant) => call(qdrant, 'PUT', `/collections/${MAIN}`, { vectors: {} }),
    ],
    [
      'vectors of another dimension in our collection',
      'collection-mismatch',
      {},
      async (qdrant) => {
        await used(qdrant)
        const config = { dense: { size: 3, distance: 'Cosine' } }
        await call(qdrant, 'PUT', `/collections/${MAIN}/vectors/other`, config)
      },
    ],
    ['another horizon than the collection’s', 'collection-mismatch', { 'windows.horizonDays': 30 }, used],
    [
      'another bundle than the directory’s',
      'model-not-active',
      { 'model.bundle': new URL('../golden/bundle-mlp', import.meta.url).pathname },
      used,
    ],
    [
      'an address where nobody answers like Qdrant',
      'qdrant-url',
      { 'vectors.qdrant.url': 'ftp://nowhere' },
      () => {},
    ],
  ]

  for (const [what, code, flags, arrange] of cases)
    test(what, () =>
      withQdrant(async (qdrant) => {
        await arrange(qdrant)
        const before = qdrant.writes.length
        await refused(async () => {
          // The settings' own checks would refuse the address first: what the driver says of it is at stake.
          const { 'vectors.qdrant.url': url, ...rest } = flags
          const settings = qdrant.settings(rest)
          if (url !== undefined) settings.vectors.qdrant.url = url as string
          const standalone = await qdrant.openWith(settings)
          try {
            await standalone.start()
          } finally {
            await standalone.close(0)
          }
        }, code)
        assert.deepEqual(qdrant.writes.slice(before), [])
      }),
    )

  for (const [what, code, double, flags] of [
    ['a server of before 1.18', 'qdrant-version', { version: '1.17.1' }, {}],
    ['a key that may only read', 'qdrant-key-read-only', KEYS(), { 'vectors.qdrant.apiKey': 'reader' }],
    ['a key that is none', 'qdrant-key', KEYS(), { 'vectors.qdrant.apiKey': 'nobody' }],
    ['no key where one is asked for', 'qdrant-key', KEYS(), {}],
  ] as const)
    test(what, () =>
      withQdrant(async (qdrant) => {
        await refused(() => qdrant.open(flags), code)
        assert.deepEqual(qdrant.writes, [])
      }, double),
    )

  function KEYS() {
    return { apiKey: 'writer', readOnlyApiKey: 'reader' }
  }

  async function refused(what: () => Promise<unknown>, code: string): Promise<void> {
    await assert.rejects(what, (error: Error) => {
      assert.ok(error instanceof ConfigError, String(error))
      assert.equal(error.code, code)
      assert.doesNotMatch(error.message, /\n/)
      return true
    })
  }
})

suite('R15: readers never see two models in one answer', () => {
  const OTHER = 'freshet_main_other' as CollectionName
  const ROUNDS = 200

  test('while the alias moves, every answer of the service is of one model, and names it', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        await ingest(running, ...users(8).map((user) => event(user, 1)))
        await prepareOther(running)
        const seen = new Map<string, number>()
        const { vectors } = running.standalone.parts
        const moving = keepMoving(vectors)
        const request = { instruction: 'general' as InstructionId, k: 7, from: { users: [ref('user-0')] } }
        while (!moving.isOver) {
          const { model, neighbours } = await running.service.nearest(request)
          assert.equal(neighbours.length, 7)
          // Points of the other model bear it as their segment.
          const models = new Set(neighbours.map(({ segment }) => segment ?? 'golden-linear'))
          assert.deepEqual([...models], [model])
          seen.set(model!, (seen.get(model!) ?? 0) + 1)
        }
        await moving.ended
        assert.deepEqual([...seen.keys()].sort(), ['golden-linear', 'other'], 'both were met')
      }),
    ))

  test('who queries the alias directly meets one model, too, and never nothing', () =>
    withQdrant((qdrant) =>
      qdrant.running(async (running) => {
        await ingest(running, ...users(8).map((user) => event(user, 1)))
        await prepareOther(running)
        const { vectors } = running.standalone.parts
        const moving = keepMoving(vectors)
        const seen = new Set<string>()
        const using = vectorName('general' as never, null)
        const body = JSON.stringify({ query: idOf('user-0'), using, limit: 7, with_payload: ['model'] })
        while (!moving.isOver) {
          const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
          const response = await fetch(`${qdrant.double.url}/collections/freshet_main/points/query`, init)
          assert.equal(response.status, 200)
          const { result } = (await response.json()) as {
            result: { points: { payload: { model: string } }[] }
          }
          const models = new Set(result.points.map(({ payload }) => payload.model))
          assert.equal(result.points.length, 7)
          assert.equal(models.size, 1)
          for (const model of models) seen.add(model)
        }
        await moving.ended
        assert.equal(seen.size, 2)
      }),
    ))

  /** Moves the alias to and fro, in no step with who reads. */
  function keepMoving(vectors: VectorStore): { isOver: boolean; ended: Promise<void> } {
    const moving = { isOver: false, ended: Promise.resolve() }
    moving.ended = (async () => {
      let bits = 1
      for (let round = 0; round < ROUNDS; round++) {
        bits = Math.imul(bits, 1_103_515_245) + 12_345
        await vectors.setAlias(aliasName('main' as never), ((bits >>> 16) & 1) === 1 ? OTHER : MAIN)
      }
      moving.isOver = true
    })()
    return moving
  }

  /** A second model that is kept for roll-back, with the same users. */
  async function prepareOther({ standalone }: Running): Promise<void> {
    const { vectors, controlLog, updater } = standalone.parts
    const { models } = updater.control.view
    await controlLog.appendModel({
      active: models.active,
      also: null,
      existing: [models.active, 'other' as never],
    })
    await updater.control.readToEnd()
    const info = (await vectors.collections()).find(({ name }) => name === MAIN)!
    const { points: _, stubs: __, vectorNames, readerNames, ...spec } = info
    await vectors.ensureCollection({ ...spec, name: OTHER, model: 'other' as never })
    await vectors.ensureVectorNames(OTHER, vectorNames)
    await vectors.setReaderNames(OTHER, readerNames)
    const ids = users(8).map(idOf)
    const points = [...(await vectors.get(MAIN, ids)).values()].map(({ point }): Point => {
      assert.equal(point.kind, 'vectors')
      return { ...point, payload: { ...point.payload, model: 'other' as never, segment: 'other' } } as Point
    })
    await vectors.upsert(OTHER, { epoch: 1, write: 1 }, points)
  }
})
