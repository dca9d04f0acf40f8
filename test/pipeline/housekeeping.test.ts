/** What is done now and then: readers follow a new text only once it is back-filled, and what nobody needs goes. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { userKey } from '../../src/events/ids.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import { vectorName } from '../../src/instructions/instruction.ts'
import { aliasName, pointId } from '../../src/vectors/names.ts'
import { type Fixture, openFixture, ref, search } from '../cli/standalone-fixture.ts'

const DAY_MS = 86_400_000
const NEXT = 'next' as InstructionId
const [OLD, NEW] = ['What next?', 'What will they need next?']

suite('housekeeping', () => {
  let fixture: Fixture

  beforeEach(async () => {
    fixture = await openFixture()
    await fixture.service.ingest([search('ada', 'hotels'), search('ben', 'boots')])
    await fixture.service.addInstruction({ id: NEXT, text: OLD })
    await fixture.settle()
  })

  afterEach(() => fixture.close())

  async function main() {
    const { updater, vectors } = fixture.standalone.parts
    const { collection } = updater.control.view.main
    return (await vectors.collections()).find(({ name }) => name === collection)!
  }

  async function readersOf(id: InstructionId) {
    return (await main()).readerNames.get(id)
  }

  test('an alias that points elsewhere is put right at the next round', async () => {
    const { updater, vectors, housekeeping } = fixture.standalone.parts
    const { collection } = updater.control.view.main
    const alias = aliasName('main' as never)
    const other = { ...(await main()), name: 'freshet_main_other' as never }
    await vectors.ensureCollection(other)
    await vectors.setAlias(alias, other.name)
    fixture.clock.nowMs += 60_000
    await housekeeping.tick()
    assert.equal(await vectors.alias(alias), collection)
  })

  test('readers keep the old text until every user has a vector for the new one', async () => {
    const { housekeeping, updater } = fixture.standalone.parts
    await fixture.service.addInstruction({ id: NEXT, text: NEW })
    await housekeeping.tick()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, OLD))
    updater.sweep.step()
    await housekeeping.tick()
    assert.equal(
      await readersOf(NEXT),
      vectorName(NEXT, OLD),
      'the sweep has marked users that are not embedded yet',
    )
    await fixture.settle()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, NEW))
    const { neighbours, stale } = await fixture.service.nearest({
      instruction: NEXT,
      k: 5,
      from: { users: [ref('ada')] },
    })
    assert.deepEqual([neighbours.length, stale], [1, false])
  })

  /** A user of another worker, as that has written the point so far. */
  async function writeOther(...texts: (string | null)[]): Promise<void> {
    const { vectors, updater } = fixture.standalone.parts
    const { name, dimensions } = await main()
    const id = pointId(userKey('default' as never, 'other' as never))
    const vector = new Float32Array(dimensions).fill(1 / Math.sqrt(dimensions))
    const names = texts.map((text) =>
      text === null ? vectorName('general' as never, null) : vectorName(NEXT, text),
    )
    const payload = {
      userId: 'other' as never,
      tenantId: 'default' as never,
      segment: null,
      lastEventAtMs: null,
      asOfDay: '2026-06-01',
      inputHash: 'of another',
      model: updater.control.view.main.model,
      expiresAtMs: null,
    }
    const point = {
      kind: 'vectors' as const,
      id,
      payload,
      vectors: new Map(names.map((one) => [one, vector])),
    }
    await vectors.upsert(name, { epoch: 1, write: texts.length }, [point])
  }

  test('where others hold partitions, readers keep the old text until their users have a vector, too', async () => {
    const { housekeeping, updater } = fixture.standalone.parts
    await writeOther(null, OLD)
    Object.defineProperty(updater.ownership, 'ownsAll', { value: false })
    await fixture.service.addInstruction({ id: NEXT, text: NEW })
    await fixture.settle()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, OLD))
    fixture.clock.nowMs += 60_000
    await housekeeping.tick()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, OLD))
    await writeOther(null, OLD, NEW)
    fixture.clock.nowMs += 60_000
    await housekeeping.tick()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, NEW))
  })

  test('a user whom nobody fills, a parked one, keeps readers for an hour at most, and for no time where one owns all', async () => {
    const { housekeeping, updater } = fixture.standalone.parts
    await writeOther(null, OLD)
    Object.defineProperty(updater.ownership, 'ownsAll', { value: false, configurable: true })
    await fixture.service.addInstruction({ id: NEXT, text: NEW })
    await fixture.settle()
    fixture.clock.nowMs += 3_599_000
    await housekeeping.tick()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, OLD))
    fixture.clock.nowMs += 60_000
    await housekeeping.tick()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, NEW))
    Object.defineProperty(updater.ownership, 'ownsAll', { value: true })
    await fixture.service.addInstruction({ id: NEXT, text: 'Then what?' })
    await fixture.settle()
    assert.equal(await readersOf(NEXT), vectorName(NEXT, 'Then what?'))
  })

  test('the old text is embedded for the time that readers have, then its vectors go', async () => {
    await fixture.service.addInstruction({ id: NEXT, text: NEW })
    await fixture.settle()
    assert.ok((await main()).vectorNames.includes(vectorName(NEXT, OLD)))
    fixture.clock.nowMs += 7 * DAY_MS - 1
    await fixture.settle()
    assert.ok((await main()).vectorNames.includes(vectorName(NEXT, OLD)))
    fixture.clock.nowMs += 2
    await fixture.settle()
    await fixture.settle()
    assert.deepEqual(
      (await main()).vectorNames.sort(),
      [vectorName('general' as never, null), vectorName(NEXT, NEW)].sort(),
    )
    const { instructions } = await fixture.service.instructions()
    assert.equal(instructions.find(({ id }) => id === NEXT)!.previous, null)
  })

  test('what an operator changes while an old text is looked after stays changed', async () => {
    const { housekeeping, vectors } = fixture.standalone.parts
    await fixture.service.addInstruction({ id: NEXT, text: NEW })
    await fixture.settle()
    fixture.clock.nowMs += 7 * DAY_MS
    const collections = vectors.collections.bind(vectors)
    let looks = 0
    // Two looks a round: the second asks whom readers follow, just before the old text goes.
    vectors.collections = async () => {
      const infos = await collections()
      if (++looks === 2) await fixture.service.addInstruction({ id: NEXT, text: 'And then?' })
      return infos
    }
    await housekeeping.tick()
    assert.ok(looks >= 2)
    const { instructions } = await fixture.service.instructions()
    const { text, previous } = instructions.find(({ id }) => id === NEXT)!
    assert.deepEqual([text, previous?.text], ['And then?', NEW])
  })

  test('a retired instruction loses its readers and its vectors at once', async () => {
    await fixture.service.retireInstruction(NEXT)
    await fixture.settle()
    const { vectorNames, readerNames } = await main()
    assert.deepEqual(vectorNames, [vectorName('general' as never, null)])
    assert.equal(readerNames.has(NEXT), false)
  })

  test('a vector name that another process has just made is not dropped by one that has not read why', async () => {
    const { housekeeping, controlLog, updater, vectors } = fixture.standalone.parts
    const next = updater.control.view.instructions.instructions.get(NEXT)!
    const id = 'other' as InstructionId
    const { name, vectorNames } = await main()
    await controlLog.appendInstruction({ ...next, id, text: NEW })
    await vectors.ensureVectorNames(name, [vectorName(id, NEW), vectorName(id, OLD)])
    fixture.clock.nowMs += 60_000
    await housekeeping.tick()
    assert.deepEqual((await main()).vectorNames.sort(), [...vectorNames, vectorName(id, NEW)].sort())
  })

  test('the stub of a forgotten user stays for a day, and is purged after it', async () => {
    await fixture.service.forget(ref('ada'))
    await fixture.settle()
    assert.equal((await main()).stubs, 1)
    fixture.clock.nowMs += DAY_MS
    await fixture.standalone.parts.housekeeping.tick()
    assert.equal((await main()).stubs, 1)
    fixture.clock.nowMs += 60_000
    await fixture.standalone.parts.housekeeping.tick()
    assert.equal((await main()).stubs, 0)
  })

  test('log records older than their retention go, those not committed never', async () => {
    const { log, housekeeping } = fixture.standalone.parts
    fixture.clock.nowMs += 101 * DAY_MS
    await housekeeping.tick()
    const kept = log.endOffset() - log.firstOffset()
    assert.equal(kept, 1, 'the last record remembers the sequence')
  })
})
