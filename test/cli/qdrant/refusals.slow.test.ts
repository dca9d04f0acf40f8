/** R13 on the whole program: what doesn't fit is refused at the start, in one line, before anything is written. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ConfigError } from '../../../src/errors.ts'
import { event, ingest, MAIN, type QdrantStandalone, withQdrant } from '../qdrant-standalone.ts'

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
      { 'model.bundle': new URL('../../golden/bundle-mlp', import.meta.url).pathname },
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
