/** What freshet answers in its own process, over the real drivers and the real model of the golden set. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { userKey } from '../../src/events/ids.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import type { ModelId } from '../../src/model/embedding-model.ts'
import type { NearestRequest } from '../../src/server/service.ts'
import { pointId } from '../../src/vectors/names.ts'
import { type Fixture, NOW_MS, openFixture, ref, search } from './standalone-fixture.ts'

const GENERAL = 'general' as InstructionId
const FIRST = { ada: 'hotels', ben: 'rubber boots', chloe: 'piano', dev: 'rice' }

suite('the local service', () => {
  let fixture: Fixture

  before(async () => {
    fixture = await openFixture()
    await fixture.service.ingest(
      Object.entries(FIRST).flatMap(([user, query]) => [search(user, query), search(user, 'trains', 90)]),
    )
    await fixture.settle()
  })

  after(() => fixture.close())

  function nearest(from: NearestRequest['from'], instruction = 'general', k = 10) {
    return fixture.service.nearest({ instruction: instruction as InstructionId, k, from })
  }

  test('the nearest of a user are all others by falling score, and never the user', async () => {
    const { neighbours, model, asOf, stale } = await nearest({ users: [ref('ada')] })
    assert.deepEqual(neighbours.map(({ user }) => user).sort(), ['ben', 'chloe', 'dev'])
    const scores = neighbours.map(({ score }) => score)
    assert.deepEqual(
      scores,
      scores.toSorted((a, b) => b - a),
    )
    assert.deepEqual({ model, asOf, stale }, { model: 'golden-linear', asOf: '2026-01-15', stale: false })
  })

  test("a user's own vector, named with its model, finds that user first with cosine 1", async () => {
    const { instructions, model } = await fixture.service.user(ref('ada'), { vectors: true })
    const { vector } = instructions.find(({ id }) => id === GENERAL)!
    const { neighbours } = await nearest({ vector: vector!, model })
    assert.equal(neighbours[0]!.user, 'ada')
    assert.ok(Math.abs(neighbours[0]!.score - 1) < 1e-6)
  })

  test('a text finds users, by the vector that embedding it gives', async () => {
    const { vectors, model } = await fixture.service.embedTexts(['hotels'])
    const byText = await nearest({ text: 'hotels' })
    const byVector = await nearest({ vector: vectors[0]!, model })
    assert.deepEqual(byText.neighbours, byVector.neighbours)
  })

  for (const [why, request, code, status] of [
    ['of a user nobody has heard of', () => nearest({ users: [ref('nobody')] }), 'user-unknown', 404],
    [
      'by a vector of another model',
      () => nearest({ vector: [1], model: 'other' as ModelId }),
      'vector-of-other-model',
      409,
    ],
    [
      'under an instruction that is not registered',
      () => nearest({ text: 'x' }, 'nope'),
      'instruction-unknown',
      404,
    ],
    ['of nobody at all', () => nearest({ users: [] }), 'nearest-from', 400],
  ] as const)
    test(`a search ${why} is refused as ${code}`, async () => {
      await assert.rejects(request, { name: 'RequestError', code, status })
    })

  test('a user whose events were read and not embedded yet is said to be known', async () => {
    await fixture.service.ingest([search('elif', 'boots')])
    await fixture.read()
    await assert.rejects(nearest({ users: [ref('elif')] }), { code: 'user-not-embedded', status: 404 })
    assert.equal((await fixture.service.user(ref('elif'))).stale, true)
    await fixture.settle()
    assert.equal((await nearest({ users: [ref('elif')] })).stale, false)
  })

  test('an answer about a user with newer events says that it is stale, until they are embedded', async () => {
    await fixture.service.ingest([search('ben', 'tents')])
    await fixture.read()
    assert.equal((await nearest({ users: [ref('ben')] })).stale, true)
    await fixture.settle()
    assert.equal((await nearest({ users: [ref('ben')] })).stale, false)
  })

  test('explain tells each sentence that the model read, and hashes that agree once all is fresh', async () => {
    const { window, targets, stale, positions } = await fixture.service.explain(ref('ada'))
    assert.deepEqual(
      window.search!.map(({ eventId }) => eventId),
      ['ada-trains', 'ada-hotels'],
    )
    assert.match(window.search![1]!.text, /hotels/)
    assert.equal(stale, false)
    assert.ok(positions > 0)
    for (const { currentHash, acknowledgedHash } of targets) assert.equal(currentHash, acknowledgedHash)
  })

  test('verify finds every vector right, and names the one that somebody changed', async () => {
    assert.deepEqual((await fixture.service.verify({ sample: 10 })).wrong, [])
    const { updater, vectors } = fixture.standalone.parts
    const { main } = updater.control.view
    const id = pointId(userKey(ref('dev').tenant, ref('dev').user))
    const stored = (await vectors.get(main.collection, [id])).get(id)!
    assert.ok(stored.point.kind === 'vectors')
    const turned = new Map(
      [...stored.point.vectors].map(([name, vector]) => [
        name,
        vector.map((x, i) => (i === 0 ? -x - 0.1 : x)),
      ]),
    )
    await vectors.upsert(main.collection, stored.version, [{ ...stored.point, vectors: turned }])
    const { checked, wrong } = await fixture.service.verify({ users: [ref('dev'), ref('ada')] })
    assert.equal(checked, 2)
    assert.deepEqual(
      wrong.map(({ user, why }) => [user, why]),
      [['dev', 'the stored vector differs from the recomputation']],
    )
    await vectors.upsert(main.collection, stored.version, [stored.point])
  })

  for (const [why, instruction, code] of [
    ['of 10,000 characters', { id: 'long', text: 'x'.repeat(10_000) }, 'instruction-too-long'],
    ['whose id has a space', { id: 'a b', text: 'What next?' }, 'instruction-id'],
    ['whose id is a path', { id: '..', text: 'What next?' }, 'instruction-id'],
    ['that says nothing', { id: 'blank', text: ' \n ' }, 'instruction-text'],
    ['without a text', { id: 'none', text: null }, 'instruction-text'],
    [
      'with a control token in it',
      { id: 'token', text: 'Is <|endoftext|> here?' },
      'instruction-control-token',
    ],
    ['in a group with an odd name', { id: 'grouped', text: 'What next?', group: 'A/B' }, 'instruction-group'],
    [
      'in the group of shadows without being one',
      { id: 'grouped', text: 'What next?', group: 'shadow' },
      'instruction-group',
    ],
  ] as const)
    test(`an instruction ${why} is refused as ${code}, and nothing is registered`, async () => {
      const { instructions } = await fixture.service.instructions()
      await assert.rejects(
        fixture.service.addInstruction({ ...instruction, id: instruction.id as InstructionId }),
        { name: 'RequestError', code },
      )
      assert.deepEqual((await fixture.service.instructions()).instructions, instructions)
    })

  test('the group main is never paused', async () => {
    await assert.rejects(fixture.service.setGroup({ name: 'main' as never, minRefreshMs: 0, paused: true }), {
      code: 'instruction-group',
    })
  })

  test('a new instruction is back-filled for everybody, and a shadow is embedded but not served', async () => {
    await fixture.service.addInstruction({ id: 'next' as InstructionId, text: 'What next?' })
    await fixture.service.addInstruction({
      id: 'tried' as InstructionId,
      text: 'Is it so?',
      status: 'shadow',
    })
    await fixture.settle()
    assert.equal((await nearest({ users: [ref('ada')] }, 'next')).neighbours.length, 4)
    await assert.rejects(nearest({ users: [ref('ada')] }, 'tried'), {
      code: 'instruction-not-read',
      status: 404,
    })
    const { instructions } = await fixture.service.user(ref('ada'))
    assert.deepEqual(instructions.map(({ id }) => id).sort(), ['general', 'next', 'tried'])
  })

  test('a forgotten user leaves no vector anywhere, and the request can be followed to its end', async () => {
    await fixture.service.ingest([search('gone', 'a secret')])
    await fixture.settle()
    await assert.rejects(fixture.service.forgetStatus(ref('gone')), {
      code: 'user-not-forgotten',
      status: 404,
    })
    const { atMs, state } = await fixture.service.forget(ref('gone'))
    assert.deepEqual({ atMs, state }, { atMs: NOW_MS, state: 'pending' })
    assert.equal((await fixture.service.forgetStatus(ref('gone'))).state, 'pending')
    await fixture.settle()
    assert.equal((await fixture.service.forgetStatus(ref('gone'))).state, 'done')
    await assert.rejects(nearest({ users: [ref('gone')] }), {
      code: 'user-not-embedded',
      message: /gone of tenant default without one: the user was forgotten as of 2026-01-15T12:00:00\.000Z/,
    })
    const { neighbours } = await nearest({ users: [ref('ada')] })
    assert.ok(neighbours.every(({ user }) => user !== 'gone'))
    assert.deepEqual((await fixture.service.verify({ users: [ref('gone')] })).wrong, [])
  })

  test('of a request, records that are none are refused by their place, and the others are durable', async () => {
    const { accepted, rejected } = await fixture.service.ingest([
      search('ada', 'new shoes'),
      { topic: 'nope' },
      7,
    ])
    assert.equal(accepted, 1)
    assert.deepEqual(
      rejected.map(({ index, code }) => [index, code]),
      [
        [1, 'record-topic-unknown'],
        [2, 'ingest-line'],
      ],
    )
    await fixture.settle()
  })

  const tooMuch = [
    ['of 5 MB', search('huge', 'x'.repeat(5 * 1024 * 1024)), 'record-value-too-large', 0.5],
    ['from a year ahead', search('ahead', 'soon', -525_600), 'event-from-future', 0],
  ] as const

  /** As an import does, or a producer of a topic: nobody listens to what becomes of it. */
  async function append(...records: Record<string, unknown>[]): Promise<void> {
    const { encoder, log } = fixture.standalone.parts
    const encoded = records.map((record) => encoder.object(record))
    await log.append(encoded.map(({ topic, key, value, headers }) => ({ topic, key, value, headers })))
    await fixture.settle()
  }

  for (const [why, event, reason, minutesAgo] of tooMuch)
    test(`an event ${why} becomes a dead letter with its bytes, and the rest goes on`, async () => {
      await append(event, search('ada', `after ${reason}`, minutesAgo))
      const [letter] = await fixture.service.deadLetters({ limit: 10, reason })
      assert.ok(letter !== undefined, JSON.stringify(await fixture.service.deadLetters({ limit: 10 })))
      const shown = await fixture.service.deadLetter(letter.id)
      assert.equal(shown.topic, 'behavior.search')
      assert.ok(Buffer.from(shown.valueBase64!, 'base64').includes('test'))
      const { window } = await fixture.service.explain(ref('ada'))
      assert.ok(window.search!.some(({ text }) => text.includes(`after ${reason}`)))
    })

  test('an event that would become a dead letter is refused while its sender listens, as an object and in raw bytes', async () => {
    const { encoder } = fixture.standalone.parts
    for (const [, event, reason] of tooMuch) {
      const { accepted, rejected } = await fixture.service.ingest([search('ada', 'new shoes'), event])
      assert.deepEqual([accepted, rejected.map(({ index, code }) => [index, code])], [1, [[1, reason]]])
      const { topic, key, value } = encoder.object(event)
      const raw = await fixture.service.ingestRaw({ topic, key: key.toString(), value: value! })
      assert.deepEqual([raw.accepted, raw.rejected[0]!.code], [0, reason])
    }
    await fixture.settle()
  })

  test('a dead letter that is retried is read again, and fails again while its cause stays', async () => {
    const reason = 'event-from-future'
    assert.equal(await fixture.service.retryDeadLetters({ reason }), 1)
    assert.deepEqual(await fixture.service.deadLetters({ limit: 10, reason }), [])
    await fixture.settle()
    const [again] = await fixture.service.deadLetters({ limit: 10, reason })
    assert.equal(again!.attempts, 2)
    await assert.rejects(fixture.service.deadLetter('999'), { code: 'letter-unknown', status: 404 })
  })

  test('an event that came too early is taken when it is retried after its time has come', async () => {
    await append(search('early', 'ten minutes ahead', -10))
    const ids = (await fixture.service.deadLetters({ limit: 10 })).map(({ id }) => id).slice(-1)
    fixture.clock.nowMs += 10 * 60_000
    // Nothing is sent when the last accepted commit is older than the session (V3).
    await fixture.standalone.parts.updater.commitOnce()
    assert.equal(await fixture.service.retryDeadLetters({ ids }), 1)
    await fixture.settle()
    assert.equal((await fixture.service.user(ref('early'))).events.search, 1)
  })

  test('one new event of a user costs one event encoding and one packed pass, whatever was known before', async () => {
    const before = fixture.standalone.parts.opened.model.counts()
    await fixture.service.ingest([search('dev', 'a wooden flute', 0)])
    await fixture.settle()
    const after = fixture.standalone.parts.opened.model.counts()
    assert.equal(after.eventsEncoded - before.eventsEncoded, 1)
    // One for the group of all, one for the shadow group.
    assert.equal(after.backboneRuns - before.backboneRuns, 2)
    assert.ok(after.eventsCached > before.eventsCached)
    assert.ok(after.backboneShared > before.backboneShared)
  })

  test('the status counts users, events and letters, and names the model', async () => {
    const { users, model, stage, events, tokens } = await fixture.service.status()
    assert.equal(stage, 'owner')
    assert.equal(users.waiting, 0)
    assert.ok(users.known >= 6)
    assert.equal(model!.id, 'golden-linear')
    assert.equal(events.deadLetters, 2)
    assert.ok(tokens!.eventsEncoded > 0)
    assert.deepEqual(await fixture.service.ready(), { ready: true, why: null })
  })

  test('before the data directory is taken over nothing is answered from it', async () => {
    const early = await openFixture({}, false)
    try {
      assert.equal((await early.service.ready()).ready, false)
      await assert.rejects(early.service.user(ref('ada')), { name: 'UnavailableError', code: 'not-ready' })
    } finally {
      await early.close()
    }
  })
})
