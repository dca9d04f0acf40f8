/** The service over HTTP, against a real server on a real port. */

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { RequestError, UnavailableError } from '../../src/errors.ts'
import { DEFAULT_TENANT, type TenantId, type UserId } from '../../src/events/ids.ts'
import { GENERAL, type GroupName, type InstructionId } from '../../src/instructions/instruction.ts'
import { RemoteService } from '../../src/server/remote-service.ts'
import { MODEL, type ServedFreshet, searchEvent, startServedFreshet } from './served-freshet.ts'

const SECRET = 'sixteen-letters-and-more'

let freshet: ServedFreshet
let remote: RemoteService
let url: string

const ref = (user: string, tenant: string = DEFAULT_TENANT) => ({
  tenant: tenant as TenantId,
  user: user as UserId,
})

describe('the service over HTTP', () => {
  before(async () => {
    freshet = await startServedFreshet()
    const server = await freshet.serve({ adminSecret: SECRET })
    url = await server.listen()
    remote = new RemoteService({ url, adminSecret: SECRET })
  })

  after(() => freshet.close())

  test('whatever is asked from afar is answered as it is from near', async () => {
    const { service, standalone } = freshet
    const events = ['ada', 'bob', 'a/b %?#', '🦊'].map((user) => searchEvent(user, `hotels for ${user}`))
    assert.deepEqual(await remote.ingest([...events, { topic: 'nowhere' }]), {
      accepted: 4,
      rejected: (await service.ingest([...events, { topic: 'nowhere' }])).rejected,
    })
    await standalone.untilIdle()

    const byUsers = { instruction: GENERAL, k: 3, from: { users: [ref('ada'), ref('a/b %?#')] } }
    assert.deepEqual(await remote.nearest(byUsers), await service.nearest(byUsers))
    const byText = {
      instruction: GENERAL,
      k: 3,
      from: { text: 'hotels' },
      filter: { tenantId: DEFAULT_TENANT },
    }
    assert.deepEqual(await remote.nearest(byText), await service.nearest(byText))
    const [vector] = (await service.embedTexts(['trains'])).vectors
    assert.deepEqual((await remote.embedTexts(['trains'])).vectors, [vector])
    const byVector = { instruction: GENERAL, k: 1, from: { vector: vector!, model: MODEL } }
    assert.deepEqual(await remote.nearest(byVector), await service.nearest(byVector))

    const { next } = await remote.nearest({ ...byText, k: 2 })
    const page = { ...byText, k: 2, exact: true, filter: { ...byText.filter, lastEventBeforeMs: Date.now() } }
    const { next: after } = await service.nearest(page)
    assert.deepEqual(
      await remote.nearest({ ...page, after: after! }),
      await service.nearest({ ...page, after: after! }),
    )
    await assert.rejects(remote.nearest({ ...page, after: next! }), {
      code: 'page-of-other-question',
      status: 400,
    })

    for (const user of ['a/b %?#', '🦊']) {
      assert.deepEqual(
        await remote.user(ref(user), { vectors: true }),
        await service.user(ref(user), { vectors: true }),
      )
      assert.deepEqual(await remote.explain(ref(user)), await service.explain(ref(user)))
    }
    assert.deepEqual(await remote.verify({ users: [ref('ada')] }), { checked: 1, wrong: [] })
    assert.deepEqual(await remote.verify({ sample: 2 }), { checked: 2, wrong: [] })
    const {
      searchMs: _,
      exactMs: __,
      ...recall
    } = await remote.recall({ instruction: GENERAL, k: 2, sample: 3 })
    const { searchMs, exactMs, ...near } = await service.recall({ instruction: GENERAL, k: 2, sample: 3 })
    assert.deepEqual(recall, near)
    assert.ok(searchMs !== null && exactMs !== null && recall.users === 3)
    assert.deepEqual(await remote.parked({ limit: 5 }), [])
    assert.equal(await remote.retryParked(), 0)
    assert.equal((await remote.status()).epoch, (await service.status()).epoch)
    assert.deepEqual(await remote.ready(), { ready: true, why: null })
  })

  test('a user of another tenant is another user', async () => {
    const { header, ...event } = searchEvent('ada', 'boats')
    await remote.ingest([{ ...event, header: { ...header, tenant: 'acme & co' } }])
    await freshet.standalone.untilIdle()
    assert.equal((await remote.user(ref('ada', 'acme & co'))).tenant, 'acme & co')
    assert.deepEqual((await remote.explain(ref('ada', 'acme & co'))).window.search?.length, 1)
  })

  test('instructions, groups, forgetting and dead letters make the round trip', async () => {
    const { service, standalone } = freshet
    const added = await remote.addInstruction({ id: 'next' as InstructionId, text: 'What next?' })
    assert.deepEqual([added.id, added.text, added.status], ['next', 'What next?', 'active'])
    await remote.setGroup({ name: 'slow' as GroupName, minRefreshMs: 1_000, paused: true })
    assert.deepEqual(await remote.instructions(), await service.instructions())
    assert.equal((await remote.retireInstruction('next' as InstructionId)).status, 'retired')

    await remote.forget(ref('bob'))
    await standalone.untilIdle()
    assert.equal((await remote.forgetStatus(ref('bob'))).state, 'done')

    const { log, source } = standalone.parts
    await log.append([{ topic: source.topics[0]!, key: Buffer.from('eve'), value: Buffer.from([9]) }])
    await standalone.untilIdle()
    const [letter] = await remote.deadLetters({ limit: 10 })
    assert.equal((await remote.deadLetter(letter!.id)).valueBase64, 'CQ==')
    assert.equal(await remote.retryDeadLetters({ reason: 'nothing-like-it' }), 0)
    assert.equal(await remote.retryDeadLetters({ ids: [letter!.id] }), 1)
  })

  test('raw bytes are taken, and refused with the code that the decoder gives', async () => {
    const { value } = freshet.standalone.parts.encoder.object(searchEvent('raw', 'q'))
    const record = { topic: 'behavior.search', key: 'raw', value: value! }
    assert.deepEqual(await remote.ingestRaw(record), { accepted: 1, rejected: [] })
    const cut = { ...record, value: value!.subarray(0, 11) }
    assert.deepEqual(await remote.ingestRaw(cut), await freshet.service.ingestRaw(cut))
  })

  test('an error keeps its code, its status and who must act', async () => {
    await assert.rejects(remote.user(ref('nobody')), (error: unknown) => {
      assert.ok(error instanceof RequestError)
      assert.deepEqual([error.code, error.status], ['user-unknown', 404])
      return true
    })
    const stranger = new RemoteService({ url, adminSecret: null })
    await assert.rejects(stranger.parked({ limit: 1 }), {
      name: 'RequestError',
      code: 'admin-secret',
      status: 401,
    })
    await assert.rejects(remote.user(ref('..')), { name: 'RequestError', code: 'id-in-path' })

    const { service } = freshet
    const restore = service.status
    service.status = () =>
      Promise.reject(new UnavailableError('disk-full', 'make room', { retryAfterMs: 2_500 }))
    try {
      await assert.rejects(remote.status(), (error: unknown) => {
        assert.ok(error instanceof UnavailableError)
        assert.deepEqual([error.code, error.message, error.retryAfterMs], ['disk-full', 'make room', 3_000])
        return true
      })
    } finally {
      service.status = restore
    }
  })

  test('where nobody or somebody else answers, the error says so', async () => {
    const other = createServer((request, response) => {
      if (request.url === '/status') response.end('<h1>hello</h1>')
      else response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
    })
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const there = new RemoteService({
      url: `http://127.0.0.1:${(other.address() as AddressInfo).port}`,
      adminSecret: SECRET,
    })
    await assert.rejects(there.status(), { name: 'ConfigError', code: 'server-not-freshet' })
    // The secret must not travel on to where a redirect points.
    await assert.rejects(there.instructions(), { name: 'UnavailableError', code: 'server-unreachable' })
    other.closeAllConnections()
    await new Promise((resolve) => other.close(resolve))
    await assert.rejects(there.status(), { name: 'UnavailableError', code: 'server-unreachable' })
  })
})
