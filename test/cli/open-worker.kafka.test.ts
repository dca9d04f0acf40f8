/** A worker as it is assembled: what it answers, what it follows, what it refuses. */

import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { LocalService } from '../../src/cli/local-service.ts'
import { lookAtGroup, requestGroupRebuild } from '../../src/cli/look-at-group.ts'
import { openWorker } from '../../src/cli/open-worker.ts'
import { UnavailableError } from '../../src/errors.ts'
import type { InstructionId } from '../../src/instructions/instruction.ts'
import { Health } from '../../src/observability/health.ts'
import { Recent } from '../../src/observability/recent.ts'
import { restoring } from '../../src/pipeline/channels.ts'
import { systemClock } from '../../src/pipeline/clock.ts'
import type { UserRef } from '../../src/server/service.ts'
import { until } from '../kafka/driver-fixture.ts'
import { kafkaSuite } from '../kafka/kafka-suite.ts'
import { ref } from './standalone-fixture.ts'
import { type Group, openGroup, type Worker } from './worker-fixture.ts'

const USERS = Array.from({ length: 24 }, (_, n) => ref(`user-${n}`))
const GENERAL = 'general' as InstructionId
/** Who leaves is not missed before this is over, and a busy machine costs nobody a membership. */
const PATIENT = { 'events.kafka.sessionTimeoutMs': 60_000 }

kafkaSuite('a worker', () => {
  let group: Group
  let one: Worker
  let two: Worker
  let events = 0

  const search = (user: UserRef, query: string, eventTimeMs = Date.now() - 1_000) => ({
    topic: group.settings(0).events.topics[0]!.topic,
    header: { event_id: `e${events++}`, event_time: eventTimeMs, source: 'test', user_id: user.user },
    query,
  })
  const holderOf = (user: UserRef) => {
    const number = one.freshet.parts.backend.partitionOf(user.user)
    return one.freshet.parts.updater.ownership.partitions.has(number) ? one : two
  }
  const isQuiet = ({ freshet }: Worker) => freshet.lag() === 0 && freshet.parts.updater.idle
  const quiet = (...workers: Worker[]) => until('nobody waits', () => workers.every(isQuiet))
  const shared = async () => {
    const held = [one, two].map(({ freshet }) => freshet.parts.updater.ownership)
    await until('both hold half of the partitions', () =>
      held.every(({ stage, partitions }) => stage === 'owner' && partitions.size === 2),
    )
  }
  const vectorOf = async (user: UserRef, id: InstructionId = GENERAL) => {
    const { instructions } = await holderOf(user).service.user(user, { vectors: true })
    return instructions.find((instruction) => instruction.id === id)?.vector
  }

  before(async () => {
    group = await openGroup()
    one = await group.start(1, PATIENT)
    two = await group.start(2, PATIENT)
    await shared()
    const result = await one.service.ingest(USERS.map((user) => search(user, `shoes of ${user.user}`)))
    assert.equal(result.accepted, USERS.length)
    await until('everybody is embedded', async () => {
      const vectors = await Promise.all(USERS.map((user) => vectorOf(user).catch(() => undefined)))
      return vectors.every((vector) => vector !== undefined)
    })
  })

  after(() => group.close())

  test('whoever is asked finds everybody, and knows the states of its own users', async () => {
    for (const worker of [one, two]) {
      const { neighbours } = await worker.service.nearest({
        instruction: GENERAL,
        k: 100,
        from: { users: [USERS[0]!] },
      })
      assert.equal(neighbours.length, USERS.length - 1)
    }
    const holder = holderOf(USERS[0]!)
    const other = holder === one ? two : one
    assert.equal((await holder.service.explain(USERS[0]!)).targets[0]!.stored!.stub, false)
    await assert.rejects(other.service.explain(USERS[0]!), { code: 'user-elsewhere', status: 421 })
    assert.equal((await one.service.status()).partitions.length, 2)
  })

  test('what is stored equals a recomputation from the topics, at every worker', async () => {
    await quiet(one, two)
    for (const { service } of [one, two]) {
      const { checked, wrong } = await service.verify({ sample: 100 })
      assert.deepEqual(wrong, [])
      assert.ok(checked > 0)
    }
  })

  test('an instruction that one worker registers is embedded by all, for everybody', async () => {
    const id = 'next-need' as InstructionId
    await two.service.addInstruction({ id, text: 'What will this user need next?' })
    await until('everybody has the new vector', async () => {
      const vectors = await Promise.all(USERS.map((user) => vectorOf(user, id)))
      return vectors.every((vector) => vector !== undefined)
    })
    await one.service.retireInstruction(id)
    await until('nobody has it any more', async () => {
      const vectors = await Promise.all(USERS.map((user) => vectorOf(user, id)))
      return vectors.every((vector) => vector === undefined)
    })
  })

  test('what one worker has just retired another registers anew, however old its own view is', async () => {
    const id = 'again' as InstructionId
    const given = { id, text: 'What comes next?' }
    for (let round = 0; round < 3; round++) {
      assert.equal((await one.service.addInstruction(given)).status, 'active')
      assert.equal((await two.service.retireInstruction(id)).status, 'retired')
      assert.equal((await one.service.addInstruction(given)).status, 'active')
      await two.service.retireInstruction(id)
    }
    await one.freshet.parts.updater.control.readToEnd()
    const { view } = one.freshet.parts.updater.control
    assert.equal(view.instructions.instructions.get(id)?.status, 'retired')
  })

  test('a user is forgotten wherever it is asked for', async () => {
    const user = USERS.at(-1)!
    const other = holderOf(user) === one ? two : one
    await other.service.forget(user)
    const { service } = holderOf(user)
    await until('the user is forgotten', async () => (await service.forgetStatus(user)).state === 'done')
    assert.equal(await vectorOf(user), undefined)
  })

  test('a record that can not be read is kept with its bytes, put back, and removed for good', async () => {
    const { backend } = one.freshet.parts
    const { topic } = search(USERS[0]!, '')
    const value = Buffer.from('no record')
    await backend.append([{ topic, key: Buffer.from(USERS[0]!.user), value }])
    const letters = async () =>
      (await two.service.deadLetters({ limit: 10 })).filter((one) => one.topic === topic)
    await until('the letter is there', async () => (await letters()).length === 1)
    const [letter] = await letters()
    const shown = await two.service.deadLetter(letter!.id)
    assert.equal(shown.valueBase64, value.toString('base64'))
    assert.equal(await one.service.retryDeadLetters({ ids: [letter!.id] }), 1)
    await until('it came back and failed again', async () => (await letters())[0]?.attempts === 2)
    assert.equal(await one.service.purgeDeadLetters({}), 1)
    assert.deepEqual(await letters(), [])
  })

  test('a third worker that stands by is ready, and takes over what another leaves, at once', async () => {
    const third = await group.start(3, PATIENT)
    await until('it is a member', async () => (await third.service.ready()).ready)
    await two.close()
    const startMs = performance.now()
    await until('it has taken over', () => {
      const { stage, partitions } = third.freshet.parts.updater.ownership
      return stage === 'owner' && partitions.size === 2
    })
    assert.ok(performance.now() - startMs < PATIENT['events.kafka.sessionTimeoutMs'] / 2, 'at once')
    two = third
    await shared()
    await two.service.ingest(USERS.slice(0, 8).map((user) => search(user, 'later on')))
    await quiet(one, two)
    for (const { service } of [one, two]) assert.deepEqual((await service.verify({ sample: 100 })).wrong, [])
  })

  test('before its partitions are restored a worker is alive, and not ready', async () => {
    const freshet = await openWorker(group.settings(9))
    const recent = new Recent(systemClock)
    const health = new Health({ clock: systemClock })
    const service = new LocalService(freshet, recent, health)
    try {
      const { ready, why } = await service.ready()
      assert.equal(ready, false)
      assert.match(why!, /^group .* is not taken over yet/)
      restoring.publish({ partition: 3, records: 500, left: 1_200 })
      const meanwhile = await service.ready()
      assert.match(meanwhile.why!, /partition 3, 500 records of its changelog restored, at most 1200 left\)/)
      assert.deepEqual((await service.status()).restoring, [{ partition: 3, records: 500, left: 1_200 }])
      assert.equal(health.live().live, true)
      await assert.rejects(service.explain(USERS[0]!), UnavailableError)
    } finally {
      service.close()
      recent.close()
      health.close()
      await freshet.close(0)
    }
  })

  test('a worker with another model, or on the directory of another, is refused', async () => {
    await assert.rejects(openWorker(group.settings(8, { 'model.bundle': null })), {
      code: 'model-not-active',
    })
    await assert.rejects(openWorker(group.settings(1)), { code: 'data-directory-locked' })
  })

  test('vectors that are asked for anew are written anew by every worker, and lost ones at the next start', async () => {
    const user = USERS[1]!
    const before = (await holderOf(user).service.explain(user)).targets[0]!.currentHash
    await requestGroupRebuild(group.settings(1), systemClock)
    await until('the hash is another', async () => {
      const [target] = (await holderOf(user).service.explain(user)).targets
      return target!.currentHash !== before && target!.acknowledgedHash === target!.currentHash
    })
    await Promise.all([one.close(), two.close()])
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${group.vectorsFile}${suffix}`, { force: true })
    one = await group.start(1, PATIENT)
    assert.equal(one.freshet.isRebuilt, true)
    await until('all partitions are its own', () => one.freshet.parts.updater.ownership.partitions.size === 4)
    await until('everybody is embedded again', async () => {
      const looked = await lookAtGroup(group.settings(1), systemClock)
      const [info] = await looked.vectors.collections()
      await looked.close()
      return info?.points === USERS.length - 1
    })
  })
})
